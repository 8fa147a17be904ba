"""Calls in cells: what is ended, what fails alone, and what goes on beside it."""

import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from model import sandbox
from model.detector import Failure
from model.errors import BadImage, TooCostly
from model.sandbox import Limits, PutOff, Sandbox
from tests.installations import eventually
from tests.model import cellmates

MEMORY = 1_000_000_000


@pytest.fixture
def cells():
    """Makes sandboxes, and ends them after the test."""
    made = []

    def _made(cells=1, seconds=60.0, memory=MEMORY):
        made.append(Sandbox(cellmates.make, ("tool",), cells, Limits(seconds, memory)))
        return made[-1]

    yield _made
    for each in made:
        each.close()


def test_a_function_gets_the_tool_and_its_arguments_and_its_answer_comes_back(cells):
    box = cells()
    for value in (None, b"x" * 5_000_000, {"a": [1, 2.5, "b"]}, Failure("slug", "detail")):
        assert box.call(cellmates.echo, value) == ("tool", value)
    told = box.call(cellmates.arrays)
    assert np.array_equal(told["crop"], np.arange(12).reshape(2, 2, 3))
    assert told["one"] == np.float32(0.5)
    assert np.array_equal(told["turned"], np.eye(3))


def test_a_cell_lives_on_between_calls_and_is_retired_at_last(cells, monkeypatch):
    monkeypatch.setattr(sandbox, "RETIRED_AFTER", 3)
    box = cells()
    pids = [box.call(cellmates.pid) for _ in range(7)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]


def test_a_cell_knows_no_secret(cells, monkeypatch):
    monkeypatch.setenv("UNMASK_SECRET_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert not [name for name in cells().call(cellmates.environment) if name.startswith(("UNMASK", "AWS"))]


@pytest.mark.parametrize("endless", [cellmates.loop, cellmates.spin])
def test_what_takes_too_long_is_ended_and_the_next_call_is_answered(cells, endless):
    box = cells(seconds=0.5)
    before = psutil.Process(box.call(cellmates.pid))
    with pytest.raises(TooCostly, match=r"more than 0\.5 seconds"):
        box.call(endless)
    assert not before.is_running()
    assert box.call(cellmates.echo, 1) == ("tool", 1)


def test_what_takes_too_much_memory_fails_and_the_next_call_is_answered(cells):
    box = cells()
    assert box.call(cellmates.hoard, MEMORY // 10) == MEMORY // 10
    with pytest.raises(TooCostly, match="1000 MB"):
        box.call(cellmates.hoard, 2 * MEMORY)
    assert box.call(cellmates.echo, 1) == ("tool", 1)


CRASHES = {
    signal.SIGSEGV: BadImage, signal.SIGBUS: BadImage, signal.SIGILL: BadImage, signal.SIGFPE: BadImage,
    signal.SIGABRT: TooCostly, signal.SIGXCPU: TooCostly, signal.SIGKILL: TooCostly,
}  # fmt: skip


@pytest.mark.parametrize(("number", "kind"), CRASHES.items())
def test_what_crashes_its_cell_is_the_files_fault_and_the_next_call_is_answered(cells, number, kind):
    box = cells()
    with pytest.raises(BadImage) as caught:
        box.call(cellmates.crash, number)
    assert type(caught.value) is kind
    assert box.call(cellmates.echo, 1) == ("tool", 1)


def test_a_cell_that_somebody_kills_costs_its_file_nothing(cells, tmp_path):
    assert cells().call(cellmates.killed_once, str(tmp_path / "mark")) == "second time"


def test_an_idle_cell_that_is_killed_is_replaced(cells):
    box = cells()
    psutil.Process(box.call(cellmates.pid)).kill()
    assert box.call(cellmates.echo, 1) == ("tool", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_cell_is_not_stopped_by_what_stops_its_parent_gracefully(cells, number):
    box = cells()
    pid = box.call(cellmates.pid)
    os.kill(pid, number)
    assert box.call(cellmates.pid) == pid


def test_a_bug_is_raised_in_the_words_of_the_cell(cells):
    box = cells()
    pid = box.call(cellmates.pid)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
        box.call(cellmates.bug)
    with pytest.raises(RuntimeError, match="ended with 3"):
        box.call(cellmates.leave)
    assert box.call(cellmates.pid) != pid


def test_a_tool_that_cannot_be_made_is_a_bug_and_not_a_files_fault():
    box = Sandbox(cellmates.never, (), 1, Limits(60, MEMORY))
    with pytest.raises(RuntimeError, match="did not start"):
        box.call(cellmates.echo, 1)
    box.close()


def test_an_answer_makes_nothing_but_values(cells, tmp_path):
    mark = Path("/tmp/unmask-was-trapped")
    mark.unlink(missing_ok=True)
    with pytest.raises(pickle.UnpicklingError, match="system"):
        cells().call(cellmates.trap)
    assert not mark.exists()
    with pytest.raises(pickle.UnpicklingError, match="Odd"):  # a tuple, of no package of ours
        cells().call(cellmates.echo, cellmates.Odd(1))


def test_a_slow_call_holds_up_nobody(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "SLOW_SECONDS", 0.1)
    box, mark = cells(), tmp_path / "mark"
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(box.call, cellmates.wait, str(mark))
        assert [box.call(cellmates.echo, number)[1] for number in range(5)] == list(range(5))
        assert not slow.done()
        mark.touch()
        assert slow.result() == "waited"
    assert len(box._idle) == 1  # the cell that was added for the neighbours is gone


def test_a_call_for_which_there_is_no_time_is_put_off_and_says_nothing_of_its_file(cells, tmp_path):
    box = cells()
    assert box.call(cellmates.echo, 1, until=time.monotonic() + 60) == ("tool", 1)
    with pytest.raises(PutOff):
        box.call(cellmates.wait, str(tmp_path / "never"), until=time.monotonic() + 0.2)
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(box.call, cellmates.wait, str(tmp_path / "mark"))
        eventually(lambda: box._places._value == 0)
        with pytest.raises(PutOff):
            box.call(cellmates.echo, 1, until=time.monotonic() + 0.2)
        (tmp_path / "mark").touch()
        assert busy.result() == "waited"


def test_cells_end_with_a_parent_that_is_killed():
    code = (
        "from model.sandbox import Limits, Sandbox; from tests.model import cellmates; import time\n"
        "box = Sandbox(cellmates.make, (1,), 2, Limits(1, 10**9))\n"
        "print(box.call(cellmates.pid), flush=True)\n"
        "box.call(cellmates.echo, 1)\n"
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        family = psutil.Process(parent.pid).children()
        assert len(family) == 2
        parent.kill()
    eventually(lambda: not any(child.is_running() for child in family))
