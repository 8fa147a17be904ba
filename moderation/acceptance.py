"""Acceptance: how a submission comes into the ledger, with its bytes or with the place where a worker finds them.

Accepted means a committed row. Nothing here looks a second time at what a request said, and doing it twice under one
Idempotency-Key changes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from sqlalchemy import Table, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, make_transient_to_detached

from moderation import blobs as storage
from moderation import erasure, ids, policy, verdicts
from moderation.blobs import Blobs
from moderation.errors import KeyReused
from moderation.media import Facts
from moderation.policy import Policy
from moderation.tables import IdempotencyKey, Json, Media, Platform, Submission, Verdict

_FACTS = ("sha256", "bytes", "format", "content_type", "width", "height", "frames", "seconds")
_SAID = ("platform_id", "person_id", "source_id", "external_id", "priority", "context", "callback_url")

# Statements of the hot path are made once: to make one would cost more than to carry it out.
_POLICY = select(Platform.policy).where(Platform.id == bindparam("id"))
_HOLD = (
    insert(Media)
    .values({name: bindparam(name) for name in _FACTS})
    .on_conflict_do_update(index_elements=["sha256"], set_={"held_at": func.clock_timestamp()})
)
_ADMIT = (  # columns of the table itself: those of a subquery come to be when first used, which threads do at once
    insert(table := cast("Table", Submission.__table__))
    .values({name: bindparam(f"said_{name}", type_=table.c[name].type) for name in _SAID})
    .values(id=bindparam("row_id"), media_sha256=bindparam("sha256"), state="waiting", attempts=0)
    .add_cte(_HOLD.cte("held"))
    .returning(table, verdicts.STANDING.with_only_columns(Verdict.id).scalar_subquery().label("known"))
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
    rules: Policy | None = None  # the platform's policy, where it has just been read; None: it is read here


def forestall(session: Session, draft: Draft, key: str | None, fingerprint: str) -> Submission | None:
    """Returns the submission that this Idempotency-Key already made; what policy refuses is refused before bytes move.

    Raises:
        ForbiddenCallback: when the platform's policy allows no callback to where the draft wants one.
        KeyReused: when the key came with another body.
    """
    _judged(session, draft)
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
    said = {f"said_{name}": value for name, value in _judged(session, draft).items()}
    with _held(blobs, facts, file) as held:
        columns = session.execute(_ADMIT, {"row_id": ids.new("sub"), **said, **held}).one()._asdict()
    is_known = columns.pop("known") is not None
    row = Submission(**columns)
    make_transient_to_detached(row)  # it is in the ledger, and every column is here
    session.add(row)
    if is_known:
        settle_known(session, row)
    return row


def expect(session: Session, draft: Draft, origin: Json) -> Submission:
    """Adds a row in state `fetching`: its bytes are still where ``origin`` says, and a worker brings them.

    ``origin`` is `{"url"}`, `{"upload_id"}` or `{"bucket", "key", "version"}`. Nothing is looked up here.

    Raises:
        ForbiddenCallback: when the platform's policy allows no callback to where the draft wants one.
    """
    row = Submission(**_judged(session, draft), state="fetching", origin=origin)
    session.add(row)
    session.flush()
    return row


def _judged(session: Session, draft: Draft) -> dict[str, Any]:
    """Returns the columns that a draft fills, as its platform's policy has them."""
    rules = draft.rules
    if rules is None:
        rules = Policy()
        if draft.platform_id:
            rules = Policy.read(session.execute(_POLICY, {"id": draft.platform_id}).scalar_one())
    if draft.callback_url is not None:
        policy.check_callback(rules, draft.callback_url)
    return {name: getattr(draft, name) for name in _SAID} | {"priority": policy.priority(rules, draft.priority)}


def settle_known(session: Session, row: Submission) -> bool:
    """Settles a submission at once if the current detector has judged its bytes before; returns whether it has."""
    known = verdicts.standing(session, row.media_sha256 or "")
    if known:
        verdicts.settle_again(session, row, known)
    return known is not None


def hold(session: Session, blobs: Blobs, facts: Facts, file: BinaryIO) -> None:
    """Makes sure that media row and blob exist, and locks the row until commit."""
    with _held(blobs, facts, file) as held:
        session.execute(_HOLD, held)


@contextmanager
def _held(blobs: Blobs, facts: Facts, file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Around the statement that takes the lock of the media row: gives it the row's columns, and keeps the blob there.

    The bytes are stored before the lock; the look afterwards closes the gap in which an erasure may have removed what
    `put` found in place (`erasure` removes the blob while it holds the same lock).
    """
    key = storage.media_key(facts.sha256)
    blobs.put(key, file)
    yield {name: getattr(facts, name) for name in _FACTS}
    if not blobs.exists(key):
        blobs.put(key, file)


def remembered(session: Session, platform_id: str, key: str, fingerprint: str) -> Submission | None:
    """Returns the submission that this Idempotency-Key already made, also when it was erased meanwhile.

    Equal requests wait for each other here.

    Raises:
        KeyReused: when the key came with another body.
    """
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{platform_id} {key}", 0))))
    names = (key, erasure.veiled(platform_id, key))
    same = (IdempotencyKey.platform_id == platform_id, IdempotencyKey.key.in_(names))
    row = session.scalar(select(IdempotencyKey).where(*same))
    if row is None:
        return None
    if row.fingerprint not in (fingerprint, ""):  # of what was erased nothing is known to compare with
        raise KeyReused
    return session.get_one(Submission, row.submission_id)


def remember(session: Session, platform_id: str, key: str, fingerprint: str, submission_id: str) -> None:
    """Keeps the answer to an Idempotency-Key; to be called in the transaction of `remembered`."""
    session.add(IdempotencyKey(platform_id=platform_id, key=key, fingerprint=fingerprint, submission_id=submission_id))
