"""The ledger's tables, typed. What may be NULL says so; what must be unique is a constraint, not a hope.

Times are timestamptz. A score is calibrated P(fake), 0 to 1. Boxes are [x, y, w, h] in pixels of the upright image.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    UniqueConstraint,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from moderation import ids

Json = dict[str, Any]
NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

PRIORITIES = ("urgent", "default", "bulk")
STATES = ("fetching", "waiting", "scoring", "scored", "failed", "deleted")
FINAL_STATES = ("scored", "failed", "deleted")
BANDS = ("clear", "review", "fake", "inconclusive")
ANSWERS = ("fake", "real", "unsure")
LEARNABLE = ("fake", "real")  # answers that say what a face is
ROLES = ("moderator", "lead", "admin")
SCOPES = ("submit", "read", "manage")
EVENTS = ("submission.scored", "submission.failed", "flag.opened", "flag.decided", "decision.revised", "endpoint.test")


def _one_of(column: str, words: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=column)


class Base(DeclarativeBase):
    """What every table shares: names of constraints that migrations can rely on, and the two column types."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True), Json: JSONB, list[Any]: JSONB}


def _id(kind: str) -> Mapped[str]:
    return mapped_column(primary_key=True, default=lambda: ids.new(kind))


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.clock_timestamp())


class Platform(Base):
    """A client organisation: its keys, endpoints and policy hang from here."""

    __tablename__ = "platforms"
    id: Mapped[str] = _id("plt")
    name: Mapped[str] = mapped_column(unique=True)
    policy: Mapped[Json] = mapped_column(server_default=sql("'{}'::jsonb"))
    callback_secret: Mapped[str]
    previous_secrets: Mapped[list[Any]] = mapped_column(server_default=sql("'[]'::jsonb"))  # as an endpoint's
    created_at: Mapped[datetime] = _now()


class ApiKey(Base):
    """A platform's API key; only its SHA-256 is kept (the key itself carries 256 random bits)."""

    __tablename__ = "api_keys"
    id: Mapped[str] = _id("key")
    platform_id: Mapped[str] = mapped_column(ForeignKey("platforms.id"), index=True)
    name: Mapped[str]
    hint: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[Any]] = mapped_column(server_default=sql("""'["submit", "read", "manage"]'::jsonb"""))
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    platform: Mapped[Platform] = relationship()


class Person(Base):
    """Somebody who may log in to the dashboard."""

    __tablename__ = "people"
    __table_args__ = (_one_of("role", ROLES), CheckConstraint("email = lower(email)", name="email_lower"))
    id: Mapped[str] = _id("per")
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str]
    created_at: Mapped[datetime] = _now()
    disabled_at: Mapped[datetime | None]


class LoginSession(Base):
    """Somebody's session in the dashboard, from the login on. The browser holds the tokens; here are their SHA-256."""

    __tablename__ = "sessions"
    id: Mapped[str] = _id("ses")
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    device_sha256: Mapped[str | None] = mapped_column(index=True)  # a browser that is known to the account
    address: Mapped[str]
    agent: Mapped[str]
    began_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)
    last_seen_at: Mapped[datetime] = _now()
    ends_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # before its time: logged out, ended by somebody, or the password was changed
    person: Mapped[Person] = relationship()


class Endpoint(Base):
    """Where a platform wants its webhooks, and the secret they are signed with.

    `previous_secrets` sign, too, for a while after a rotation: each is `{"secret", "until"}`, see `signatures.rotated`.
    """

    __tablename__ = "endpoints"
    id: Mapped[str] = _id("wep")
    platform_id: Mapped[str] = mapped_column(ForeignKey("platforms.id"), index=True)
    url: Mapped[str]
    secret: Mapped[str]
    previous_secrets: Mapped[list[Any]] = mapped_column(server_default=sql("'[]'::jsonb"))
    events: Mapped[list[Any]] = mapped_column(server_default=sql("'[]'::jsonb"))  # empty: all of them
    failing_since: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    created_at: Mapped[datetime] = _now()


class Media(Base):
    """What is known of the bytes without decoding them. The bytes are a blob under the same SHA-256."""

    __tablename__ = "media"
    __table_args__ = (Index("ix_media_undrawn", "held_at", postgresql_where=sql("undrawn")),)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    format: Mapped[str]
    content_type: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    frames: Mapped[int]
    seconds: Mapped[float | None]  # of a video, as its container says
    pdq: Mapped[str | None]  # 64 hexadecimal digits; of a clip, of its frame of highest quality
    pdq_quality: Mapped[int | None]  # 0 to 100
    undrawn: Mapped[bool] = mapped_column(server_default=sql("false"))  # put before people without being scored anew
    stored_at: Mapped[datetime] = _now()
    held_at: Mapped[datetime] = _now()


class Detector(Base):
    """A detector release that a worker has started with; the latest start is the current one."""

    __tablename__ = "detectors"
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = _now()


class Verdict(Base):
    """What one detector release said of one media. Never overwritten."""

    __tablename__ = "verdicts"
    __table_args__ = (
        UniqueConstraint("media_sha256", "detector_name", "detector_version"),
        _one_of("band", BANDS),
        CheckConstraint("score BETWEEN 0 AND 1", name="score"),
    )
    id: Mapped[str] = _id("ver")
    media_sha256: Mapped[str] = mapped_column(ForeignKey("media.sha256", ondelete="CASCADE"))
    detector_name: Mapped[str]
    detector_version: Mapped[str]
    score: Mapped[float]
    band: Mapped[str]
    reasons: Mapped[list[Any]]
    faces: Mapped[list[Any]]
    faces_not_judged: Mapped[int] = mapped_column(server_default=sql("0"))  # found beyond what is judged of a picture
    frames: Mapped[list[Any]]
    provenance: Mapped[Json] = mapped_column(server_default=sql("'{}'::jsonb"))  # what the file says of its origin
    width: Mapped[int]  # of the upright image, which the boxes refer to
    height: Mapped[int]
    ms: Mapped[float]  # share of the batch's time that this file took
    scored_at: Mapped[datetime] = _now()
    media: Mapped[Media] = relationship()


class FaceFeatures(Base):
    """What a platform lets us keep of a face, to learn from it: an encoder's features, not a picture.

    They belong to a submission and go with it; media that two submissions hold has rows of both. ``features`` are
    float16 numbers, ``logits`` two float32 ones, little-endian; `model.traits` says what they mean.
    """

    __tablename__ = "face_features"
    submission_id: Mapped[str] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"), primary_key=True)
    face: Mapped[int] = mapped_column(primary_key=True)  # its place among the verdict's faces
    verdict_id: Mapped[str] = mapped_column(ForeignKey("verdicts.id", ondelete="CASCADE"), index=True)
    encoder: Mapped[str]  # digest of the encoder's graph
    features: Mapped[bytes]
    network: Mapped[str]  # SHA-256 of the small network that gave the logits; empty where there is none
    logits: Mapped[bytes]
    kept_at: Mapped[datetime] = _now()


class Submission(Base):
    """One request to judge one piece of media. `lease` names the claim that may record its outcome.

    `origin` says where a `fetching` one's bytes are: `{"url"}`, `{"upload_id"}`, or `{"bucket", "key", "version"}`.
    """

    __tablename__ = "submissions"
    __table_args__ = (
        _one_of("state", STATES),
        CheckConstraint("num_nonnulls(platform_id, person_id) = 1", name="owner"),
        CheckConstraint("(state = 'scoring') <= (lease IS NOT NULL)", name="leased"),
        CheckConstraint("(lease IS NOT NULL) <= (state IN ('fetching', 'scoring'))", name="lease"),
        CheckConstraint("(state = 'fetching') <= (origin IS NOT NULL)", name="origin"),
        CheckConstraint("(state = 'scored') <= (verdict_id IS NOT NULL)", name="verdict"),
        CheckConstraint("(state = 'scored') <= (band IS NOT NULL)", name="placed"),
        CheckConstraint("(state = 'failed') <= (failure_slug IS NOT NULL)", name="failure"),
        CheckConstraint("(erase_asked_at IS NOT NULL) <= (state = 'deleted')", name="erasing"),
        _one_of("band", BANDS),
        Index("ix_submissions_line", "priority", "received_at", postgresql_where=sql("state = 'waiting'")),
        Index("ix_submissions_fetching", "priority", "received_at", postgresql_where=sql("state = 'fetching'")),
        Index("ix_submissions_leases", "lease_expires_at", postgresql_where=sql("lease IS NOT NULL")),
        Index("ix_submissions_finished", "platform_id", "finished_at", postgresql_where=sql("state <> 'deleted'")),
        Index("ix_submissions_trials", "received_at", postgresql_where=sql("person_id IS NOT NULL")),
        Index("ix_submissions_erasing", "erase_asked_at", postgresql_where=sql("erase_asked_at IS NOT NULL")),
        Index("ix_submissions_listing", "platform_id", sql("received_at DESC"), sql("id DESC")),
        Index("ix_submissions_external", "platform_id", "external_id"),
    )
    id: Mapped[str] = _id("sub")
    platform_id: Mapped[str | None] = mapped_column(ForeignKey("platforms.id"))
    person_id: Mapped[str | None] = mapped_column(ForeignKey("people.id"))  # an ephemeral one, from /try
    media_sha256: Mapped[str | None] = mapped_column(ForeignKey("media.sha256"), index=True)
    verdict_id: Mapped[str | None] = mapped_column(ForeignKey("verdicts.id"), index=True)
    band: Mapped[str | None]  # where the verdict falls under the platform's policy, once scored
    source_id: Mapped[str | None] = mapped_column(ForeignKey("sources.id", ondelete="SET NULL"), index=True)
    origin: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    external_id: Mapped[str | None]
    priority: Mapped[int] = mapped_column(default=1)  # index into PRIORITIES
    context: Mapped[Json] = mapped_column(server_default=sql("'{}'::jsonb"))
    callback_url: Mapped[str | None]
    state: Mapped[str] = mapped_column(default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = _now()  # put back after trouble in the world: not to be claimed before
    lease: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    failure_slug: Mapped[str | None]
    failure_detail: Mapped[str | None]
    received_at: Mapped[datetime] = _now()
    finished_at: Mapped[datetime | None]
    erase_asked_at: Mapped[datetime | None]  # set while blobs are still to be removed; upkeep ends what was interrupted
    media: Mapped[Media | None] = relationship()
    verdict: Mapped[Verdict | None] = relationship()
    platform: Mapped[Platform | None] = relationship()


class IdempotencyKey(Base):
    """The answer that a platform's Idempotency-Key already got."""

    __tablename__ = "idempotency_keys"
    platform_id: Mapped[str] = mapped_column(ForeignKey("platforms.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    submission_id: Mapped[str] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)


class Upload(Base):
    """A promise that a platform will put bytes in place before it submits them by `upload_id`."""

    __tablename__ = "uploads"
    id: Mapped[str] = _id("upl")
    platform_id: Mapped[str] = mapped_column(ForeignKey("platforms.id"), index=True)
    bytes: Mapped[int] = mapped_column(BigInteger)  # as announced
    content_type: Mapped[str]
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Source(Base):
    """Where a platform's own system sends word of new media, and how that word is verified.

    `previous_secrets` verify, too, for a while after a rotation, as an endpoint's sign. `documents` are what its
    adapter asked a worker to fetch, by URL: null (to keep) or false (to visit) until somebody has been there.
    """

    __tablename__ = "sources"
    id: Mapped[str] = _id("src")
    platform_id: Mapped[str] = mapped_column(ForeignKey("platforms.id"), index=True)
    kind: Mapped[str]  # names an adapter
    secret: Mapped[str]
    previous_secrets: Mapped[list[Any]] = mapped_column(server_default=sql("'[]'::jsonb"))
    options: Mapped[Json] = mapped_column(server_default=sql("'{}'::jsonb"))  # what its adapter needs besides
    documents: Mapped[Json] = mapped_column(server_default=sql("'{}'::jsonb"))
    created_at: Mapped[datetime] = _now()
    disabled_at: Mapped[datetime | None]
    last_event_at: Mapped[datetime | None]
    platform: Mapped[Platform] = relationship()


class SourceEvent(Base):
    """What a source has told of: an event, or one medium of it. Told again, nothing happens."""

    __tablename__ = "source_events"
    __table_args__ = (Index("ix_source_events_forgetting", "forget_at", postgresql_where=sql("forget_at IS NOT NULL")),)
    source_id: Mapped[str] = mapped_column(ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)  # SHA-256 of the adapter's deduplication key
    forget_at: Mapped[datetime | None]  # never, where media can be listed again


class Appeal(Base):
    """A platform's objection to what became of a submission; moderators see it with the flag."""

    __tablename__ = "appeals"
    id: Mapped[str] = _id("apl")
    submission_id: Mapped[str] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"), index=True)
    reason: Mapped[str]
    made_at: Mapped[datetime] = _now()


class Flag(Base):
    """A submission that policy put before people. `claim` names the moderator's lease."""

    __tablename__ = "flags"
    __table_args__ = (
        _one_of("state", ("open", "decided")),
        Index("ix_flags_queue", sql("score DESC"), "opened_at", "id", postgresql_where=sql("state = 'open'")),
    )
    id: Mapped[str] = _id("flg")
    submission_id: Mapped[str] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"), unique=True)
    platform_id: Mapped[str] = mapped_column(ForeignKey("platforms.id"), index=True)
    state: Mapped[str] = mapped_column(default="open")
    score: Mapped[float]
    band: Mapped[str]
    reasons: Mapped[list[Any]]
    escalated: Mapped[bool] = mapped_column(default=False)  # somebody was unsure: leads see it first
    claimed_by: Mapped[str | None] = mapped_column(ForeignKey("people.id"), index=True)
    claimed_at: Mapped[datetime | None]
    claim_expires_at: Mapped[datetime | None]
    opened_at: Mapped[datetime] = _now()
    decided_at: Mapped[datetime | None]
    submission: Mapped[Submission] = relationship()
    platform: Mapped[Platform] = relationship()
    claimant: Mapped[Person | None] = relationship()


class Decision(Base):
    """A moderator's answer on a flag. Undone, it stays and says when and by whom."""

    __tablename__ = "decisions"
    __table_args__ = (
        _one_of("answer", ANSWERS),
        Index("uq_decisions_standing", "flag_id", unique=True, postgresql_where=sql("superseded_at IS NULL")),
    )
    id: Mapped[str] = _id("dec")
    flag_id: Mapped[str] = mapped_column(ForeignKey("flags.id", ondelete="CASCADE"), index=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    answer: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    decided_at: Mapped[datetime] = _now()
    superseded_at: Mapped[datetime | None]  # undone, or a lead answered after an `unsure`
    undone_by: Mapped[str | None] = mapped_column(ForeignKey("people.id"))


class AuditRow(Base):
    """Who did what to which thing, and what it was before and after. Rows are only ever added."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = _now()
    actor: Mapped[str] = mapped_column(index=True)
    action: Mapped[str]
    subject: Mapped[str] = mapped_column(index=True)
    old: Mapped[Json | None]
    new: Mapped[Json | None]


class Delivery(Base):
    """One outbound webhook message. Its id is the receiver's idempotency key, the same on every attempt."""

    __tablename__ = "deliveries"
    __table_args__ = (
        _one_of("state", ("waiting", "delivered", "failed", "cancelled")),
        _one_of("event", EVENTS),
        Index("ix_deliveries_due", "next_attempt_at", postgresql_where=sql("state = 'waiting'")),
        Index("ix_deliveries_finished", "finished_at", postgresql_where=sql("state <> 'waiting'")),
    )
    id: Mapped[str] = _id("msg")
    platform_id: Mapped[str] = mapped_column(ForeignKey("platforms.id"), index=True)
    endpoint_id: Mapped[str | None] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"), index=True)
    callback_url: Mapped[str | None]  # instead of an endpoint; signed with the platform's callback secret
    submission_id: Mapped[str | None] = mapped_column(ForeignKey("submissions.id", ondelete="SET NULL"), index=True)
    decision_id: Mapped[str | None] = mapped_column(ForeignKey("decisions.id", ondelete="SET NULL"), index=True)
    event: Mapped[str]
    body: Mapped[str]  # the exact text that is signed and sent
    state: Mapped[str] = mapped_column(default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = _now()
    lease: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    finished_at: Mapped[datetime | None]
    endpoint: Mapped[Endpoint | None] = relationship()
    platform: Mapped[Platform] = relationship()


class DeliveryAttempt(Base):
    """One try at a delivery, and what came of it."""

    __tablename__ = "delivery_attempts"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = _now()
    status: Mapped[int | None]
    error: Mapped[str | None]
    ms: Mapped[float]


class Round(Base):
    """A chore that goes round in bounded steps: how far it has come, and when its next step is due."""

    __tablename__ = "rounds"
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[str] = mapped_column(server_default="")
    due_at: Mapped[datetime] = _now()
