"""Features of faces, to learn from decisions.

Revision 0004, after 0002, 2026-11-28 22:23:31.914885.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "face_features",
        sa.Column("submission_id", sa.String(), nullable=False),
        sa.Column("face", sa.Integer(), nullable=False),
        sa.Column("verdict_id", sa.String(), nullable=False),
        sa.Column("encoder", sa.String(), nullable=False),
        sa.Column("features", sa.LargeBinary(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("logits", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name=op.f("fk_face_features_submission_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["verdict_id"], ["verdicts.id"], name=op.f("fk_face_features_verdict_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("submission_id", "face", name=op.f("pk_face_features")),
    )
    op.create_index(op.f("ix_face_features_verdict_id"), "face_features", ["verdict_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_face_features_verdict_id"), table_name="face_features")
    op.drop_table("face_features")
