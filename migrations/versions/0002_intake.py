"""Intake by URL and upload, sources, scopes, rotation, appeals, provenance.

Revision 0002, after 0001, 2026-11-21 07:59:26.128582.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("platform_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column(
            "previous_secrets",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "options", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "documents", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_event_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name=op.f("fk_sources_platform_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
    )
    op.create_index(op.f("ix_sources_platform_id"), "sources", ["platform_id"], unique=False)
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("platform_id", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("content_type", sa.String(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name=op.f("fk_uploads_platform_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_expires_at"), "uploads", ["expires_at"], unique=False)
    op.create_index(op.f("ix_uploads_platform_id"), "uploads", ["platform_id"], unique=False)
    op.create_table(
        "source_events",
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("forget_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name=op.f("fk_source_events_source_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("source_id", "key", name=op.f("pk_source_events")),
    )
    op.create_index(
        "ix_source_events_forgetting",
        "source_events",
        ["forget_at"],
        unique=False,
        postgresql_where=sa.text("forget_at IS NOT NULL"),
    )
    op.create_table(
        "appeals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("submission_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name=op.f("fk_appeals_submission_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeals")),
    )
    op.create_index(op.f("ix_appeals_submission_id"), "appeals", ["submission_id"], unique=False)
    op.add_column(
        "api_keys",
        sa.Column(
            "scopes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text('\'["submit", "read", "manage"]\'::jsonb'),
            nullable=False,
        ),
    )
    for table in ("endpoints", "platforms"):
        op.add_column(
            table,
            sa.Column(
                "previous_secrets",
                postgresql.JSONB(astext_type=sa.Text()),
                server_default=sa.text("'[]'::jsonb"),
                nullable=False,
            ),
        )
    op.add_column("media", sa.Column("seconds", sa.Double(), nullable=True))
    op.add_column("media", sa.Column("pdq", sa.String(), nullable=True))
    op.add_column("media", sa.Column("pdq_quality", sa.Integer(), nullable=True))
    op.add_column("media", sa.Column("undrawn", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_media_undrawn", "media", ["held_at"], postgresql_where=sa.text("undrawn"))
    op.create_table(
        "rounds",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.String(), server_default="", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rounds")),
    )
    op.create_index(
        "ix_deliveries_finished",
        "deliveries",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("state <> 'waiting'"),
    )
    op.add_column("submissions", sa.Column("band", sa.String(), nullable=True))
    op.execute("UPDATE submissions SET band = verdicts.band FROM verdicts WHERE verdicts.id = submissions.verdict_id")
    op.create_check_constraint(
        op.f("ck_submissions_band"), "submissions", "band IN ('clear', 'review', 'fake', 'inconclusive')"
    )
    op.create_check_constraint(op.f("ck_submissions_placed"), "submissions", "(state = 'scored') <= (band IS NOT NULL)")
    op.add_column("submissions", sa.Column("source_id", sa.String(), nullable=True))
    op.add_column(
        "submissions", sa.Column("origin", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True)
    )
    op.add_column("submissions", sa.Column("erase_asked_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_submissions_trials",
        "submissions",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("person_id IS NOT NULL"),
    )
    op.create_check_constraint(
        op.f("ck_submissions_erasing"), "submissions", "(erase_asked_at IS NOT NULL) <= (state = 'deleted')"
    )
    op.create_index(
        "ix_submissions_erasing",
        "submissions",
        ["erase_asked_at"],
        unique=False,
        postgresql_where=sa.text("erase_asked_at IS NOT NULL"),
    )
    op.create_index(
        "ix_submissions_fetching",
        "submissions",
        ["priority", "received_at"],
        unique=False,
        postgresql_where=sa.text("state = 'fetching'"),
    )
    op.create_index(
        "ix_submissions_finished",
        "submissions",
        ["platform_id", "finished_at"],
        unique=False,
        postgresql_where=sa.text("state <> 'deleted'"),
    )
    op.create_index(op.f("ix_submissions_source_id"), "submissions", ["source_id"], unique=False)
    op.create_foreign_key(
        op.f("fk_submissions_source_id"), "submissions", "sources", ["source_id"], ["id"], ondelete="SET NULL"
    )
    op.add_column(
        "verdicts",
        sa.Column(
            "provenance", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
    )
    op.drop_constraint(op.f("ck_submissions_lease"), "submissions", type_="check")
    op.create_check_constraint(
        op.f("ck_submissions_leased"), "submissions", "(state = 'scoring') <= (lease IS NOT NULL)"
    )
    op.create_check_constraint(
        op.f("ck_submissions_lease"), "submissions", "(lease IS NOT NULL) <= (state IN ('fetching', 'scoring'))"
    )
    op.create_check_constraint(
        op.f("ck_submissions_origin"), "submissions", "(state = 'fetching') <= (origin IS NOT NULL)"
    )
    op.drop_index("ix_submissions_leases", table_name="submissions")
    op.create_index(
        "ix_submissions_leases", "submissions", ["lease_expires_at"], postgresql_where=sa.text("lease IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_submissions_leases", table_name="submissions")
    op.create_index(
        "ix_submissions_leases", "submissions", ["lease_expires_at"], postgresql_where=sa.text("state = 'scoring'")
    )
    op.drop_constraint(op.f("ck_submissions_origin"), "submissions", type_="check")
    op.drop_constraint(op.f("ck_submissions_lease"), "submissions", type_="check")
    op.drop_constraint(op.f("ck_submissions_leased"), "submissions", type_="check")
    op.create_check_constraint(op.f("ck_submissions_lease"), "submissions", "(state = 'scoring') = (lease IS NOT NULL)")
    op.drop_column("verdicts", "provenance")
    op.drop_constraint(op.f("fk_submissions_source_id"), "submissions", type_="foreignkey")
    op.drop_index(op.f("ix_submissions_source_id"), table_name="submissions")
    op.drop_index("ix_submissions_finished", table_name="submissions", postgresql_where=sa.text("state <> 'deleted'"))
    op.drop_index("ix_submissions_fetching", table_name="submissions", postgresql_where=sa.text("state = 'fetching'"))
    op.drop_index(
        "ix_submissions_erasing", table_name="submissions", postgresql_where=sa.text("erase_asked_at IS NOT NULL")
    )
    op.drop_index("ix_submissions_trials", table_name="submissions", postgresql_where=sa.text("person_id IS NOT NULL"))
    op.drop_constraint(op.f("ck_submissions_erasing"), "submissions", type_="check")
    op.drop_column("submissions", "erase_asked_at")
    op.drop_column("submissions", "origin")
    op.drop_column("submissions", "source_id")
    op.drop_constraint(op.f("ck_submissions_placed"), "submissions", type_="check")
    op.drop_constraint(op.f("ck_submissions_band"), "submissions", type_="check")
    op.drop_column("submissions", "band")
    op.drop_index("ix_deliveries_finished", table_name="deliveries", postgresql_where=sa.text("state <> 'waiting'"))
    op.drop_table("rounds")
    op.drop_index("ix_media_undrawn", table_name="media", postgresql_where=sa.text("undrawn"))
    op.drop_column("media", "undrawn")
    op.drop_column("media", "pdq_quality")
    op.drop_column("media", "pdq")
    op.drop_column("media", "seconds")
    op.drop_column("platforms", "previous_secrets")
    op.drop_column("endpoints", "previous_secrets")
    op.drop_column("api_keys", "scopes")
    op.drop_index(op.f("ix_appeals_submission_id"), table_name="appeals")
    op.drop_table("appeals")
    op.drop_index(
        "ix_source_events_forgetting", table_name="source_events", postgresql_where=sa.text("forget_at IS NOT NULL")
    )
    op.drop_table("source_events")
    op.drop_index(op.f("ix_uploads_platform_id"), table_name="uploads")
    op.drop_index(op.f("ix_uploads_expires_at"), table_name="uploads")
    op.drop_table("uploads")
    op.drop_index(op.f("ix_sources_platform_id"), table_name="sources")
    op.drop_table("sources")
