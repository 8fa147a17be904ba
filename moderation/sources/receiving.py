"""Receiving: a message becomes submissions, each medium once, in one transaction; or it is told why not.

Keys are remembered by their SHA-256 in the transaction that adds the submissions, so whoever repeats, reorders or
doubles events, at once or after a crash, makes no second submission.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from moderation import acceptance
from moderation.acceptance import Draft
from moderation.errors import SourceDisabled
from moderation.sources import bodies, catalogue, errands, registry
from moderation.sources.events import Event, Medium, Message, Wanted
from moderation.tables import PRIORITIES, Source, SourceEvent, Submission

MOST_MEDIA = 100  # of one event: no sender of ours has more, and a transaction has an end
REMEMBERED = timedelta(days=30)  # senders give up after days
_TOUCH = timedelta(seconds=10)  # last_event_at is written at most this often, so that events do not wait for each other


@dataclass(frozen=True, slots=True)
class Received:
    """What came of a message: submissions added, or why there are none. With ``retry`` the sender is to come again."""

    submissions: list[Submission] = field(default_factory=list)
    duplicate: bool = False
    ignored: str | None = None
    retry: str | None = None


def receive(
    session: Session, source: Source, headers: Mapping[str, str], body: bytes, at: float | None = None
) -> Received:
    """Verifies a message of ``source`` and expects the media that it tells of.

    Args:
        at: when it came, in seconds since 1970; now by default.

    Raises:
        SourceDisabled: when the source takes nothing.
        BadSignature: when the message is not the sender's.
        BadEvent: when it is, and cannot be read.
    """
    if source.disabled_at is not None:
        raise SourceDisabled
    adapter, message = registry.find(source.kind), as_message(headers, body, at)
    terms = catalogue.terms(source, datetime.fromtimestamp(message.at, UTC))
    try:
        adapter.verify(terms, message)
        event = adapter.read(terms, message)
    except Wanted as wanted:
        errands.want(session, source.id, wanted.url, keep=True)
        return Received(retry="a certificate is being fetched; send it again")
    _touch(session, source)
    if event.visit:
        errands.want(session, source.id, event.visit, keep=False)
    return _taken(session, source, event)


def as_message(headers: Mapping[str, str], body: bytes, at: float | None) -> Message:
    """Returns what came in the form that adapters read."""
    return Message({name.lower(): value for name, value in headers.items()}, body, time.time() if at is None else at)


def _taken(session: Session, source: Source, event: Event) -> Received:
    if event.kind != "media":
        return Received(ignored=event.note or f"{event.name}: nothing to take")
    notes = [event.note] if event.note else []
    if event.unready:
        notes.append(f"{event.unready} media have no address yet")
    if len(event.media) > MOST_MEDIA:
        notes.append(f"only the first {MOST_MEDIA} of {len(event.media)} media are taken")
    if not event.media:
        told = "; ".join(notes) or "it tells of no media"
        return Received(retry=told) if event.unready else Received(ignored=told)
    whole = None if event.unready else event.key  # told again with an address, it must not count as known
    rows, fresh = take(session, source, event.media[:MOST_MEDIA], event_key=whole)
    return Received(rows, duplicate=not fresh, ignored="; ".join(notes) or None)


def take(
    session: Session, source: Source, media: Sequence[Medium], *, event_key: str | None = None
) -> tuple[list[Submission], bool]:
    """Expects those of ``media`` that are not known; returns their submissions, and whether anything was new.

    Raises:
        BadEvent: when the context of one cannot be kept.
    """
    kept = {digest("medium", medium.key): medium for medium in media}
    keys = set(kept) | ({digest("event", event_key)} if event_key else set())
    fresh = _remember(session, source, keys)
    new = [medium for key, medium in kept.items() if key in fresh]
    rows = [acceptance.expect(session, _draft(source, medium), medium.origin) for medium in new]
    return rows, bool(rows) or bool(event_key and digest("event", event_key) in fresh)


def known(session: Session, source: Source, media: Iterable[Medium]) -> frozenset[str]:
    """Returns the keys of those ``media`` that the source has told of before."""
    keys = {digest("medium", medium.key): medium.key for medium in media}
    return frozenset(keys[key] for key in _told(session, source, keys))


def has_told(session: Session, source: Source, event: Event) -> bool:
    """Says whether the source has told of this very event before."""
    return bool(_told(session, source, [digest("event", event.key)]))


def _told(session: Session, source: Source, keys: Iterable[str]) -> Sequence[str]:
    mine = SourceEvent.source_id == source.id
    return session.scalars(select(SourceEvent.key).where(mine, SourceEvent.key.in_(list(keys)))).all()


def digest(sort: str, key: str) -> str:
    """Returns how a deduplication key is remembered: nothing of what it was made of can be read back."""
    return hashlib.sha256(f"{sort} {key}".encode(errors="replace")).hexdigest()


def _remember(session: Session, source: Source, keys: set[str]) -> set[str]:
    """Returns those of ``keys`` that were new. Sorted, so that two transactions that bring the same cannot deadlock."""
    if not keys:
        return set()
    lasting = registry.find(source.kind).lasting
    forget_at = None if lasting else func.clock_timestamp() + REMEMBERED
    rows = [{"source_id": source.id, "key": key, "forget_at": forget_at} for key in sorted(keys)]
    return set(session.scalars(insert(SourceEvent).values(rows).on_conflict_do_nothing().returning(SourceEvent.key)))


def _draft(source: Source, medium: Medium) -> Draft:
    usual = source.options.get("priority")
    return Draft(
        platform_id=source.platform_id,
        source_id=source.id,
        external_id=_short(medium.external_id),
        priority=PRIORITIES.index(usual) if usual and medium.priority is None else medium.priority,
        context=bodies.context(medium.context),
    )


def _short(name: str | None, longest: int = 255) -> str | None:
    """Returns a name as an `external_id` can be asked for; a longer one ends in a digest of the whole."""
    if name is None or len(name) <= longest:
        return name
    return f"{name[: longest - 17]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _touch(session: Session, source: Source) -> None:
    stale = or_(Source.last_event_at.is_(None), Source.last_event_at < func.clock_timestamp() - _TOUCH)
    session.execute(update(Source).where(Source.id == source.id, stale).values(last_event_at=func.clock_timestamp()))
