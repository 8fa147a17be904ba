"""`unmask up` on one machine: what it keeps, what it refuses, and what it leaves behind."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli import processes
from cli.up import answers
from tests.conftest import Engines
from tests.installations import PATIENCE, UNNAMED, chore, command, eventually, running

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="unmask-up-") as folder:
        yield Path(folder) / "home"


def refused(home: Path, *arguments: str, **settings: str) -> str:
    """What `unmask up` says on its one line when it does not start."""
    port = {"UNMASK_PORT": str(processes.free_port())}
    done = subprocess.run(
        command("up", *arguments),
        env=os.environ | UNNAMED | port | {"UNMASK_HOME": str(home)} | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode not in (0, 2), done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("unmask: ")
    return done.stderr


def test_state_is_found_again_and_the_home_may_be_deep(home: Path) -> None:
    deep = home / ("a" * 60) / ("b" * 60) / "home with spaces"
    deep.parent.mkdir(parents=True)
    with running(deep, "--workers", "0") as first:
        made = chore(first.environment, "platform", "create", "Chirper")
        assert set(made) == {"id", "name", "api_key", "callback_secret"}
        key = first.environment["UNMASK_SECRET_KEY"]
        assert (deep / "secrets.json").stat().st_mode & 0o077 == 0
        assert (deep / "running.json").stat().st_mode & 0o077 == 0
        assert "another `unmask up` runs" in refused(deep)
    assert not (deep / "running.json").exists()
    with running(deep, "--workers", "0") as second, second.client(made["api_key"]) as http:
        assert http.get("/v1/submissions").json()["items"] == []
        assert second.environment["UNMASK_SECRET_KEY"] == key


def test_with_engines_of_the_operators_it_starts_none(home: Path, engines: Engines, Session: object) -> None:
    named = {"UNMASK_DATABASE_URL": engines.database_url, "UNMASK_REDIS_URL": engines.redis_url}
    with running(home, "--workers", "0", "--fetchers", "2", **named) as it:
        assert {child.name for child in it.home.leftovers()} == {"api", "upkeep", "fetcher-1", "fetcher-2"}
        assert it.environment["UNMASK_DATABASE_URL"] == engines.database_url
        assert not (home / "postgres").exists()
        assert not (home / "redis").exists()
        chore(it.environment, "platform", "create", "Chirper")
        assert it.rows("SELECT name FROM platforms") == [("Chirper",)]


def test_with_one_engine_of_the_operators_chores_work_as_it_prints_them(
    home: Path, engines: Engines, Session: object
) -> None:
    """`UNMASK_HOME=… unmask platform create NAME`, with what the operator set and nothing else."""
    named = {"UNMASK_DATABASE_URL": engines.database_url}
    with running(home, "--workers", "0", **named) as it:
        assert {child.name for child in it.home.leftovers()} == {"redis", "api", "upkeep"}
        made = chore({**UNNAMED, **named, "UNMASK_HOME": str(home)}, "platform", "create", "Chirper")
        assert made["name"] == "Chirper"
        assert it.rows("SELECT name FROM platforms") == [("Chirper",)]


def test_nothing_outlives_a_killed_up_and_the_next_one_starts(home: Path) -> None:
    environment = os.environ | UNNAMED | {"UNMASK_HOME": str(home), "UNMASK_PORT": str(processes.free_port())}
    log = home.parent / "killed.log"
    with (
        log.open("w") as output,
        subprocess.Popen(command("up"), env=environment, stdout=output, stderr=output) as killed,
    ):
        eventually(lambda: "Unmask is up" in log.read_text() or killed.poll() is not None)
        assert killed.poll() is None, log.read_text()
        family = psutil.Process(killed.pid).children(recursive=True)
        assert {"postgres", "redis-server"} <= {process.name() for process in family}
        killed.send_signal(signal.SIGKILL)
    with running(home, "--workers", "0"):
        assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_what_dies_is_started_again(home: Path) -> None:
    with running(home, "--workers", "0") as it:
        for name in ("postgres", "redis", "api", "upkeep"):
            before = it.child(name)
            os.kill(before.pid, signal.SIGKILL)
            eventually(lambda name=name, before=before: it.child(name) != before)  # type: ignore[misc]
        eventually(lambda: answers(f"{it.address}/readyz"))
        made = chore(it.environment, "platform", "create", "Chirper")
        assert made["id"].startswith("plt_")


def test_a_busy_port_is_told(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} of 127.0.0.1 is not free" in refused(home, "--port", port)


def test_an_unwritable_home_is_told() -> None:
    assert "/proc/unmask cannot be written" in refused(Path("/proc/unmask"))


def test_a_file_in_the_place_of_the_home_is_told(home: Path) -> None:
    home.write_text("in the way")
    assert "cannot be written" in refused(home)


def test_a_missing_detector_is_told(home: Path) -> None:
    assert "there is no detector" in refused(home, UNMASK_DETECTOR=str(home / "nowhere"))


def test_chores_without_a_database_say_where_they_looked(home: Path) -> None:
    done = subprocess.run(
        command("platform", "list"),
        env=os.environ | UNNAMED | {"UNMASK_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert str(home) in done.stderr
