"""What the supervisor is made of: ports, leftovers, children's lives, bounded logs."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cli import processes, supervisor
from cli.home import Child, Home
from cli.processes import Program
from cli.supervisor import Service, Supervisor
from moderation.errors import Conflict, WorldDown
from tests.installations import eventually

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)",
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.make()
    return made


def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from cli import processes; from cli.processes import Program;"
        f"child = processes.start(Program('sleep', {SLEEP!r}), Path({str(tmp_path / 'log')!r}));"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_child_that_ignores_being_asked_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = Program("stubborn", STUBBORN, grace_seconds=0.2)
    with processes.running(program, log) as child:
        eventually(lambda: "on" in log.read_text())
    assert child.returncode == -signal.SIGKILL


def test_a_leftover_is_ended_but_not_a_stranger_with_its_number(tmp_path: Path) -> None:
    with processes.running(Program("sleep", SLEEP), tmp_path / "log") as child:
        started = processes.started_at(child.pid)
        assert started is not None
        processes.end_leftover(child.pid, started - 60, signal.SIGTERM)
        assert child.poll() is None
        processes.end_leftover(child.pid, started, signal.SIGTERM)
        assert not processes.is_alive(child.pid, started)


def test_what_ends_is_started_again_and_later_each_time(home: Home) -> None:
    service = Service(Program("brief", (sys.executable, "-c", "")), is_ready=lambda: False)
    with pytest.raises(WorldDown, match="brief did not start"):
        Supervisor(home, {}).start(service)
    assert service.failures >= 3
    pauses = []
    for _ in range(10):
        service.ended(now := time.monotonic())
        pauses.append((service.due_at or now) - now)
    assert pauses == sorted(pauses)
    assert pauses[-1] == supervisor.LONGEST_PAUSE


def test_failures_are_forgotten_after_a_healthy_while() -> None:
    service = Service(Program("worker", SLEEP), failures=7, started_at=0.0)
    service.ended(supervisor.HEALTHY_SECONDS + 1)
    assert service.failures == 1


def test_later_stages_stop_first_and_all_of_them_stop(home: Home) -> None:
    order = home.path / "order"
    told = (
        "import signal, sys, time;"
        "signal.signal(signal.SIGTERM, lambda *_: (open({0!r}, 'a').write('{1} '), sys.exit()));"
        "print('on', flush=True); time.sleep(600)"
    )
    first, second = (
        Service(
            Program(name, (sys.executable, "-c", told.format(str(order), name))),
            lambda name=name: "on" in (home.logs / f"{name}.log").read_text(),
        )  # type: ignore[misc]
        for name in ("engine", "api")
    )
    watched = Supervisor(home, {})
    watched.start(first)
    watched.start(second)
    assert [child.name for child in home.leftovers()] == ["engine", "api"]
    watched.stop()
    assert order.read_text().split() == ["api", "engine"]
    assert all(service.child is not None and service.child.poll() is not None for service in (first, second))


def test_a_second_interrupt_does_not_wait(home: Home) -> None:
    log = home.logs / "stubborn.log"
    service = Service(Program("stubborn", STUBBORN, grace_seconds=600), lambda: "on" in log.read_text())
    watched = Supervisor(home, {})
    watched.start(service)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.raises(KeyboardInterrupt):
        watched.stop()
    signal.signal(signal.SIGALRM, before)
    assert service.child is not None
    assert service.child.returncode == -signal.SIGKILL


def test_a_log_is_bounded_while_somebody_appends_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES", 100)
    log = tmp_path / "api.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(6):
            writer.write(f"{number}".encode() * 150)
            supervisor.rotate(log)
        writer.write(b"after")
    assert log.read_bytes() == b"after"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api.log", "api.log.1", "api.log.2", "api.log.3"]
    assert (tmp_path / "api.log.1").read_bytes() == b"5" * 150


def test_a_home_is_held_by_one_and_keeps_its_secrets(home: Home) -> None:
    with home.held():
        with pytest.raises(Conflict), Home(home.path).held():
            pass
        first = home.secrets()
    assert Home(home.path).secrets() == first


def test_only_what_is_alive_is_reached(home: Home) -> None:
    started = processes.started_at(os.getpid())
    assert started is not None
    home.note([Child("me", os.getpid(), started, signal.SIGTERM)], {"UNMASK_PORT": "1"})
    assert home.reached() == {"UNMASK_PORT": "1"}
    home.note([Child("somebody else", os.getpid(), started - 60, signal.SIGTERM)], {"UNMASK_PORT": "1"})
    assert home.reached() == {}


def test_a_port_that_is_taken_is_not_given_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert processes.is_taken("127.0.0.1", port)
        assert processes.free_port(port) != port
