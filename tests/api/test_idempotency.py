"""An Idempotency-Key makes a POST safe to repeat, also when the repetition overtakes the original."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from celery import Celery
from sqlalchemy import func, select

from moderation import queue
from moderation.tables import Submission
from tests.api.conftest import Caller, Sessions, slug
from tests.conftest import jpeg


def test_the_same_request_gets_the_same_submission(caller: Caller, Session: Sessions, orders: Celery) -> None:
    first = caller.send(key="k-1", context='{"a": 1, "b": 2}')
    again = caller.send(key="k-1", context='{ "b": 2, "a": 1 }', name="renamed.jpg")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.get_json() == first.get_json()
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert queue.length(orders, queue.LANES[1]) == 1
    with Session() as session:
        assert session.scalar(select(func.count()).select_from(Submission)) == 1


def test_the_same_key_with_another_request_is_refused(caller: Caller) -> None:
    caller.send(jpeg("red"), key="k-1", external_id="one")
    for refused in (
        caller.send(jpeg("blue"), key="k-1", external_id="one"),
        caller.send(jpeg("red"), key="k-1", external_id="two"),
        caller.send(jpeg("red"), key="k-1", external_id="one", priority="bulk"),
    ):
        assert (refused.status_code, slug(refused)) == (422, "idempotency-key-reused")


def test_two_platforms_may_use_the_same_key(caller: Caller, enrol: Callable[[str], Caller]) -> None:
    theirs = enrol("Rival").send(key="k-1", external_id="other")
    assert caller.send(key="k-1").get_json()["id"] != theirs.get_json()["id"]


def test_without_a_key_each_request_is_its_own_submission(caller: Caller) -> None:
    assert caller.send().get_json()["id"] != caller.send().get_json()["id"]


def test_a_refused_request_does_not_use_up_its_key(caller: Caller) -> None:
    assert caller.send(b"no image", key="k-1").status_code == 415
    assert caller.send(key="k-1").status_code == 202


def test_equal_requests_at_the_same_time_make_one_submission(caller: Caller, Session: Sessions) -> None:
    def send(_number: int) -> tuple[int, str]:
        answer = caller._replace(client=caller.client.application.test_client()).send(key="k-1")
        return answer.status_code, answer.get_json()["id"]

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(send, range(8)))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 202
    with Session() as session:
        assert session.scalar(select(func.count()).select_from(Submission)) == 1
