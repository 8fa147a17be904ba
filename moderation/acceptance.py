"""Acceptance: how a submission comes into the ledger, with its bytes or with the place where a worker finds them.

Accepted means a committed row. Nothing here looks a second time at what a request said, and doing it twice under one
Idempotency-Key changes nothing.
"""

from dataclasses import dataclass, field
from typing import BinaryIO

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from moderation import blobs as storage
from moderation import policy, verdicts
from moderation.blobs import Blobs
from moderation.errors import KeyReused
from moderation.media import Facts
from moderation.policy import Policy
from moderation.tables import IdempotencyKey, Json, Media, Platform, Submission

_POLICY = select(Platform.policy).where(Platform.id == bindparam("id"))
_FACTS = ("sha256", "bytes", "format", "content_type", "width", "height", "frames", "seconds")
_HOLD = (  # like the one above made once: to make it would cost more than to carry it out
    insert(Media)
    .values({name: bindparam(name) for name in _FACTS})
    .on_conflict_do_update(index_elements=["sha256"], set_={"held_at": func.clock_timestamp()})
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a client says of a submission. Exactly one of ``platform_id`` and ``person_id`` (ephemeral) is given."""

    platform_id: str | None = None
    person_id: str | None = None
    external_id: str | None = None
    priority: int | None = None  # index into tables.PRIORITIES; None: as the platform's policy says
    context: Json = field(default_factory=dict)
    callback_url: str | None = None
    source_id: str | None = None  # the source whose event told of the media


def forestall(session: Session, draft: Draft, key: str | None, fingerprint: str) -> Submission | None:
    """Returns the submission that this Idempotency-Key already made; what policy refuses is refused before bytes move.

    Raises:
        ForbiddenCallback: when the platform's policy allows no callback to where the draft wants one.
        KeyReused: when the key came with another body.
    """
    _drafted(session, draft)
    return remembered(session, draft.platform_id or "", key, fingerprint) if key is not None else None


def store_ahead(blobs: Blobs, facts: Facts, file: BinaryIO) -> None:
    """Stores the bytes before a transaction begins, where storing takes long; `submit` finds them in place.

    Raises:
        WorldDown: when they cannot be stored.
    """
    if blobs.is_far:
        blobs.put(storage.media_key(facts.sha256), file)


def submit(session: Session, blobs: Blobs, draft: Draft, facts: Facts, file: BinaryIO) -> Submission:
    """Stores the bytes once and adds a row; bytes that the current detector has judged are settled at once.

    Raises:
        ForbiddenCallback: when the platform's policy allows no callback to where the draft wants one.
        WorldDown: when the bytes cannot be stored; then there is no row either.
    """
    row = _drafted(session, draft)
    hold(session, blobs, facts, file)
    row.media_sha256 = facts.sha256
    session.add(row)
    session.flush()
    settle_known(session, row)
    return row


def expect(session: Session, draft: Draft, origin: Json) -> Submission:
    """Adds a row in state `fetching`: its bytes are still where ``origin`` says, and a worker brings them.

    ``origin`` is `{"url"}`, `{"upload_id"}` or `{"bucket", "key", "version"}`. Nothing is looked up here.

    Raises:
        ForbiddenCallback: when the platform's policy allows no callback to where the draft wants one.
    """
    row = _drafted(session, draft)
    row.state, row.origin = "fetching", origin
    session.add(row)
    session.flush()
    return row


def _drafted(session: Session, draft: Draft) -> Submission:
    """Returns a row, not yet added, of a draft as its platform's policy has it."""
    rules = Policy()
    if draft.platform_id:
        rules = Policy.read(session.execute(_POLICY, {"id": draft.platform_id}).scalar_one())
    if draft.callback_url is not None:
        policy.check_callback(rules, draft.callback_url)
    return Submission(
        platform_id=draft.platform_id,
        person_id=draft.person_id,
        source_id=draft.source_id,
        external_id=draft.external_id,
        priority=policy.priority(rules, draft.priority),
        context=draft.context,
        callback_url=draft.callback_url,
    )


def settle_known(session: Session, row: Submission) -> bool:
    """Settles a submission at once if the current detector has judged its bytes before; returns whether it has."""
    known = verdicts.standing(session, row.media_sha256 or "")
    if known:
        verdicts.settle_again(session, row, known)
    return known is not None


def hold(session: Session, blobs: Blobs, facts: Facts, file: BinaryIO) -> None:
    """Makes sure that media row and blob exist, and locks the row until commit.

    The upload happens before the lock; the look afterwards closes the gap in which an erasure may have removed what
    `put` found in place (`retention` removes the blob while it holds the same lock).
    """
    key = storage.media_key(facts.sha256)
    blobs.put(key, file)
    session.execute(_HOLD, {name: getattr(facts, name) for name in _FACTS})
    if not blobs.exists(key):
        blobs.put(key, file)


def remembered(session: Session, platform_id: str, key: str, fingerprint: str) -> Submission | None:
    """Returns the submission that this Idempotency-Key already made. Equal requests wait for each other here.

    Raises:
        KeyReused: when the key came with another body.
    """
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{platform_id} {key}", 0))))
    row = session.get(IdempotencyKey, (platform_id, key))
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise KeyReused
    return session.get_one(Submission, row.submission_id)


def remember(session: Session, platform_id: str, key: str, fingerprint: str, submission_id: str) -> None:
    """Keeps the answer to an Idempotency-Key; to be called in the transaction of `remembered`."""
    session.add(IdempotencyKey(platform_id=platform_id, key=key, fingerprint=fingerprint, submission_id=submission_id))
