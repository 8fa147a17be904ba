"""Signs of life: what shows none is killed and started again, whatever hangs: a program of ours or an engine."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from cli import engines, processes, signs
from cli.home import Home
from cli.processes import Program
from cli.signs import Answered, Touched
from cli.supervisor import Service, Supervisor
from tests.installations import eventually

TOUCHING = "import sys, time; from pathlib import Path\nwhile True: Path(sys.argv[1]).touch(); time.sleep(0.05)"
SITTING = "import sys, time; from pathlib import Path\nPath(sys.argv[1]).touch(); time.sleep(600)"
PAUSE = 0.1


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.make()
    return made


def python(name: str, code: str, *arguments: str) -> Program:
    return Program(name, (sys.executable, "-c", code, *arguments))


def replaced(supervisor: Supervisor, service: Service, pid: int) -> bool:
    supervisor.glance()
    return service.child is not None and service.child.pid != pid and service.child.poll() is None


def test_a_process_that_hangs_is_replaced_and_its_healthy_neighbour_is_not(home: Home, tmp_path: Path) -> None:
    services = []
    for name in ("hangs", "healthy"):
        file = tmp_path / name
        services.append(Service(python(name, TOUCHING, str(file)), file.exists, Touched(file), patience=2))
    hanging, healthy = services
    supervisor = Supervisor(home, {})
    supervisor.start(*services)
    assert hanging.child is not None
    assert healthy.child is not None
    before, neighbour = hanging.child.pid, healthy.child.pid
    try:
        os.kill(before, signal.SIGSTOP)
        eventually(lambda: replaced(supervisor, hanging, before))
        assert healthy.child.pid == neighbour
    finally:
        supervisor.stop()


def test_a_process_that_runs_and_finishes_nothing_is_replaced(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    service = Service(python("idle", SITTING, str(file)), file.exists, Touched(file), patience=1)
    supervisor = Supervisor(home, {})
    supervisor.start(service)
    assert service.child is not None
    before = service.child.pid
    try:
        eventually(lambda: replaced(supervisor, service, before))
    finally:
        supervisor.stop()


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_an_engine_that_hangs_is_replaced_and_serves_again(home: Home, tmp_path: Path, name: str) -> None:
    port, password = processes.free_port(), "secret"
    if name == "redis":
        url, program = engines.redis_url(port, password), engines.redis_program(tmp_path / name, port, password)
    else:
        url = engines.postgres_url(port, password)
        program = engines.postgres_program(tmp_path / name, port, password, durable=False)
    answers = {"redis": engines.redis_answers, "postgres": engines.postgres_answers}[name]
    lives = {"redis": engines.redis_lives, "postgres": engines.postgres_lives}[name]
    service = Service(program, lambda: answers(url), Answered(lambda: lives(url), PAUSE), patience=8)
    supervisor = Supervisor(home, {})
    supervisor.start(service)
    assert service.child is not None
    before = service.child.pid
    try:
        supervisor.glance()
        os.kill(before, signal.SIGSTOP)
        eventually(lambda: replaced(supervisor, service, before))
        eventually(lambda: answers(url))
    finally:
        supervisor.stop()


def test_an_engine_that_refuses_is_alive(tmp_path: Path) -> None:
    port = processes.free_port()
    with processes.running(engines.redis_program(tmp_path / "redis", port, "secret"), tmp_path / "log"):
        eventually(lambda: engines.redis_answers(engines.redis_url(port, "secret")))
        assert not engines.redis_answers(engines.redis_url(port, "wrong"))
        assert engines.redis_lives(engines.redis_url(port, "wrong"))
    assert not engines.redis_lives(engines.redis_url(port, "secret"))
    assert not engines.postgres_lives(engines.postgres_url(port, "secret"))


def test_who_asks_is_not_held_up_by_one_who_does_not_answer() -> None:
    release = threading.Event()
    asked = Answered(lambda: release.wait(60), PAUSE)
    assert not asked()
    time.sleep(2 * PAUSE)
    assert not asked()  # and no second question is put while the first is open
    assert sum(thread.name == "question" for thread in threading.enumerate()) == 1
    release.set()
    eventually(asked)


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_clock_that_is_set_makes_nothing_look_dead_or_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    file = tmp_path / "heartbeat"
    touched = Touched(file)
    assert not touched()
    file.touch()
    os.utime(file, (time.time() + step, time.time() + step))
    assert touched()
    real = time.time
    monkeypatch.setattr(signs.time, "time", lambda: real() + step)
    assert not touched()
    os.utime(file, (real(), real()))
    assert touched()
