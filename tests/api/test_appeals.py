"""Appeals over HTTP, and what moderators see of them."""

from collections.abc import Callable

import pytest
from celery import Celery
from sqlalchemy import select

from moderation import queue
from moderation.tables import Appeal, Flag
from tests.api.conftest import Caller, Sessions, slug

REASON = "It is her own photograph. <b>Look</b> again: \U0001f44b"


@pytest.fixture
def scored(caller: Caller, score: Callable[[], str]) -> str:
    link = caller.send().headers["Location"]
    score()
    return str(link)


def test_an_appeal_is_attached_to_the_flag(caller: Caller, scored: str, Session: Sessions, orders: Celery) -> None:
    made = caller.post(f"{scored}/appeal", {"reason": f"  {REASON}\n"})
    assert made.status_code == 201
    told = made.get_json()
    assert told["reason"] == REASON
    assert scored.endswith(told["submission_id"])
    with Session() as session:
        flag = session.scalars(select(Flag)).one()
        assert (flag.id, flag.state) == (told["flag_id"], "open")
        assert session.scalars(select(Appeal.reason)).one() == REASON
    assert queue.length(orders, queue.DELIVERIES) > 0


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"reason": ""},
        {"reason": " \n "},
        {"reason": "x" * 2001},
        {"reason": "\0"},
        {"reason": "\ud800"},
        {"reason": 1},
        {"reason": None},
        {"reason": "x", "more": 1},
        "text",
        [],
        None,
    ],
)
def test_a_reason_is_one_to_2000_storable_characters(caller: Caller, scored: str, sent: object) -> None:
    refused = caller.post(f"{scored}/appeal", sent)
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")


def test_the_longest_reason_fits_however_it_is_spelled(caller: Caller, scored: str) -> None:
    assert caller.post(f"{scored}/appeal", {"reason": "\U0001f44b" * 2000}).status_code == 201


def test_states_without_an_outcome_cannot_be_appealed(caller: Caller, scored: str) -> None:
    waiting = caller.post("/v1/submissions", {"url": "https://chirper.example/1.jpg"}).headers["Location"]
    refused = caller.post(f"{waiting}/appeal", {"reason": REASON})
    assert (refused.status_code, slug(refused)) == (409, "not-appealable")
    caller.delete(scored)
    assert slug(caller.post(f"{scored}/appeal", {"reason": REASON})) == "not-appealable"


def test_appeals_come_to_an_end(caller: Caller, scored: str) -> None:
    statuses = [caller.post(f"{scored}/appeal", {"reason": REASON}).status_code for _ in range(6)]
    assert statuses == [201] * 5 + [409]
    assert slug(caller.post(f"{scored}/appeal", {"reason": REASON})) == "too-many-appeals"


def test_only_its_own_platform_appeals(caller: Caller, scored: str, enrol: Callable[[str], Caller]) -> None:
    refused = enrol("Rival").post(f"{scored}/appeal", {"reason": REASON})
    assert (refused.status_code, slug(refused)) == (404, "not-found")
