"""Submissions: listed, claimed for scoring, given back, failed.

A claim is a lease: whoever holds it may record outcomes, and nobody else. Doing anything here twice changes nothing.
"""

import re
import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Select, and_, func, literal, select, tuple_, update
from sqlalchemy.orm import Session, joinedload

from moderation import deliveries, documents, verdicts
from moderation.errors import NotFound, Refused
from moderation.tables import FINAL_STATES, Media, Submission

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"[0-9]{16}_sub_[0-9a-z]{26}")  # microseconds since 1970, and the id of the page's last row
OUT_OF_ATTEMPTS = "attempts-exhausted"


class Claim(NamedTuple):
    """A lease and the submissions it holds, in the order they are to be scored. Empty: nothing waits."""

    lease: str
    submissions: list[Submission]


class TakenBack(NamedTuple):
    """How many expired leases went back to the line, and how many submissions are out of attempts."""

    waiting: int
    failed: int


def get(session: Session, platform_id: str, submission_id: str) -> Submission:
    """Returns a platform's own submission.

    Raises:
        NotFound: when there is none, or it is somebody else's.
    """
    found = session.scalar(_loaded().where(Submission.id == submission_id, Submission.platform_id == platform_id))
    if found is None:
        raise NotFound(f"there is no submission {submission_id}")
    return found


def _loaded() -> Select[Submission]:
    return select(Submission).options(joinedload(Submission.verdict), joinedload(Submission.media))


def ended(session: Session, ids: Collection[str]) -> list[str]:
    """Returns those of the submissions that are in a final state."""
    final = Submission.state.in_(FINAL_STATES) | Submission.erase_asked_at.is_not(None)
    return list(session.scalars(select(Submission.id).where(Submission.id.in_(ids), final)))


def page(
    session: Session,
    platform_id: str,
    *,
    state: str | None = None,
    external_id: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[Submission], str | None]:
    """Returns submissions, newest first, and the cursor of the next page (None on the last).

    Raises:
        Refused: when the cursor is not one of ours.
    """
    query = _loaded().where(Submission.platform_id == platform_id)
    if state is not None:
        query = query.where(Submission.state == state)
    if external_id is not None:
        query = query.where(Submission.external_id == external_id)
    if since is not None:
        query = query.where(Submission.received_at >= since)
    if cursor is not None:
        query = query.where(tuple_(Submission.received_at, Submission.id) < _position(cursor))
    newest = query.order_by(Submission.received_at.desc(), Submission.id.desc()).limit(limit + 1)
    rows = list(session.scalars(newest))
    more = len(rows) > limit
    return rows[:limit], _cursor(rows[limit - 1]) if more else None


def _cursor(row: Submission) -> str:
    return f"{(row.received_at - _EPOCH) // timedelta(microseconds=1):016d}_{row.id}"


def _position(cursor: str) -> tuple[datetime, str]:
    if not _CURSOR.fullmatch(cursor):
        raise Refused("the cursor is not one that this service gave")
    microseconds, _, row_id = cursor.partition("_")
    return _EPOCH + timedelta(microseconds=int(microseconds)), row_id


def claim(session: Session, *, limit: int, lease_seconds: float, max_bytes: int | None = None) -> Claim:
    """Takes up to ``limit`` waiting submissions, most urgent and oldest first; other claimants' rows are passed over.

    Their media have at most ``max_bytes`` together, unless one alone has more: what is claimed lies in memory at once.

    A second attempt is taken alone, so that one poisonous file cannot take its neighbours down with it.
    """
    lease = secrets.token_hex(8)
    head = session.scalar(_line().limit(1))
    if head is None:
        return Claim(lease, [])
    again = head.attempts > 0
    rows = [head] if again else list(session.scalars(_line().where(Submission.attempts == 0).limit(limit)))
    rows = rows if max_bytes is None else _within(session, rows, max_bytes)
    expires = session.scalar(select(func.clock_timestamp() + timedelta(seconds=lease_seconds)))
    for row in rows:
        row.state, row.lease, row.lease_expires_at, row.attempts = "scoring", lease, expires, row.attempts + 1
    session.flush()
    return Claim(lease, rows)


def _within(session: Session, rows: list[Submission], max_bytes: int) -> list[Submission]:
    """The first of ``rows`` that fit together; the others were locked for a moment, and stay in the line."""
    wanted = {row.media_sha256 for row in rows}
    sizes = dict(session.execute(select(Media.sha256, Media.bytes).where(Media.sha256.in_(wanted))).all())
    total = 0
    for count, row in enumerate(rows):
        total += sizes.pop(row.media_sha256 or "", 0)  # equal files are read once
        if total > max_bytes and count:
            return rows[:count]
    return rows


def _line() -> Select[Submission]:
    due = and_(Submission.state == "waiting", Submission.due_at <= func.clock_timestamp())
    first = (Submission.priority, Submission.received_at)
    return select(Submission).where(due).order_by(*first).with_for_update(skip_locked=True)


def renew(session: Session, lease: str, lease_seconds: float) -> int:
    """Extends a lease from now; returns how many submissions were extended.

    Those that are being finished this moment are locked, and passed over: waiting for one would let the others expire,
    and nobody can take back what is locked.
    """
    held = select(Submission.id).where(Submission.lease == lease).with_for_update(skip_locked=True)
    expires = func.clock_timestamp() + timedelta(seconds=lease_seconds)
    extended = update(Submission).where(Submission.id.in_(session.scalars(held).all()))
    return len(session.execute(extended.values(lease_expires_at=expires).returning(Submission.id)).all())


def put_back(session: Session, lease: str, delay_seconds: float) -> int:
    """Gives everything a lease holds back to the line, because the world was down: no attempt is counted."""
    rows = session.execute(
        update(Submission)
        .where(Submission.lease == lease)
        .values(
            state="waiting",
            lease=None,
            lease_expires_at=None,
            attempts=Submission.attempts - 1,
            due_at=func.clock_timestamp() + timedelta(seconds=delay_seconds),
        )
        .returning(Submission.id)
    )
    return len(rows.all())


def fail(session: Session, lease: str, submission_id: str, slug: str, detail: str) -> bool:
    """Ends a submission with a reason the platform can read. False: the lease is no longer ours, nothing changed."""
    row = verdicts.held(session, lease, submission_id)
    if row is None:
        return False
    end(session, row, slug, detail)
    return True


def end(session: Session, row: Submission, slug: str, detail: str) -> None:
    """Ends a submission that the caller holds with a reason, and tells its platform."""
    row.state, row.failure_slug, row.failure_detail = "failed", slug, detail
    row.lease = row.lease_expires_at = None
    row.finished_at = session.scalar(select(func.clock_timestamp()))
    session.flush()
    if row.platform_id is not None:
        deliveries.enqueue(
            session,
            platform_id=row.platform_id,
            event="submission.failed",
            submission_id=row.id,
            callback_url=row.callback_url,
            data=documents.submission(row),
        )


def take_back(session: Session, *, max_attempts: int, limit: int = 500) -> TakenBack:
    """Ends leases that have expired: back to the line, or failed when out of attempts."""
    expired = (Submission.state == "scoring") & (Submission.lease_expires_at < func.clock_timestamp())
    rows = session.scalars(select(Submission).where(expired).limit(limit).with_for_update(skip_locked=True)).all()
    failed = 0
    for row in rows:
        if row.attempts >= max_attempts:
            end(session, row, OUT_OF_ATTEMPTS, f"scoring was tried {row.attempts} times and never finished")
            failed += 1
        else:
            row.state, row.lease, row.lease_expires_at = "waiting", None, None
    session.flush()
    return TakenBack(len(rows) - failed, failed)


def line(session: Session, *, most: int) -> int:
    """Returns how many submissions are to be fetched or scored, put back or not; it counts no further than ``most``."""
    states = (
        select(literal(1)).where(Submission.state == state).limit(most).subquery() for state in ("waiting", "fetching")
    )
    counts = [session.scalars(select(func.count()).select_from(rows)).one() for rows in states]
    return min(sum(counts), most)


def waiting(session: Session) -> dict[int, int]:
    """Returns how many submissions are due in the line, by priority."""
    due = and_(Submission.state == "waiting", Submission.due_at <= func.clock_timestamp())
    counted = session.execute(select(Submission.priority, func.count()).where(due).group_by(Submission.priority))
    return dict(counted.all())
