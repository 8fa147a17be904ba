"""A clock that is set back, as the ledger sees it: every time in it lies later than it should."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from moderation import clocks, deliveries, endpoints, fetches, submissions
from moderation.tables import Base, Delivery, Flag, Round, Submission

HOUR = timedelta(hours=1)


def set_back(session, by=HOUR):
    """What a clock that is set back does to the ledger: now is earlier, so what is in it is later."""
    for column in (*clocks._AHEAD, Submission.received_at):
        session.execute(update(column.class_).values({column: column + by}))
    session.expire_all()


def due(session):
    return submissions.waiting(session), fetches.waiting(session), deliveries.due(session)


@pytest.fixture
def ledger(session, platform, submit):
    """One submission that waits, one that is leased, one to be fetched later, a message, and the time noted."""
    leased = submit(external_id="leased")
    submissions.claim(session, limit=1, lease_seconds=60)
    waiting = submit(external_id="waits")
    endpoints.create(session, platform.platform.id, "http://127.0.0.1:9/", allowed_networks=["127.0.0.0/8"])
    deliveries.enqueue(session, platform_id=platform.platform.id, event="flag.opened", data={})
    assert clocks.follow(session) == 0
    return {"leased": leased.id, "waiting": waiting.id}


def remaining(session, column, key):
    row = column.class_
    return session.scalar(select(func.extract("epoch", column - func.clock_timestamp())).where(row.id == key))


@pytest.mark.parametrize("by", [timedelta(seconds=30), HOUR, timedelta(days=400)])
def test_what_was_due_is_due_and_what_was_to_come_comes_as_soon_as_before(session, ledger, by):
    before = due(session)
    assert before == ({1: 1}, 0, 1)
    set_back(session, by)
    assert due(session) == ({}, 0, 0)
    assert clocks.follow(session) == pytest.approx(by.total_seconds(), abs=20)
    assert due(session) == before
    assert 0 < remaining(session, Submission.lease_expires_at, ledger["leased"]) <= 60
    assert clocks.follow(session) == 0


def test_an_expired_lease_is_taken_back_all_the_same(session, ledger):
    session.execute(
        update(Submission).where(Submission.lease.is_not(None)).values(lease_expires_at=func.now() - HOUR * 2)
    )
    set_back(session)
    clocks.follow(session)
    assert submissions.take_back(session, max_attempts=3) == (1, 0)


def test_a_clock_that_goes_on_or_is_set_forward_moves_nothing(session, ledger):
    column = Submission.lease_expires_at
    before = session.scalar(select(column).where(Submission.id == ledger["leased"]))
    for behind in (timedelta(0), timedelta(seconds=-1), -HOUR):
        session.execute(update(Round).where(Round.name == clocks.NAME).values(due_at=func.clock_timestamp() + behind))
        session.expire_all()
        assert clocks.follow(session) == 0
    assert session.scalar(select(column).where(Submission.id == ledger["leased"])) == before


def test_every_time_that_may_lie_ahead_is_followed():
    """A new column whose name says that it lies ahead must be listed, or said here why not."""
    bound = {"api_keys.expires_at", "uploads.expires_at"}  # promised to others as a time of day
    named = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name.endswith(("due_at", "expires_at", "next_attempt_at"))
    }
    followed = {f"{column.class_.__tablename__}.{column.key}" for column in clocks._AHEAD}
    assert named - bound == followed
    assert {Delivery.__tablename__, Flag.__tablename__} <= {column.class_.__tablename__ for column in clocks._AHEAD}
