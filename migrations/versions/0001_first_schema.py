"""First schema.

Revision 0001, after nothing, 2026-11-21 01:46:31.216238.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("old", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("new", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_actor"), "audit", ["actor"], unique=False)
    op.create_index(op.f("ix_audit_subject"), "audit", ["subject"], unique=False)
    op.create_table(
        "detectors",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column(
            "started_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_detectors")),
    )
    op.create_table(
        "media",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("content_type", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_media")),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('moderator', 'lead', 'admin')", name=op.f("ck_people_role")),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_people_email_lower")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint("email", name=op.f("uq_people_email")),
    )
    op.create_table(
        "platforms",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "policy", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("callback_secret", sa.String(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_platforms")),
        sa.UniqueConstraint("name", name=op.f("uq_platforms_name")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("platform_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hint", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name=op.f("fk_api_keys_platform_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    op.create_index(op.f("ix_api_keys_platform_id"), "api_keys", ["platform_id"], unique=False)
    op.create_table(
        "endpoints",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("platform_id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column(
            "events", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.String(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name=op.f("fk_endpoints_platform_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
    )
    op.create_index(op.f("ix_endpoints_platform_id"), "endpoints", ["platform_id"], unique=False)
    op.create_table(
        "verdicts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("media_sha256", sa.String(), nullable=False),
        sa.Column("detector_name", sa.String(), nullable=False),
        sa.Column("detector_version", sa.String(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("band", sa.String(), nullable=False),
        sa.Column("reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("faces", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("frames", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("ms", sa.Double(), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("band IN ('clear', 'review', 'fake', 'inconclusive')", name=op.f("ck_verdicts_band")),
        sa.CheckConstraint("score BETWEEN 0 AND 1", name=op.f("ck_verdicts_score")),
        sa.ForeignKeyConstraint(
            ["media_sha256"], ["media.sha256"], name=op.f("fk_verdicts_media_sha256"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
        sa.UniqueConstraint(
            "media_sha256",
            "detector_name",
            "detector_version",
            name=op.f("uq_verdicts_media_sha256_detector_name_detector_version"),
        ),
    )
    op.create_table(
        "submissions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("platform_id", sa.String(), nullable=True),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("media_sha256", sa.String(), nullable=True),
        sa.Column("verdict_id", sa.String(), nullable=True),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column(
            "context", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("callback_url", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("lease", sa.String(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure_slug", sa.String(), nullable=True),
        sa.Column("failure_detail", sa.String(), nullable=True),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'failed') <= (failure_slug IS NOT NULL)", name=op.f("ck_submissions_failure")),
        sa.CheckConstraint("(state = 'scored') <= (verdict_id IS NOT NULL)", name=op.f("ck_submissions_verdict")),
        sa.CheckConstraint("(state = 'scoring') = (lease IS NOT NULL)", name=op.f("ck_submissions_lease")),
        sa.CheckConstraint(
            "state IN ('fetching', 'waiting', 'scoring', 'scored', 'failed', 'deleted')",
            name=op.f("ck_submissions_state"),
        ),
        sa.CheckConstraint("num_nonnulls(platform_id, person_id) = 1", name=op.f("ck_submissions_owner")),
        sa.ForeignKeyConstraint(["media_sha256"], ["media.sha256"], name=op.f("fk_submissions_media_sha256")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_submissions_person_id")),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name=op.f("fk_submissions_platform_id")),
        sa.ForeignKeyConstraint(["verdict_id"], ["verdicts.id"], name=op.f("fk_submissions_verdict_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
    )
    op.create_index("ix_submissions_external", "submissions", ["platform_id", "external_id"], unique=False)
    op.create_index(
        "ix_submissions_leases",
        "submissions",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'scoring'"),
    )
    op.create_index(
        "ix_submissions_line",
        "submissions",
        ["priority", "received_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_submissions_listing",
        "submissions",
        ["platform_id", sa.literal_column("received_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(op.f("ix_submissions_media_sha256"), "submissions", ["media_sha256"], unique=False)
    op.create_index(op.f("ix_submissions_verdict_id"), "submissions", ["verdict_id"], unique=False)
    op.create_table(
        "flags",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("submission_id", sa.String(), nullable=False),
        sa.Column("platform_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("band", sa.String(), nullable=False),
        sa.Column("reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("escalated", sa.Boolean(), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claim_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('open', 'decided')", name=op.f("ck_flags_state")),
        sa.ForeignKeyConstraint(["claimed_by"], ["people.id"], name=op.f("fk_flags_claimed_by")),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name=op.f("fk_flags_platform_id")),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name=op.f("fk_flags_submission_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flags")),
        sa.UniqueConstraint("submission_id", name=op.f("uq_flags_submission_id")),
    )
    op.create_index(op.f("ix_flags_claimed_by"), "flags", ["claimed_by"], unique=False)
    op.create_index(op.f("ix_flags_platform_id"), "flags", ["platform_id"], unique=False)
    op.create_index(
        "ix_flags_queue",
        "flags",
        [sa.literal_column("score DESC"), "opened_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("platform_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("submission_id", sa.String(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name=op.f("fk_idempotency_keys_platform_id")),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name=op.f("fk_idempotency_keys_submission_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("platform_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("flag_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column(
            "decided_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_by", sa.String(), nullable=True),
        sa.CheckConstraint("answer IN ('fake', 'real', 'unsure')", name=op.f("ck_decisions_answer")),
        sa.ForeignKeyConstraint(["flag_id"], ["flags.id"], name=op.f("fk_decisions_flag_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_decisions_person_id")),
        sa.ForeignKeyConstraint(["undone_by"], ["people.id"], name=op.f("fk_decisions_undone_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    op.create_index(op.f("ix_decisions_flag_id"), "decisions", ["flag_id"], unique=False)
    op.create_index(op.f("ix_decisions_person_id"), "decisions", ["person_id"], unique=False)
    op.create_index(
        "uq_decisions_standing",
        "decisions",
        ["flag_id"],
        unique=True,
        postgresql_where=sa.text("superseded_at IS NULL"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("platform_id", sa.String(), nullable=False),
        sa.Column("endpoint_id", sa.String(), nullable=True),
        sa.Column("callback_url", sa.String(), nullable=True),
        sa.Column("submission_id", sa.String(), nullable=True),
        sa.Column("decision_id", sa.String(), nullable=True),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("lease", sa.String(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "event IN ('submission.scored', 'submission.failed', 'flag.opened', 'flag.decided', 'decision.revised', 'endpoint.test')",
            name=op.f("ck_deliveries_event"),
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'delivered', 'failed', 'cancelled')", name=op.f("ck_deliveries_state")
        ),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.id"], name=op.f("fk_deliveries_decision_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name=op.f("fk_deliveries_endpoint_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name=op.f("fk_deliveries_platform_id")),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name=op.f("fk_deliveries_submission_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index(op.f("ix_deliveries_decision_id"), "deliveries", ["decision_id"], unique=False)
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(op.f("ix_deliveries_endpoint_id"), "deliveries", ["endpoint_id"], unique=False)
    op.create_index(op.f("ix_deliveries_platform_id"), "deliveries", ["platform_id"], unique=False)
    op.create_index(op.f("ix_deliveries_submission_id"), "deliveries", ["submission_id"], unique=False)
    op.create_table(
        "delivery_attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("ms", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_delivery_attempts_delivery_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
    )
    op.create_index(op.f("ix_delivery_attempts_delivery_id"), "delivery_attempts", ["delivery_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_delivery_attempts_delivery_id"), table_name="delivery_attempts")
    op.drop_table("delivery_attempts")
    op.drop_index(op.f("ix_deliveries_submission_id"), table_name="deliveries")
    op.drop_index(op.f("ix_deliveries_platform_id"), table_name="deliveries")
    op.drop_index(op.f("ix_deliveries_endpoint_id"), table_name="deliveries")
    op.drop_index("ix_deliveries_due", table_name="deliveries", postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index(op.f("ix_deliveries_decision_id"), table_name="deliveries")
    op.drop_table("deliveries")
    op.drop_index("uq_decisions_standing", table_name="decisions", postgresql_where=sa.text("superseded_at IS NULL"))
    op.drop_index(op.f("ix_decisions_person_id"), table_name="decisions")
    op.drop_index(op.f("ix_decisions_flag_id"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_index(op.f("ix_idempotency_keys_created_at"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_flags_queue", table_name="flags", postgresql_where=sa.text("state = 'open'"))
    op.drop_index(op.f("ix_flags_platform_id"), table_name="flags")
    op.drop_index(op.f("ix_flags_claimed_by"), table_name="flags")
    op.drop_table("flags")
    op.drop_index(op.f("ix_submissions_verdict_id"), table_name="submissions")
    op.drop_index(op.f("ix_submissions_media_sha256"), table_name="submissions")
    op.drop_index("ix_submissions_listing", table_name="submissions")
    op.drop_index("ix_submissions_line", table_name="submissions", postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index("ix_submissions_leases", table_name="submissions", postgresql_where=sa.text("state = 'scoring'"))
    op.drop_index("ix_submissions_external", table_name="submissions")
    op.drop_table("submissions")
    op.drop_table("verdicts")
    op.drop_index(op.f("ix_endpoints_platform_id"), table_name="endpoints")
    op.drop_table("endpoints")
    op.drop_index(op.f("ix_api_keys_platform_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("platforms")
    op.drop_table("people")
    op.drop_table("media")
    op.drop_table("detectors")
    op.drop_index(op.f("ix_audit_subject"), table_name="audit")
    op.drop_index(op.f("ix_audit_actor"), table_name="audit")
    op.drop_table("audit")
