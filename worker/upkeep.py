"""Upkeep: looks at the ledger now and then, so that nothing accepted is lost with a worker, an order or Redis.

Each chore is alone: one that fails is logged, and the others are done all the same. Those that need the media store
come last, so that a slow one keeps no order from being rung.
"""

from collections.abc import Callable
from functools import partial

from celery import Celery
from sqlalchemy.orm import Session, sessionmaker

from moderation import deliveries, fetches, logins, logs, queue, retention, sources, submissions, uploads, verdicts
from moderation.blobs import Blobs
from moderation.tables import PRIORITIES
from worker import erasing

URGENT = PRIORITIES.index("urgent")

log = logs.get(__name__)


def run(
    ledger: sessionmaker[Session],
    blobs: Blobs,
    app: Celery,
    *,
    max_attempts: int,
    fetch_attempts: int,
    lane_orders: int,
    ephemeral_seconds: float,
    idempotency_hours: float,
    delivery_days: float,
) -> dict[str, object]:
    """Does every chore once; returns what each of them found, None for those that failed.

    Args:
        max_attempts: after which a submission whose lease expired fails; ``fetch_attempts`` of one that was fetched.
        ephemeral_seconds: age at which an upload from /try that nobody waited for is erased.
        idempotency_hours: age at which an Idempotency-Key is forgotten.
        delivery_days: age at which a message that ended, delivered or not, is forgotten.
    """
    chores: dict[str, Callable[[Session], object]] = {
        "taken_back": partial(submissions.take_back, max_attempts=max_attempts),
        "fetches_taken_back": partial(fetches.take_back, max_attempts=fetch_attempts),
        "forgotten": lambda session: retention.forget_keys(session, idempotency_hours),
        "messages": lambda session: retention.forget_deliveries(session, delivery_days),
        "events": sources.forget,
        "sessions": logins.forget,
        "errands": sources.outstanding,
        "waiting": submissions.waiting,
        "fetching": fetches.waiting,
        "undrawn": verdicts.undrawn,
        "due": deliveries.due,
    }
    found = {name: _alone(name, partial(_in_one, ledger, chore)) for name, chore in chores.items()}
    waiting = found["waiting"]
    if isinstance(waiting, dict):
        for priority in sorted(waiting):
            queue.ring_scoring(app, priority, lane_orders)
    if found["undrawn"]:
        queue.ring_scoring(app, URGENT, lane_orders)  # a person may be looking already
    if found["fetching"] or found["errands"]:
        queue.ring_fetching(app)
    if found["due"]:
        queue.ring_deliveries(app)
    found["uploads"] = _alone("uploads", partial(_in_one, ledger, lambda session: uploads.sweep(session, blobs)))
    found["erasing"] = _alone("erasing", partial(erasing.run, ledger, blobs, ephemeral_seconds=ephemeral_seconds))
    taken_back = {found["taken_back"], found["fetches_taken_back"]} - {None, (0, 0)}
    if taken_back or found["erasing"]:
        log.info("upkeep", **found)
    return found


def _in_one(ledger: sessionmaker[Session], chore: Callable[[Session], object]) -> object:
    with ledger.begin() as session:
        return chore(session)


def _alone(name: str, chore: Callable[[], object]) -> object:
    try:
        return chore()
    except Exception:
        log.exception("chore_failed", chore=name)
        return None
