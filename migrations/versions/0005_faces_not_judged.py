"""Verdicts count the faces that were found and not judged.

Revision 0005, after 0004, 2026-11-28.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("verdicts", sa.Column("faces_not_judged", sa.Integer(), server_default=sa.text("0"), nullable=False))


def downgrade() -> None:
    op.drop_column("verdicts", "faces_not_judged")
