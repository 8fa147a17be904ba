"""A worker process that does nothing any more ends itself, and one that waits, or whose Redis is away, does not."""

import os
import signal
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import redis

from moderation import queue
from tests.installations import command, eventually
from worker import attendant
from worker.attendant import Attendant, Stamps


class Ended(BaseException):
    """Stands for the end of the process."""


def end():
    raise Ended


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, as a list of one number that a test may raise."""
    now = [1000.0]
    monkeypatch.setattr(attendant.time, "monotonic", lambda: now[0])
    return now


def made(orders, held=lambda: (), **options):
    fields = {"stall_seconds": 10, "is_stopping": lambda: False, "end": end, **options}
    it = Attendant(Stamps("pulse", "upkeep"), orders, held, **fields)
    it.stamps.now("pulse"), it.stamps.now("upkeep")
    return it


def looked_at(it, clock, seconds, meanwhile=lambda: None):
    for _ in range(seconds):
        clock[0] += 1
        meanwhile()
        it.look()


def test_orders_are_sent_at_their_pace(clock):
    sent = []
    it = made({"pulse": (5, lambda: not sent.append("pulse")), "upkeep": (2, lambda: not sent.append("upkeep"))})
    looked_at(it, clock, 10, lambda: (it.stamps.now("pulse"), it.stamps.now("upkeep")))
    assert (sent.count("pulse"), sent.count("upkeep")) == (2, 5)


@pytest.mark.parametrize("step", [-3600, 3600, -86_400 * 365])
def test_a_clock_that_is_set_stops_and_hurries_nothing(clock, monkeypatch, step):
    sent = []
    it = made({"upkeep": (5, lambda: not sent.append(clock[0]))})
    looked_at(it, clock, 20, lambda: it.stamps.now("upkeep"))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    looked_at(it, clock, 20, lambda: it.stamps.now("upkeep"))
    assert [late - early for early, late in pairwise(sent)] == [5] * (len(sent) - 1)
    assert len(sent) == 8


def test_a_process_that_starts_has_time_to_and_no_more(clock):
    it = made({"pulse": (5, lambda: True)})
    it.stamps = Stamps("pulse")
    looked_at(it, clock, int(attendant.STARTING_SECONDS) + 10)
    with pytest.raises(Ended):
        looked_at(it, clock, 1)


@pytest.mark.parametrize("idle", ["pulse", "upkeep"])
def test_a_process_that_finishes_nothing_is_ended(clock, idle):
    it = made({"pulse": (5, lambda: True), "upkeep": (5, lambda: True)})
    busy = {"pulse": "upkeep", "upkeep": "pulse"}[idle]
    looked_at(it, clock, 10, lambda: it.stamps.now(busy))
    with pytest.raises(Ended):
        looked_at(it, clock, 1, lambda: it.stamps.now(busy))


def test_an_order_that_is_never_finished_ends_the_process_though_others_are(clock):
    held = ["stuck"]
    it = made({"pulse": (5, lambda: True)}, lambda: [*held, f"order at {clock[0]}"])
    looked_at(it, clock, 11, lambda: it.stamps.now("pulse"))
    held.clear()
    looked_at(it, clock, 30, lambda: it.stamps.now("pulse"))
    held.append("stuck again")
    with pytest.raises(Ended):
        looked_at(it, clock, 12, lambda: it.stamps.now("pulse"))


def test_while_redis_is_away_nobody_is_ended_and_afterwards_the_time_counts_anew(clock):
    there = [False]
    it = made({"pulse": (1, lambda: there[0])})
    looked_at(it, clock, 100)
    there[0] = True
    looked_at(it, clock, 10)
    with pytest.raises(Ended):
        looked_at(it, clock, 1)


def test_a_process_that_is_stopping_is_left_alone(clock):
    it = made({"pulse": (5, lambda: True)}, is_stopping=lambda: True)
    looked_at(it, clock, 100)


def test_the_process_ends_with_the_thread_that_sets_its_pace():
    ended = threading.Event()

    def broken():
        raise RuntimeError("a bug")

    made({"upkeep": (5, broken)}, end=ended.set).start()
    assert ended.wait(60)


def test_what_a_child_finishes_is_seen_by_its_parent(monkeypatch):
    with monkeypatch.context() as earlier:
        real = time.monotonic
        earlier.setattr(attendant.time, "monotonic", lambda: real() - 1000)
        stamps = Stamps("pulse", "upkeep")
    child = os.fork()
    if child == 0:
        stamps.now("pulse")
        stamps.now("nobody asked for this one")
        os._exit(0)
    os.waitpid(child, 0)
    assert 0 <= stamps.age("pulse") < 900  # the clock is the machine's, not a process's
    assert stamps.age("upkeep") >= 1000 - attendant.STARTING_SECONDS


ROLES = {"upkeep": 4, "fetcher": 2, "worker": 1}  # their children
STALL_SECONDS = 20  # long enough for a child to be replaced on a busy machine


@pytest.fixture
def processes(settings, tmp_path):
    """Each kind of process, started and at work; by name, with the file that it touches."""
    settings_of = {
        "UNMASK_DATABASE_URL": settings.database_url, "UNMASK_REDIS_URL": settings.redis_url,
        "UNMASK_MEDIA": settings.media, "UNMASK_SECRET_KEY": settings.secret_key, "UNMASK_DEVICE": "cpu",
    }  # fmt: skip
    Path(settings.media.removeprefix("file://")).mkdir()
    running = {}
    for role in ROLES:
        file = tmp_path / f"{role}.heartbeat"
        own = {"UNMASK_STALL_SECONDS": str(STALL_SECONDS), "UNMASK_PROGRESS": str(file)}
        with (tmp_path / f"{role}.log").open("w") as log:
            running[role] = (
                subprocess.Popen(command(role), env=os.environ | settings_of | own, stdout=log, stderr=log), file,
            )  # fmt: skip
    try:
        for role, (process, file) in running.items():
            log = tmp_path / f"{role}.log"
            eventually(lambda process=process, file=file: file.exists() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
        yield running
    finally:
        for process, _ in running.values():
            process.kill()
            process.wait()
        redis.Redis.from_url(settings.redis_url).flushdb()


def children(process):
    return [child for child in psutil.Process(process.pid).children() if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.usefixtures("Session")
def test_killed_children_are_replaced_and_hung_ones_end_their_process(processes, redis_url):
    app = queue.application(redis_url)
    eventually(lambda: queue.upkeep_age(app) is not None)
    for role in ("upkeep", "fetcher"):
        process, file = processes[role]
        killed = children(process)
        assert len(killed) == ROLES[role]
        for child in killed:
            child.kill()
        eventually(lambda process=process, killed=killed: not set(killed) & set(children(process)))
        seen = file.stat().st_mtime_ns
        eventually(lambda file=file, seen=seen: file.stat().st_mtime_ns != seen)
        assert process.poll() is None
    for process, _ in processes.values():
        for child in children(process):
            child.send_signal(signal.SIGSTOP)
    for role, (process, file) in processes.items():
        hung = children(process)
        assert process.wait(300) == attendant.SICK, role
        seen = file.stat().st_mtime_ns
        eventually(lambda hung=hung: not any(child.is_running() for child in hung))
        assert file.stat().st_mtime_ns == seen


def test_nothing_is_forked_while_an_order_is_sent():
    began, goes_on = threading.Event(), threading.Event()

    def send():
        began.set()
        return goes_on.wait(30)

    held = Attendant(Stamps("pulse"), {"pulse": (60.0, send)}, lambda: (), 300.0, lambda: False, os.abort)
    sender = threading.Thread(target=held.look)
    sender.start()
    began.wait(30)
    forked = threading.Event()

    def fork():
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        forked.set()

    forker = threading.Thread(target=fork)
    forker.start()
    assert not forked.wait(0.5)
    goes_on.set()
    assert forked.wait(30)
    sender.join()
    forker.join()
