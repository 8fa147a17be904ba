"""Due times that survive a clock that is set back.

When something is due is in the ledger as a time of day, by the database's clock. Set back by an hour, everything that
was received, leased or put off before would wait for an hour more. Upkeep notes the time at each of its rounds; when
that is later than now, the clock was set back in between, and what is still to come is moved back by as much.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from moderation import logs
from moderation.tables import Delivery, Flag, Round, Submission

NAME = "clock"
LEAST = 2.0  # seconds: below that a clock is corrected, not set

# every time that is compared with now and may lie ahead of it
_AHEAD: tuple[InstrumentedAttribute[Any], ...] = (
    Submission.due_at,
    Submission.lease_expires_at,
    Delivery.next_attempt_at,
    Flag.claim_expires_at,
    Round.due_at,
)

_now = func.clock_timestamp

log = logs.get(__name__)


def follow(session: Session) -> float:
    """Moves due times after a clock that was set back; returns the seconds by which it was, or 0."""
    now = session.scalars(select(_now())).one()
    session.execute(insert(Round).values(name=NAME, due_at=now).on_conflict_do_nothing())
    seen = session.get_one(Round, NAME, with_for_update=True, populate_existing=True)
    back: float = (seen.due_at - now).total_seconds()
    seen.due_at = now
    session.flush()
    if back < LEAST:
        return 0.0
    for column in _AHEAD:
        _move(session, column, now, timedelta(seconds=back))
    log.warning("clock_set_back", seconds=round(back, 1))
    return back


def _move(session: Session, column: InstrumentedAttribute[Any], now: datetime, by: timedelta) -> None:
    table = column.class_
    ahead = update(table).where(column > now).values({column: column - by})
    session.execute(ahead, execution_options={"synchronize_session": False})
