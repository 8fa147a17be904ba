from datetime import timedelta

import pytest
import redis
from sqlalchemy import func, select, update

from moderation import acceptance, deliveries, endpoints, fetches, people, queue, submissions
from moderation.errors import WorldDown
from moderation.tables import Delivery, Submission
from tests.conftest import PASSWORD
from worker import upkeep


@pytest.fixture
def app(redis_url):
    redis.Redis.from_url(redis_url).flushdb()
    yield queue.application(redis_url)
    redis.Redis.from_url(redis_url).flushdb()


@pytest.fixture
def run(Session, blobs, app):
    def _run(**options):
        limits = {
            "max_attempts": 2,
            "fetch_attempts": 2,
            "lane_orders": 3,
            "ephemeral_seconds": 600,
            "idempotency_hours": 24,
            "delivery_days": 30,
        }
        return upkeep.run(Session, blobs, app, **{**limits, **options})

    return _run


def orders(app):
    return {lane: queue.length(app, lane) for lane in (*queue.LANES, queue.DELIVERIES)}


def test_it_rings_for_what_waits_on_its_lane_and_for_webhooks_that_are_due(Session, home, app, run, send):
    run()
    assert set(orders(app).values()) == {0}
    send(priority=0), send("blue", priority=2)
    with Session.begin() as session:
        endpoints.create(session, home, "http://127.0.0.1:9/", allowed_networks=["127.0.0.0/8"])
        deliveries.enqueue(session, platform_id=home, event="flag.opened", data={})
    found = run()
    assert (found["waiting"], found["due"]) == ({0: 1, 2: 1}, 1)
    assert orders(app) == {"scoring.urgent": 1, "scoring.default": 0, "scoring.bulk": 1, "deliveries": 1}


def test_it_rings_for_what_is_to_be_fetched_and_takes_back_what_was_lost(Session, home, app, run):
    with Session.begin() as session:
        acceptance.expect(session, acceptance.Draft(platform_id=home), {"url": "https://media.example.org/a.jpg"})
    assert run()["fetching"] == 1
    assert queue.length(app, queue.FETCHING) == 1
    with Session.begin() as session:
        fetches.claim(session, "dead", limit=1, lease_seconds=0.001, per_platform=1, per_host=1)
    found = run()
    assert (found["fetches_taken_back"], found["fetching"], found["waiting"]) == ((1, 0), 1, {})


def test_it_does_not_fill_a_lane_that_nobody_reads(app, run, send):
    send()
    for _ in range(6):
        run()
    assert orders(app)["scoring.default"] == 3


def test_expired_leases_go_back_and_then_fail_with_a_reason(Session, home, app, run, send):
    lost = send()
    with Session.begin() as session:
        endpoints.create(session, home, "http://127.0.0.1:9/", allowed_networks=["127.0.0.0/8"])
    for expected in ((1, 0), (0, 1)):
        with Session.begin() as session:
            submissions.claim(session, limit=1, lease_seconds=60)
        assert run()["taken_back"] == (0, 0)
        with Session.begin() as session:
            session.execute(update(Submission).values(lease_expires_at=func.now() - timedelta(seconds=1)))
        assert run()["taken_back"] == expected
    with Session() as session:
        assert session.get_one(Submission, lost).failure_slug == submissions.OUT_OF_ATTEMPTS
        assert session.scalars(select(Delivery.event)).all() == ["submission.failed"]


def test_what_somebody_tried_is_erased_once_it_is_old(Session, run, blobs, send):
    with Session.begin() as session:
        person = people.create(session, "mo@example.org", "moderator", PASSWORD).id
    send(person_id=person), send("blue")
    assert run()["erasing"] == {}
    with Session.begin() as session:
        session.execute(update(Submission).values(received_at=func.now() - timedelta(seconds=601)))
    assert run()["erasing"] == {"erased": 1}
    with Session() as session:
        assert session.scalars(select(Submission.person_id)).all() == [None]


def test_one_chore_that_fails_does_not_keep_the_others_from_theirs(app, run, send, monkeypatch):
    def away(*_, **__):
        raise WorldDown

    monkeypatch.setattr(upkeep.erasing, "run", away)
    monkeypatch.setattr(upkeep.submissions, "take_back", away)
    send()
    found = run()
    assert (found["taken_back"], found["erasing"], found["forgotten"]) == (None, None, 0)
    assert orders(app)["scoring.default"] == 1


def test_without_redis_the_ledger_is_kept_all_the_same(Session, blobs, send):
    send()
    away = queue.application("redis://127.0.0.1:1/0")
    found = upkeep.run(
        Session,
        blobs,
        away,
        max_attempts=2,
        fetch_attempts=2,
        lane_orders=3,
        ephemeral_seconds=600,
        idempotency_hours=24,
        delivery_days=30,
    )
    assert found["waiting"] == {1: 1}
