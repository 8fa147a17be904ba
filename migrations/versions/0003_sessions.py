"""Sessions of people are rows, and nothing keeps a digest of what was erased.

Revision 0003, after 0002, 2026-11-28 21:42:36.323410.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("device_sha256", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column(
            "last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_sessions_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("sha256", name=op.f("uq_sessions_sha256")),
    )
    op.create_index(op.f("ix_sessions_began_at"), "sessions", ["began_at"], unique=False)
    op.create_index(op.f("ix_sessions_device_sha256"), "sessions", ["device_sha256"], unique=False)
    op.create_index(op.f("ix_sessions_person_id"), "sessions", ["person_id"], unique=False)
    op.create_index(op.f("ix_idempotency_keys_submission_id"), "idempotency_keys", ["submission_id"], unique=False)
    op.execute("UPDATE audit SET old = old - 'sha256' WHERE action = 'submission.erased' AND old ? 'sha256'")
    op.execute(
        "DELETE FROM idempotency_keys USING submissions "
        "WHERE submissions.id = idempotency_keys.submission_id AND submissions.state = 'deleted'"
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_idempotency_keys_submission_id"), table_name="idempotency_keys")
    op.drop_index(op.f("ix_sessions_person_id"), table_name="sessions")
    op.drop_index(op.f("ix_sessions_device_sha256"), table_name="sessions")
    op.drop_index(op.f("ix_sessions_began_at"), table_name="sessions")
    op.drop_table("sessions")
