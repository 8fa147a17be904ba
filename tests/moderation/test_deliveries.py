import json
import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from moderation import deliveries, endpoints, platforms, signatures, submissions, verdicts
from moderation.errors import EndpointDisabled, NotFound, StillWaiting
from moderation.tables import Decision, Delivery, DeliveryAttempt, Endpoint, Flag
from moderation.verdicts import Finding

LOCAL = ["127.0.0.0/8"]


def endpoint_of(session, platform_id, *events):
    return endpoints.create(session, platform_id, "http://127.0.0.1:9999/in", events, allowed_networks=LOCAL)


@pytest.fixture
def endpoint(session, platform):
    return endpoint_of(session, platform.platform.id)


@pytest.fixture
def enqueue(session, platform):
    def _enqueue(event="submission.scored", data=None, **fields):
        fields = {"platform_id": platform.platform.id, **fields}
        return deliveries.enqueue(session, event=event, data=data or {"id": "sub_1"}, **fields)

    return _enqueue


def claim(session, limit=10, **fields):
    return deliveries.claim(session, limit=limit, lease_seconds=60, **fields)


def later(session, seconds):
    """Lets time pass for what waits."""
    earlier = {"next_attempt_at": Delivery.next_attempt_at - timedelta(seconds=seconds)}
    session.execute(update(Delivery).values(earlier))
    session.expire_all()


def wait_of(session, delivery):
    left = session.scalar(select(Delivery.next_attempt_at - func.clock_timestamp()).where(Delivery.id == delivery.id))
    return left.total_seconds()


def test_each_enabled_endpoint_that_wants_the_event_gets_a_delivery(session, platform, enqueue):
    home = platform.platform.id
    wanting, everything = endpoint_of(session, home, "flag.opened"), endpoint_of(session, home)
    endpoint_of(session, home, "submission.scored")
    endpoints.disable(session, endpoint_of(session, home).id)
    endpoint_of(session, platforms.create(session, "Other").platform.id)
    written = enqueue("flag.opened")
    assert {delivery.endpoint_id for delivery in written} == {wanting.id, everything.id}


def test_a_callback_is_a_delivery_signed_with_the_platforms_secret(session, platform, enqueue):
    (written,) = enqueue(callback_url="https://example.org/done")
    (claimed,) = claim(session)
    assert claimed is written
    assert deliveries.url_of(claimed) == "https://example.org/done"
    assert deliveries.signature_of(claimed, 1) == signatures.sign(
        platform.platform.callback_secret, claimed.id, 1, claimed.body
    )


def test_a_body_has_type_timestamp_and_data_and_is_ascii(enqueue, endpoint):
    (written,) = enqueue(data={"external_id": "Zoë 🦊"})
    assert written.body.isascii()
    message = json.loads(written.body)
    assert list(message) == ["type", "timestamp", "data"]
    assert message["data"] == {"external_id": "Zoë 🦊"}
    assert message["timestamp"].endswith("Z")


def test_a_delayed_delivery_is_not_due_yet(session, enqueue, endpoint):
    enqueue(delay_seconds=10)
    assert (deliveries.due(session), claim(session)) == (0, [])
    later(session, 10)
    assert deliveries.due(session) == 1
    assert len(claim(session)) == 1


def test_a_claim_is_a_lease_that_ends_by_itself(session, enqueue, endpoint):
    enqueue()
    (first,) = claim(session)
    lost = first.lease
    assert claim(session) == []
    later(session, 61)
    (second,) = claim(session)
    assert second.lease != lost
    assert not deliveries.succeeded(session, second.id, lost, 200, 5)
    assert not deliveries.failed(session, second.id, lost, status=500, ms=5)
    assert session.scalar(select(func.count()).select_from(DeliveryAttempt)) == 0
    assert deliveries.succeeded(session, second.id, second.lease, 200, 5)
    assert (second.state, second.attempts, second.lease) == ("delivered", 1, None)


def test_no_target_has_more_than_its_share_in_flight(session, platform, enqueue, endpoint):
    other = endpoint_of(session, platform.platform.id, "flag.decided")
    for _ in range(6):
        enqueue()
    enqueue("flag.decided")
    first = claim(session, per_target=2)
    assert sorted(d.endpoint_id for d in first) == sorted([endpoint.id, endpoint.id, other.id])
    assert claim(session, per_target=2) == []
    done = next(d for d in first if d.endpoint_id == endpoint.id)
    deliveries.succeeded(session, done.id, done.lease, 200, 1)
    assert [d.endpoint_id for d in claim(session, per_target=2)] == [endpoint.id]


def test_two_claims_at_once_never_share_a_delivery(Session):
    with Session.begin() as session:
        home = platforms.create(session, "Chirper").platform.id
        endpoint_of(session, home)
        for _ in range(8):
            deliveries.enqueue(session, platform_id=home, event="submission.scored", data={})
    both_claimed, taken = threading.Barrier(2), []

    def take():
        with Session.begin() as session:
            taken.append([d.id for d in deliveries.claim(session, limit=4, lease_seconds=60, per_target=8)])
            both_claimed.wait()

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not set(taken[0]) & set(taken[1])
    assert len(taken[0]) + len(taken[1]) >= 4


def test_failures_follow_the_schedule_and_then_end(session, enqueue, endpoint):
    (delivery,) = enqueue()
    waits = []
    for _ in range(9):
        (claimed,) = claim(session)
        assert deliveries.failed(session, delivery.id, claimed.lease, status=500, error="no", ms=5)
        waits.append(wait_of(session, delivery))
        later(session, waits[-1] + 1)
    for waited, planned in zip(waits, deliveries.SCHEDULE[1:], strict=True):
        assert 0.89 * planned < waited + 1
        assert waited < 1.11 * planned
    (claimed,) = claim(session)
    deliveries.failed(session, delivery.id, claimed.lease, error="refused", ms=5)
    assert (delivery.state, delivery.attempts) == ("failed", 10)
    assert delivery.finished_at is not None
    attempts = session.scalars(select(DeliveryAttempt).order_by(DeliveryAttempt.id)).all()
    assert [a.status for a in attempts] == [500] * 9 + [None]
    assert attempts[-1].error == "refused"


@pytest.mark.parametrize(
    ("status", "asked", "low", "high"),
    [
        (429, 900, 890, 901),
        (503, 900, 890, 901),
        (503, None, 55, 61),
        (503, 10**9, 86_390, 86_401),
        (500, 900, 0, 6),  # only an overloaded receiver is asked when
    ],
)
def test_an_overloaded_receiver_is_left_alone_for_as_long_as_it_asks(
    session, enqueue, endpoint, status, asked, low, high
):
    (delivery,), (neighbour,) = enqueue(), enqueue()
    claimed = claim(session, limit=1)[0]
    assert claimed is delivery
    deliveries.failed(session, claimed.id, claimed.lease, status=status, ms=5, retry_after=asked)
    session.expire_all()
    assert low < wait_of(session, delivery) < high
    assert (wait_of(session, neighbour) > low) == (status != 500)


def test_a_receiver_that_is_gone_is_disabled_and_what_waits_for_it_cancelled(session, enqueue, endpoint):
    (delivery,), (waiting,) = enqueue(), enqueue()
    claimed = claim(session, limit=1)[0]
    deliveries.failed(session, claimed.id, claimed.lease, status=410, ms=5)
    assert (delivery.state, endpoint.disabled_reason) == ("failed", "it answered 410 Gone")
    assert claim(session) == []
    session.expire_all()
    assert waiting.state == "cancelled"
    assert enqueue() == []


def test_an_endpoint_failing_for_five_days_is_disabled_and_says_why(session, enqueue, endpoint):
    (delivery,) = enqueue()
    deliveries.failed(session, delivery.id, claim(session)[0].lease, status=500, ms=5)
    assert endpoint.failing_since is not None
    assert endpoint.disabled_at is None
    session.execute(update(Endpoint).values(failing_since=func.now() - timedelta(days=5)))
    later(session, 10)
    deliveries.failed(session, delivery.id, claim(session)[0].lease, status=500, ms=5)
    assert endpoint.disabled_at is not None
    assert "5 days" in endpoint.disabled_reason


def test_one_success_ends_the_failing(session, enqueue, endpoint):
    (delivery,) = enqueue()
    deliveries.failed(session, delivery.id, claim(session)[0].lease, error="timeout", ms=5)
    later(session, 10)
    deliveries.succeeded(session, delivery.id, claim(session)[0].lease, 204, 5)
    assert endpoint.failing_since is None


@pytest.fixture
def decision(session, submit, person):
    """An answer that nobody was told of yet."""
    submit()
    held = submissions.claim(session, limit=1, lease_seconds=60)
    found = Finding(score=0.9, band="fake", reasons=[], faces=[], width=64, height=48, ms=1)
    verdicts.record(session, held.lease, held.submissions[0].id, ("unmask", "1"), found)
    row = Decision(flag_id=session.scalars(select(Flag.id)).one(), person_id=person.id, answer="fake")
    session.add(row)
    session.flush()
    return row


def test_an_undone_decision_leaves_no_message_behind(session, platform, enqueue, decision):
    for _ in range(2):
        endpoint_of(session, platform.platform.id)
    enqueue("flag.decided", decision_id=decision.id, delay_seconds=10)
    assert deliveries.cancel_unsent(session, decision.id)
    later(session, 60)
    assert claim(session) == []
    assert deliveries.cancel_unsent(session, decision.id)  # again: nothing was sent, nothing will be


def test_a_decision_that_somebody_was_told_of_is_not_taken_back_from_others(session, platform, enqueue, decision):
    for _ in range(2):
        endpoint_of(session, platform.platform.id)
    written = enqueue("flag.decided", decision_id=decision.id)
    (leased,) = claim(session, limit=1)
    assert not deliveries.cancel_unsent(session, decision.id)
    deliveries.failed(session, leased.id, leased.lease, error="timeout", ms=5)  # it may have been read all the same
    assert not deliveries.cancel_unsent(session, decision.id)
    assert {d.state for d in written} == {"waiting"}


def test_pages_are_newest_first_and_a_platform_sees_its_own(session, platform, enqueue, endpoint):
    written = [enqueue()[0].id for _ in range(3)]
    first = deliveries.page(session, platform.platform.id, limit=2)
    rest = deliveries.page(session, platform.platform.id, limit=2, before=first[-1].id)
    assert sorted(d.id for d in (*first, *rest)) == sorted(written)
    assert [d.id for d in (*first, *rest)] == sorted(written, reverse=True)
    assert deliveries.page(session, platform.platform.id, state="failed") == []
    assert deliveries.page(session, platforms.create(session, "Other").platform.id) == []


def test_a_replayed_delivery_keeps_its_id_and_starts_over(session, platform, enqueue, endpoint):
    (delivery,) = enqueue()
    deliveries.succeeded(session, delivery.id, claim(session)[0].lease, 200, 5)
    assert deliveries.replay(session, platform.platform.id, delivery.id) is delivery
    assert [d.id for d in claim(session)] == [delivery.id]
    with pytest.raises(NotFound):
        deliveries.replay(session, platforms.create(session, "Other").platform.id, delivery.id)


def test_what_is_on_its_way_or_goes_nowhere_is_not_replayed(session, platform, enqueue, endpoint):
    (delivery,) = enqueue()
    with pytest.raises(StillWaiting):
        deliveries.replay(session, platform.platform.id, delivery.id)
    deliveries.succeeded(session, delivery.id, claim(session)[0].lease, 200, 5)
    endpoints.disable(session, endpoint.id)
    with pytest.raises(EndpointDisabled):
        deliveries.replay(session, platform.platform.id, delivery.id)
    with pytest.raises(EndpointDisabled):
        deliveries.ping(session, endpoint)


def test_a_ping_reaches_an_endpoint_that_did_not_ask_for_tests(session, platform):
    picky = endpoint_of(session, platform.platform.id, "flag.opened")
    written = deliveries.ping(session, picky)
    assert json.loads(written.body)["type"] == "endpoint.test"
    assert claim(session) == [written]
