import json
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from standardwebhooks.webhooks import Webhook

from moderation import deliveries, endpoints
from moderation.tables import Delivery, DeliveryAttempt, Endpoint, Platform
from tests.worker.test_sending import receiver, saying
from worker import delivering

LOCAL = ("127.0.0.0/8",)


def run(Session, **options):
    return delivering.run(Session, **{"timeout": 10, "allowed_networks": LOCAL, "budget_seconds": 30, **options})


@pytest.fixture
def aim(Session, home):
    """Adds an endpoint at a port; returns its secret."""

    def _aim(port):
        with Session.begin() as session:
            return endpoints.create(session, home, f"http://127.0.0.1:{port}/in", allowed_networks=LOCAL).secret

    return _aim


@pytest.fixture
def enqueue(Session, home):
    def _enqueue(number=1, **fields):
        with Session.begin() as session:
            for n in range(number):
                deliveries.enqueue(session, platform_id=home, event="submission.scored", data={"n": n}, **fields)

    return _enqueue


def rows(Session, table):
    with Session() as session:
        return session.scalars(select(table).order_by(table.id)).all()


def make_due(Session):
    with Session.begin() as session:
        session.execute(update(Delivery).values(next_attempt_at=func.now()))


def test_the_reference_library_verifies_what_arrives(Session, aim, enqueue):
    with receiver(saying(200)) as (port, got):
        secret = aim(port)
        enqueue(3)
        assert run(Session) == {"delivered": 3}
    messages = [Webhook(secret).verify(body, headers) for _, headers, body in got]
    assert sorted(message["data"]["n"] for message in messages) == [0, 1, 2]
    assert {headers["webhook-id"] for _, headers, _ in got} == {row.id for row in rows(Session, Delivery)}
    assert {row.state for row in rows(Session, Delivery)} == {"delivered"}
    assert [row.status for row in rows(Session, DeliveryAttempt)] == [200] * 3


def test_a_callback_is_signed_with_the_platforms_secret(Session, home, enqueue):
    with receiver(saying(200)) as (port, got):
        enqueue(callback_url=f"http://127.0.0.1:{port}/done")
        assert run(Session) == {"delivered": 1}
    with Session() as session:
        secret = session.get_one(Platform, home).callback_secret
    ((path, headers, body),) = got
    assert path == "/done"
    assert Webhook(secret).verify(body, headers)["type"] == "submission.scored"


def test_the_id_stays_and_the_signature_is_new_on_every_attempt(Session, aim, enqueue):
    statuses = [500, 200]

    def changing(handler):
        saying(statuses.pop(0))(handler)

    with receiver(changing) as (port, got):
        secret = aim(port)
        enqueue()
        assert run(Session) == {"failed": 1}
        assert run(Session) == {}  # not yet
        make_due(Session)
        assert run(Session) == {"delivered": 1}
    assert len({headers["webhook-id"] for _, headers, _ in got}) == 1
    for _, headers, body in got:
        Webhook(secret).verify(body, headers)
    assert [row.status for row in rows(Session, DeliveryAttempt)] == [500, 200]


def test_one_receiver_that_is_slow_or_gone_does_not_keep_the_others_from_theirs(Session, aim, enqueue):
    with receiver(saying(200)) as (port, got), receiver(saying(410)) as (gone, _):
        aim(port), aim(gone), aim(1)  # nobody listens on port 1
        enqueue(6)
        outcomes = run(Session)
    assert outcomes["delivered"] == len(got) == 6
    endpoint = next(row for row in rows(Session, Endpoint) if row.url.endswith(f":{gone}/in"))
    assert endpoint.disabled_reason == "it answered 410 Gone"


def test_an_overloaded_receiver_says_when_to_come_back(Session, aim, enqueue):
    with receiver(saying(429, Retry_After="1000")) as (port, _):
        aim(port)
        enqueue()
        assert run(Session) == {"failed": 1}
    (delivery,) = rows(Session, Delivery)
    with Session() as session:
        left = session.scalar(select(Delivery.next_attempt_at - func.clock_timestamp()))
    assert timedelta(seconds=900) < left <= timedelta(seconds=1000)
    assert delivery.state == "waiting"


def test_a_private_address_is_refused_again_at_send(Session, aim, enqueue):
    with receiver(saying(200)) as (port, got):
        aim(port)
        enqueue()
        assert run(Session, allowed_networks=()) == {"failed": 1}
    assert got == []
    (attempt,) = rows(Session, DeliveryAttempt)
    assert (attempt.status, "https" in attempt.error) == (None, True)


def test_a_name_that_now_leads_inside_is_refused_at_send(Session, aim, enqueue):
    with receiver(saying(200)) as (port, _):
        aim(port)
        with Session.begin() as session:
            session.execute(update(Endpoint).values(url="https://localhost/in"))
        enqueue()
        assert run(Session, allowed_networks=()) == {"failed": 1}
    (attempt,) = rows(Session, DeliveryAttempt)
    assert attempt.error == "localhost leads to a network that Unmask does not connect to."


def test_a_lease_that_was_lost_while_sending_changes_nothing(Session, aim, enqueue):
    def slow(handler):
        with Session.begin() as session:  # somebody else took it over in the meantime
            session.execute(update(Delivery).values(lease="lse_other"))
        saying(200)(handler)

    with receiver(slow) as (port, _):
        aim(port)
        enqueue()
        assert run(Session) == {"lost": 1}
    assert [row.state for row in rows(Session, Delivery)] == ["waiting"]
    assert rows(Session, DeliveryAttempt) == []


def test_a_stopping_worker_sends_nothing_more(Session, aim, enqueue):
    with receiver(saying(200)) as (port, got):
        aim(port)
        enqueue()
        assert run(Session, is_stopping=lambda: True) == {}
        assert got == []
        assert run(Session, budget_seconds=0) == {}


def test_bodies_go_out_as_they_were_written(Session, aim, enqueue):
    with receiver(saying(200)) as (port, got):
        aim(port)
        enqueue()
        run(Session)
    (delivery,) = rows(Session, Delivery)
    assert got[0][2] == delivery.body
    assert set(json.loads(delivery.body)) == {"type", "timestamp", "data"}
