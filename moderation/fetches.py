"""Fetches: submissions whose bytes are still elsewhere; claimed, brought and handed to scoring, or failed.

A claim is a lease, as in scoring, that one run of a fetching process keeps for all it claims. No platform and no host
gets more than its share of a run, and platforms take turns: neither a flood nor a dripping server holds up the others.

An attempt is counted when one has failed, and before the bytes are parsed. So what a process was only downloading when
it died costs nothing, and a file that kills whoever opens it cannot take its neighbours down with it.
"""

import random
from datetime import timedelta
from typing import BinaryIO

from sqlalchemy import ColumnElement, Subquery, and_, func, or_, select, update
from sqlalchemy.orm import Session

from moderation import acceptance, submissions, uploads
from moderation.blobs import Blobs
from moderation.media import Facts
from moderation.submissions import OUT_OF_ATTEMPTS, TakenBack
from moderation.tables import Submission

FIRST_DELAY = 5.0  # seconds until the second attempt, and four times as long until each further one
JITTER = 0.2  # a share of the delay, either way
LONGEST_DELAY = 3_600.0  # however long a server asks to be left alone
PATIENCE_HOURS = 24  # a lost lease is not tried again for a submission older than this

_now = func.clock_timestamp


def claim(
    session: Session, lease: str, *, limit: int, lease_seconds: float, per_platform: int, per_host: int
) -> list[Submission]:
    """Adds up to ``limit`` due submissions to ``lease``: most urgent first, then platforms in turn, then oldest first.

    Args:
        per_platform: how many of one platform this lease may hold at a time; ``per_host`` of one host or bucket.
    """
    due = and_(Submission.lease.is_(None), Submission.due_at <= _now())
    known = (Submission.id, Submission.platform_id, Submission.priority, Submission.received_at)
    line = (
        select(*known, _host().label("host"), due.label("due"))
        .where(Submission.state == "fetching", or_(due, Submission.lease == lease))
        .subquery()
    )
    turns = _ranked(line, "turn", ["host", "platform_id"])
    places = _ranked(turns, "place", ["host"], by="turn")
    # A platform's share is counted among what its hosts have room for: a slow one keeps it from no other.
    shares = _ranked(select(places).where(places.c.place <= per_host).subquery(), "share", ["platform_id"])
    rows = session.scalars(
        select(Submission)
        .join(shares, shares.c.id == Submission.id)
        .where(Submission.state == "fetching", due, shares.c.share <= per_platform)
        .order_by(Submission.priority, shares.c.share, Submission.received_at)
        .limit(limit)
        .with_for_update(of=Submission, skip_locked=True)
    ).all()
    expires = session.scalar(select(_now() + timedelta(seconds=lease_seconds)))
    for row in rows:
        row.lease, row.lease_expires_at = lease, expires
    session.flush()
    return list(rows)


def _ranked(rows: Subquery, name: str, within: list[str], by: str | None = None) -> Subquery:
    """Numbers rows within a group: those in flight first, then the most urgent, then ``by``, then the oldest."""
    order = ["due", "priority", *([by] if by else []), "received_at"]  # false is before true: in flight
    groups = [func.hashtext(rows.c[column]) for column in within]  # numbers sort in a third of the time of texts
    rank = func.row_number().over(partition_by=groups, order_by=[rows.c[column] for column in order])
    return select(rows, rank.label(name)).subquery()


def _host() -> ColumnElement[str]:
    """The server that is asked: a URL's host and port, or a bucket; what is in our own store is its own."""
    rest = func.split_part(Submission.origin["url"].astext, "//", 2)
    for end in "/?#":  # a regular expression would take most of a claim's time
        rest = func.split_part(rest, end, 1)
    return func.coalesce(func.lower(rest), Submission.origin["bucket"].astext, Submission.id)


def held(session: Session, lease: str, submission_id: str) -> Submission | None:
    """Returns the submission, locked, if this lease still holds it: neither erased nor taken back."""
    mine = (Submission.id == submission_id) & (Submission.lease == lease) & (Submission.state == "fetching")
    found = select(Submission).where(mine).with_for_update().execution_options(populate_existing=True)
    return session.scalar(found)


def count(session: Session, lease: str, submission_id: str) -> bool:
    """Counts an attempt, before the bytes are opened. False: the lease is no longer ours."""
    row = held(session, lease, submission_id)
    if row is not None:
        row.attempts += 1
    return row is not None


def finish(
    session: Session, blobs: Blobs, lease: str, submission_id: str, facts: Facts, file: BinaryIO
) -> Submission | None:
    """Stores the bytes and moves the submission to the line, or settles it if they were judged before.

    Returns None, and stores nothing, when the lease is no longer ours. The row stays locked meanwhile: an erasure waits
    for it, and an expired lease is not taken back. Where storing takes long, `acceptance.store_ahead` has done it.

    Raises:
        WorldDown: when the bytes cannot be stored; then nothing has changed.
    """
    row = held(session, lease, submission_id)
    if row is None:
        return None
    acceptance.hold(session, blobs, facts, file)
    row.media_sha256, row.state, row.attempts = facts.sha256, "waiting", 0
    row.lease = row.lease_expires_at = None
    session.flush()
    acceptance.settle_known(session, row)
    _spend(session, blobs, row)
    return row


def fail(session: Session, blobs: Blobs, lease: str, submission_id: str, slug: str, detail: str) -> bool:
    """Ends a submission with a reason the platform can read. False: the lease is no longer ours, nothing changed.

    Raises:
        WorldDown: when an upload that it spent cannot be removed; then nothing has changed.
    """
    row = held(session, lease, submission_id)
    if row is None:
        return False
    submissions.end(session, row, slug, detail)
    _spend(session, blobs, row)
    return True


def _spend(session: Session, blobs: Blobs, row: Submission) -> None:
    if row.origin and "upload_id" in row.origin:
        uploads.spend(session, blobs, row.origin["upload_id"])


def retry(
    session: Session,
    lease: str,
    submission_id: str,
    slug: str,
    detail: str,
    *,
    max_attempts: int,
    retry_after: float | None = None,
) -> str:
    """Counts a failed attempt; returns `retried`, `failed` when that was the last one, or `lost`."""
    row = held(session, lease, submission_id)
    if row is None:
        return "lost"
    row.attempts += 1
    if row.attempts >= max_attempts:
        submissions.end(session, row, slug, f"{detail} (tried {row.attempts} times)")
        return "failed"
    delay = FIRST_DELAY * 4 ** (row.attempts - 1) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    wait = min(max(delay, retry_after or 0), LONGEST_DELAY)
    row.lease = row.lease_expires_at = None
    row.due_at = session.scalars(select(_now() + timedelta(seconds=wait))).one()
    session.flush()
    return "retried"


def put_back(session: Session, lease: str, row: Submission, delay_seconds: float) -> bool:
    """Gives a claimed ``row`` back to the line as it was, no attempt counted. False: it is no longer ours."""
    mine = (Submission.id == row.id) & (Submission.lease == lease) & (Submission.state == "fetching")
    given = (
        update(Submission)
        .where(mine)
        .values(
            lease=None,
            lease_expires_at=None,
            attempts=row.attempts,
            due_at=_now() + timedelta(seconds=delay_seconds),
        )
        .returning(Submission.id)
        .execution_options(synchronize_session=False)
    )
    return bool(session.scalars(given).all())


def take_back(session: Session, *, max_attempts: int, limit: int = 500) -> TakenBack:
    """Ends leases that have expired: back to the line, or failed when out of attempts or too old to be worth one."""
    expired = (Submission.state == "fetching") & (Submission.lease_expires_at < _now())
    rows = session.scalars(select(Submission).where(expired).limit(limit).with_for_update(skip_locked=True)).all()
    oldest = session.scalars(select(_now() - timedelta(hours=PATIENCE_HOURS))).one()
    failed = 0
    for row in rows:
        if row.attempts >= max_attempts or row.received_at < oldest:
            submissions.end(session, row, OUT_OF_ATTEMPTS, "fetching was tried again and again and never finished")
            failed += 1
        else:
            row.lease = row.lease_expires_at = None
    session.flush()
    return TakenBack(len(rows) - failed, failed)


def waiting(session: Session) -> int:
    """Returns how many submissions could be fetched now."""
    due = (Submission.state == "fetching", Submission.lease.is_(None), Submission.due_at <= _now())
    return session.scalars(select(func.count()).where(*due)).one()
