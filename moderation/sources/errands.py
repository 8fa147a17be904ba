"""Errands of sources: documents that a worker fetches for an adapter, and what is forgotten in time.

Whoever answers a sender makes no request of its own; it notes the address here, and a worker goes. Notes are few: a
stranger who can send anything must not be able to make us go anywhere often.
"""

from typing import NamedTuple

from sqlalchemy import cast, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.orm import Session

from moderation.tables import Json, Source, SourceEvent

MOST_WANTED = 4  # addresses noted at once
MOST_KEPT = 8  # documents kept; a topic's region changes its certificate about once a year
_TO_KEEP, _TO_VISIT = None, False  # an address that nobody has been to yet


class Errand(NamedTuple):
    """An address to fetch for a source; with ``keep`` its text is wanted, else only that somebody came."""

    source_id: str
    url: str
    keep: bool


def want(session: Session, source_id: str, url: str, *, keep: bool) -> None:
    """Notes an address, unless it is noted or known, or enough are."""
    source = _locked(session, source_id)
    if source is None or url in source.documents or len(_open(source.documents)) >= MOST_WANTED:
        return
    source.documents = {**source.documents, url: _TO_KEEP if keep else _TO_VISIT}
    session.flush()


def outstanding(session: Session, limit: int = 1) -> list[Errand]:
    """Returns errands that nobody has run yet, of sources that are not disabled."""
    waiting = func.jsonb_path_exists(Source.documents, cast("$.* ? (@ == null || @ == false)", JSONPATH))
    rows = session.scalars(select(Source).where(waiting, Source.disabled_at.is_(None)).limit(limit))
    return [Errand(row.id, url, row.documents[url] is _TO_KEEP) for row in rows for url in _open(row.documents)][:limit]


def settle(session: Session, errand: Errand, text: str | None) -> None:
    """Records what an errand brought. One that failed (None) is dropped: the sender comes again, and it with them."""
    source = _locked(session, errand.source_id)
    if source is None:
        return
    left = {url: kept for url, kept in source.documents.items() if url != errand.url}
    if text is not None and errand.keep:
        kept = [url for url, value in left.items() if isinstance(value, str)]
        for oldest in kept[: max(0, len(kept) + 1 - MOST_KEPT)]:
            del left[oldest]
        left[errand.url] = text
    source.documents = left
    session.flush()


def forget(session: Session, limit: int = 5000) -> int:
    """Forgets events whose time has come, at most ``limit`` of them; returns how many."""
    old = select(SourceEvent.source_id, SourceEvent.key).where(SourceEvent.forget_at < func.clock_timestamp())
    step = old.order_by(SourceEvent.forget_at).limit(limit).with_for_update(skip_locked=True)
    gone = delete(SourceEvent).where(tuple_(SourceEvent.source_id, SourceEvent.key).in_(step))
    return len(session.execute(gone.returning(SourceEvent.key)).all())


def _open(documents: Json) -> list[str]:
    return [url for url, text in documents.items() if text is None or text is False]


def _locked(session: Session, source_id: str) -> Source | None:
    return session.get(Source, source_id, with_for_update=True, populate_existing=True)
