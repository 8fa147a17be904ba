"""Long polls: they end with the outcome, leave threads for others, and hold no connection."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from api import waiting
from tests.api.conftest import Caller, slug


def test_a_wait_ends_when_the_submission_is_scored(caller: Caller, score: Callable[[], str]) -> None:
    path = caller.send().get_json()["links"]["self"]
    worker = threading.Timer(0.4, score)
    worker.start()
    found = caller.get(path, wait=30).get_json()
    worker.join()
    assert found["state"] == "scored"
    assert found["verdict"]["band"] == "fake"


def test_a_wait_that_is_over_answers_with_the_state_as_it_is(caller: Caller) -> None:
    path = caller.send().get_json()["links"]["self"]
    assert caller.get(path, wait=0.3).get_json()["state"] == "waiting"


@pytest.mark.parametrize("wait", ["-1", "31", "soon", "nan", "inf", ""])
def test_a_wait_is_0_to_30_seconds(caller: Caller, wait: str) -> None:
    refused = caller.get(caller.send().get_json()["links"]["self"], wait=wait)
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")


def test_somebody_elses_submission_cannot_be_waited_for(caller: Caller, enrol: Callable[[str], Caller]) -> None:
    path = caller.send().get_json()["links"]["self"]
    assert slug(enrol("Rival").get(path, wait=30)) == "not-found"


def test_a_wait_holds_no_connection_between_its_looks(
    caller: Caller, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = caller.send().get_json()["links"]["self"]
    held: list[int] = []
    monkeypatch.setattr(waiting.time, "sleep", lambda _seconds: held.append(engine.pool.checkedout()))  # type: ignore[attr-defined]
    caller.get(path, wait=0.1)
    assert held
    assert set(held) == {0}


def test_over_the_cap_a_wait_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []

    def read() -> dict[str, Any]:
        reads.append(1)
        return {"state": "waiting"}

    taken = threading.BoundedSemaphore(1)
    taken.acquire()
    monkeypatch.setattr(waiting, "_seats", taken)
    assert waiting.hold(read, 30) == {"state": "waiting"}
    assert len(reads) == 1


def test_a_seat_is_given_back_when_reading_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    seats = threading.BoundedSemaphore(1)
    monkeypatch.setattr(waiting, "_seats", seats)
    answers = iter([{"state": "waiting"}])
    with pytest.raises(StopIteration):
        waiting.hold(lambda: next(answers), 1)
    assert seats.acquire(blocking=False)
