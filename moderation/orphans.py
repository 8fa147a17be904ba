"""Orphans: blobs that no row knows, since a client died between its upload and the commit, or an erasure broke off.

The store is walked round and round in bounded steps, and how far that has come is in the ledger. What is younger than a
day is passed over: its row may be about to be committed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from moderation import erasure
from moderation.blobs import Blobs, Found
from moderation.tables import Round, Submission, Upload

NAME = "orphans"
YOUNG = timedelta(days=1)
REST = timedelta(hours=1)  # between two rounds

_now = func.clock_timestamp


def look(session: Session, blobs: Blobs, limit: int = 1000) -> list[str]:
    """Goes on by up to ``limit`` blobs and returns the keys of those that nobody holds; [] while the round rests.

    At the end of a round, what interrupted puts left in the store is removed.

    Raises:
        WorldDown: when the store does not answer; the step is to be taken again.
    """
    session.execute(insert(Round).values(name=NAME).on_conflict_do_nothing())
    mine = select(Round).where(Round.name == NAME, Round.due_at <= _now()).with_for_update(skip_locked=True)
    here = session.scalar(mine)
    if here is None:
        return []
    old = datetime.now(UTC) - YOUNG
    page = blobs.walk(here.position, limit)
    here.position = page.after or ""
    if page.after is None:
        blobs.clean(old)
        here.due_at = session.scalars(select(_now() + REST)).one()
    session.flush()
    return _unheld(session, [found for found in page.found if found.at < old])


def _unheld(session: Session, found: Sequence[Found]) -> list[str]:
    names = {blob.key: blob.key.partition("/")[2] for blob in found}
    holders = select(Submission.media_sha256).where(
        Submission.media_sha256.in_(set(names.values())), Submission.erase_asked_at.is_(None)
    )
    promised = select(Upload.id).where(Upload.id.in_(set(names.values())))
    known = {*session.scalars(holders), *session.scalars(promised)}
    return [key for key, name in names.items() if name not in known]


def remove(session: Session, blobs: Blobs, key: str) -> bool:
    """Removes a blob that `look` named, if still nobody holds it; returns whether it went.

    Raises:
        WorldDown: when it cannot be removed.
    """
    kind, _, name = key.partition("/")
    if kind != "uploads":
        return erasure.let_go(session, blobs, name)
    if session.get(Upload, name) is not None:
        return False
    blobs.delete(key)
    return True


def rest(session: Session, seconds: float) -> None:
    """Takes the next step no sooner than in ``seconds``: the store does not answer."""
    here = session.get(Round, NAME, with_for_update=True)
    if here is not None:
        here.due_at = session.scalars(select(_now() + timedelta(seconds=seconds))).one()
