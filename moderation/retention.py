"""Retention: what goes because it is old, by a platform's policy and by the house's own rules, in bounded steps.

It names and deletes rows; the erasure of a submission itself is `erasure`. Audit rows are never deleted.
"""

import heapq
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from moderation import logs
from moderation.errors import Refused
from moderation.policy import Policy
from moderation.tables import Delivery, IdempotencyKey, Platform, Submission

ACTOR = "retention"  # who erases by policy, in the audit
STEP = 1_000  # rows of a table deleted at once

log = logs.get(__name__)
_now = func.clock_timestamp


def due(session: Session, limit: int) -> list[str]:
    """Returns up to ``limit`` submissions that their platforms' policies keep no longer, longest overdue first.

    Days count from when a submission was finished. An open flag does not keep it: the promise is to the person in the
    picture. A policy that cannot be read is logged, and keeps no other platform's from being followed.
    """
    retains = Platform.policy.has_key("retention_days")
    lines = [_line(session, row, limit) for row in session.scalars(select(Platform).where(retains))]
    return [submission_id for _, submission_id in heapq.nsmallest(limit, (found for line in lines for found in line))]


def _line(session: Session, platform: Platform, limit: int) -> list[tuple[datetime, str]]:
    """Returns when each of a platform's oldest submissions was to go, and its id."""
    try:
        days = Policy.read(platform.policy).retention_days
    except Refused as error:
        log.error("policy_unreadable", platform=platform.id, error=error.detail)  # noqa: TRY400 - no bug of ours
        return []
    if days is None:
        return []
    kept = timedelta(days=days)
    mine = (Submission.platform_id == platform.id, Submission.state != "deleted")
    query = select(Submission.finished_at, Submission.id).where(*mine, Submission.finished_at < _now() - kept)
    query = query.order_by(Submission.finished_at).limit(limit)
    return [(at + kept, submission_id) for at, submission_id in session.execute(query) if at]


def forgotten_trials(session: Session, older_than_seconds: float, limit: int) -> list[str]:
    """Returns up to ``limit`` uploads from /try that nobody waited for."""
    old = Submission.received_at < _now() - timedelta(seconds=older_than_seconds)
    mine = (Submission.person_id.is_not(None), Submission.state != "deleted", old)
    return list(session.scalars(select(Submission.id).where(*mine).limit(limit)))


def forget_keys(session: Session, hours: float) -> int:
    """Forgets Idempotency-Keys older than ``hours``; returns how many."""
    old = select(IdempotencyKey.key, IdempotencyKey.platform_id).where(
        IdempotencyKey.created_at < _now() - timedelta(hours=hours)
    )
    chosen = old.order_by(IdempotencyKey.created_at).limit(STEP).subquery()
    same = (IdempotencyKey.key == chosen.c.key, IdempotencyKey.platform_id == chosen.c.platform_id)
    return len(session.execute(delete(IdempotencyKey).where(*same).returning(IdempotencyKey.key)).all())


def forget_deliveries(session: Session, days: float) -> int:
    """Forgets messages that ended ``days`` ago, delivered or not, with their attempts; returns how many."""
    old = (Delivery.state != "waiting", Delivery.finished_at < _now() - timedelta(days=days))
    chosen = select(Delivery.id).where(*old).order_by(Delivery.finished_at).limit(STEP)
    return len(session.execute(delete(Delivery).where(Delivery.id.in_(chosen)).returning(Delivery.id)).all())
