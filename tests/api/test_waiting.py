"""Long polls: they end with the outcome, leave threads for others, and hold no connection."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from apiflask import APIFlask
from sqlalchemy import Engine, event

from api.waiting import Room
from moderation.errors import WorldDown
from tests.api.conftest import Caller, Sessions, slug
from tests.conftest import jpeg


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


def test_a_wait_holds_no_connection(caller: Caller, engine: Engine, app: APIFlask) -> None:
    path = caller.send().get_json()["links"]["self"]
    held: list[int] = []
    look = threading.Timer(0.1, lambda: held.append(engine.pool.checkedout()))  # type: ignore[attr-defined]
    look.start()
    caller.get(path, wait=0.2)
    look.join()
    assert held == [0]


def test_one_look_at_the_ledger_serves_all_who_wait(Session: Sessions, caller: Caller, engine: Engine) -> None:
    ids = [caller.send(jpeg(size=(9, 9 + n))).get_json()["id"] for n in range(20)]
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *it: asked.append(it[2]))
    room = Room(Session)
    threads = [threading.Thread(target=room.hold, args=(one, lambda: {"state": "waiting"}, 0.9)) for one in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len([query for query in asked if query.startswith("SELECT")]) <= 4


def waits_for(room: Room, state: str, seconds: float) -> list[int]:
    """How often the submission was read while somebody waited for it."""
    reads: list[int] = []

    def read() -> dict[str, Any]:
        reads.append(1)
        return {"state": state}

    assert room.hold("sub_0", read, seconds) == {"state": state}
    return reads


def test_over_the_cap_a_wait_is_answered_at_once(Session: Sessions) -> None:
    assert len(waits_for(Room(Session, seats=0), "waiting", 30)) == 1


def test_what_has_ended_is_not_waited_for(Session: Sessions) -> None:
    assert len(waits_for(Room(Session), "failed", 30)) == 1


def test_a_seat_is_given_back_when_reading_fails(Session: Sessions) -> None:
    room = Room(Session, seats=1)
    answers = iter([{"state": "waiting"}])
    with pytest.raises(StopIteration):
        room.hold("sub_0", lambda: next(answers), 0.1)
    assert len(waits_for(room, "waiting", 0.1)) == 2


def test_who_hangs_up_leaves_the_seat_to_others(Session: Sessions) -> None:
    room = Room(Session, seats=1)
    ours, theirs = socket.socketpair()
    waiting = threading.Thread(target=room.hold, args=("sub_0", lambda: {"state": "waiting"}, 60, ours))
    with ours, theirs:
        waiting.start()
        theirs.send(b"GET /")  # the next request is no reason to leave
        waiting.join(0.6)
        assert waiting.is_alive()
        theirs.close()
        waiting.join(30)
        assert not waiting.is_alive()
    assert len(waits_for(room, "waiting", 0.1)) == 2


def test_a_ledger_that_is_away_is_told_by_the_reading_and_not_by_the_watch() -> None:
    class Away:
        def begin(self) -> Any:
            raise WorldDown

    assert len(waits_for(Room(Away()), "waiting", 0.6)) == 2  # type: ignore[arg-type]


def test_nobody_watches_when_nobody_waits(Session: Sessions) -> None:
    waits_for(Room(Session), "waiting", 0.1)
    for thread in threading.enumerate():
        if thread.name == "waiting":
            thread.join(10)
            assert not thread.is_alive()
