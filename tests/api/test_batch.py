"""Batches: each item has an answer of its own, and none of them harms its neighbours."""

from typing import Any

import pytest
from celery import Celery
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from api import batch
from moderation import acceptance, queue
from moderation.tables import Submission
from tests.api.conftest import Caller, Sessions, slug

BATCH = "/v1/submissions/batch"


def url(number: int) -> str:
    return f"https://chirper.example/{number}.jpg"


def items(caller: Caller, sent: object, key: str | None = None) -> list[dict[str, Any]]:
    answer = caller.post(BATCH, sent, key=key)
    assert answer.status_code == 207
    found: list[dict[str, Any]] = answer.get_json()["items"]
    return found


def count(Session: Sessions) -> int:
    with Session() as session:
        return session.scalars(select(func.count()).select_from(Submission)).one()


def test_a_hundred_are_accepted_in_their_order(caller: Caller, Session: Sessions, orders: Celery) -> None:
    found = items(caller, [{"url": url(n), "external_id": str(n)} for n in range(100)])
    assert {item["status"] for item in found} == {202}
    with Session() as session:
        rows = [session.get_one(Submission, item["submission"]["id"]) for item in found]
    assert [row.external_id for row in rows] == [str(n) for n in range(100)]
    assert queue.length(orders, queue.FETCHING) == 1


def test_a_bad_item_leaves_its_neighbours_alone(caller: Caller, Session: Sessions) -> None:
    bad: list[Any] = [
        {"url": "http://10.0.0.1/1.jpg"},
        {"url": url(1), "upload_id": "upl_" + "0a" * 13},
        {"upload_id": "upl_" + "0a" * 13},
        {"url": url(1), "callback_url": "http://10.0.0.1/"},
        {"url": url(1), "priority": "now"},
        {"url": url(1), "idempotency_key": "with blank"},
        None,
        17,
    ]
    found = items(caller, [{"url": url(0)}, *bad, {"url": url(2)}])
    assert [item["status"] for item in found] == [202, 422, 422, 404, 422, 422, 422, 422, 422, 202]
    slugs = [item["problem"]["type"].removeprefix("/problems/") for item in found[1:-1]]
    assert slugs == ["forbidden-address", "invalid-request", "not-found", "forbidden-address", *["invalid-request"] * 4]
    for item in found[1:-1]:
        assert item["submission"] is None
        assert set(item["problem"]) >= {"type", "title", "status", "detail", "instance", "request_id"}
        assert item["problem"]["status"] == item["status"]
    assert found[5]["problem"]["errors"].keys() == {"priority"}
    assert found[0]["submission"]["state"] == found[-1]["submission"]["state"] == "fetching"
    assert count(Session) == 2


@pytest.mark.parametrize("sent", [[], {}, {"url": url(1)}, "x", None, [{"url": url(1)}] * 101])
def test_only_a_list_of_one_to_a_hundred_is_a_batch(caller: Caller, Session: Sessions, sent: object) -> None:
    refused = caller.post(BATCH, sent)
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")
    assert count(Session) == 0


def test_a_batch_may_be_sent_again(caller: Caller, Session: Sessions) -> None:
    sent: list[dict[str, Any]] = [{"url": url(n)} for n in range(5)]
    sent[3] = {"url": "http://10.0.0.1/"}
    first, again = items(caller, sent, key="b-1"), items(caller, sent, key="b-1")
    assert [item["submission"] for item in again] == [item["submission"] for item in first]
    assert [item["replayed"] for item in first] == [False] * 5
    assert [item["replayed"] for item in again] == [True, True, True, False, True]
    sent[3] = {"url": url(3)}  # mended: it alone is new
    mended = items(caller, sent, key="b-1")
    assert [item["replayed"] for item in mended] == [True, True, True, False, True]
    assert mended[3]["status"] == 202
    assert count(Session) == 5
    changed = items(caller, [{"url": url(9)}, *sent[1:]], key="b-1")
    assert [item["status"] for item in changed] == [422, 202, 202, 202, 202]
    assert changed[0]["problem"]["type"] == "/problems/idempotency-key-reused"


def test_an_item_may_bring_a_key_of_its_own(caller: Caller, Session: Sessions) -> None:
    sent = [{"url": url(n), "idempotency_key": f"post-{n}"} for n in range(3)]
    first = items(caller, sent, key="b-1")
    again = items(caller, sent[::-1], key="b-2")
    assert [item["submission"]["id"] for item in again] == [item["submission"]["id"] for item in first][::-1]
    single = caller.post("/v1/submissions", {"url": url(0)}, key="post-0")
    assert single.get_json()["id"] == first[0]["submission"]["id"]
    twice = items(caller, [{"url": url(7), "idempotency_key": "post-7"}] * 2)
    assert twice[0]["submission"] == twice[1]["submission"]
    assert count(Session) == 4


@pytest.mark.parametrize(
    ("trouble", "status", "problem"),
    [
        (OperationalError("INSERT", {}, Exception("connection lost")), 503, "world-down"),
        (RuntimeError("a bug, with secrets"), 500, "internal-error"),
    ],
)
def test_trouble_with_one_item_is_that_items_own(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, trouble: Exception, status: int, problem: str
) -> None:
    expect = acceptance.expect

    def fail(session: Any, draft: Any, origin: Any) -> Submission:
        if draft.external_id == "bad":
            raise trouble
        return expect(session, draft, origin)

    monkeypatch.setattr(acceptance, "expect", fail)
    found = items(caller, [{"url": url(1)}, {"url": url(2), "external_id": "bad"}, {"url": url(3)}])
    assert [item["status"] for item in found] == [202, status, 202]
    assert found[1]["problem"]["type"] == f"/problems/{problem}"
    assert "secrets" not in found[1]["problem"]["detail"]


def test_names_are_looked_up_once_each_and_not_for_ever(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def resolve(url: str, **_: object) -> None:
        asked.append(url)

    monkeypatch.setattr(batch.intake.addresses, "resolve", resolve)
    most = batch.Callbacks.MOST
    callbacks = [f"https://hooks.example/{n}" for n in range(most + 1)]
    found = items(caller, [{"url": url(n), "callback_url": callback} for n, callback in enumerate(callbacks * 2)])
    assert asked == callbacks[:most]
    assert [item["status"] for item in found] == ([202] * most + [422]) * 2
