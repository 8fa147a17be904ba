"""Retention: what is old goes by its platform's policy, oldest first and no more than asked for."""

from datetime import timedelta

from sqlalchemy import func, select

from moderation import acceptance, deliveries, endpoints, platforms, retention
from moderation.tables import Delivery, DeliveryAttempt, IdempotencyKey
from tests.conftest import jpeg
from tests.moderation.test_erasure import count, judge_all


def age(session, row, days):
    row.finished_at = session.scalar(select(func.now() - timedelta(days=days)))
    session.flush()


def test_what_a_policy_keeps_no_longer_is_due_the_longest_overdue_first(session, submit, platform):
    strict = platforms.create(session, "Strict").platform
    keeper = platforms.create(session, "Keeper").platform
    platform.platform.policy, strict.policy = {"retention_days": 30}, {"retention_days": 7}
    young, old = submit(jpeg("red")), submit(jpeg("blue"))
    older = submit(jpeg("green"), platform_id=strict.id)
    kept = submit(jpeg("white"), platform_id=keeper.id)
    waiting = submit(jpeg("black"))
    judge_all(session)
    waiting.state, waiting.verdict_id, waiting.finished_at, waiting.band = "waiting", None, None, None
    for row, days in ((young, 29), (old, 31), (older, 10), (kept, 9999)):
        age(session, row, days)
    assert retention.due(session, 10) == [older.id, old.id]
    assert retention.due(session, 1) == [older.id]


def test_a_policy_that_cannot_be_read_keeps_no_others_from_being_followed(session, submit, platform):
    broken = platforms.create(session, "Broken").platform
    platform.platform.policy, broken.policy = {"retention_days": 1}, {"retention_days": "soon"}
    row = submit()
    judge_all(session)
    age(session, row, 2)
    assert retention.due(session, 10) == [row.id]


def test_uploads_that_somebody_tried_are_forgotten_and_others_stay(session, submit, person):
    submit()
    tried = submit(platform_id=None, person_id=person.id)
    assert retention.forgotten_trials(session, 3600, 9) == []
    assert retention.forgotten_trials(session, -1, 9) == [tried.id]


def test_old_idempotency_keys_are_forgotten(session, submit, platform):
    acceptance.remember(session, platform.platform.id, "k", "body", submit().id)
    session.flush()
    assert retention.forget_keys(session, hours=1) == 0
    assert retention.forget_keys(session, hours=-1) == 1
    assert count(session, IdempotencyKey) == 0


def test_messages_that_ended_are_forgotten_with_their_attempts_and_others_are_not(session, platform, monkeypatch):
    monkeypatch.setattr(retention, "STEP", 2)
    endpoints.create(session, platform.platform.id, "https://127.0.0.1/hook", allowed_networks=("127.0.0.0/8",))
    for _ in range(4):
        deliveries.enqueue(session, platform_id=platform.platform.id, event="flag.opened", data={})
    for row in deliveries.claim(session, limit=3, lease_seconds=60):
        assert deliveries.succeeded(session, row.id, row.lease, 200, 1.0)
    assert retention.forget_deliveries(session, days=1) == 0
    assert [retention.forget_deliveries(session, days=-1) for _ in range(3)] == [2, 1, 0]
    assert (count(session, Delivery), count(session, DeliveryAttempt)) == (1, 0)
