"""A whole installation for a test: `unmask up` as a real process over a home of its own, and ways to look into it."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from cli import processes
from cli.home import Child, Home
from cli.processes import Program
from cli.up import answers
from moderation import database

PATIENCE = 300.0
UNNAMED = dict.fromkeys(("UNMASK_DATABASE_URL", "UNMASK_REDIS_URL", "UNMASK_MEDIA", "UNMASK_SECRET_KEY"), "")


@dataclass
class Installation:
    """What runs, and how to reach it."""

    home: Home
    address: str
    environment: dict[str, str]
    sessions: sessionmaker[Session]

    def rows(self, query: str, **values: Any) -> Sequence[Any]:
        """What the ledger says."""
        with self.sessions.begin() as session:
            return session.execute(text(query), values).all()

    def client(self, api_key: str) -> httpx.Client:
        """The HTTP API with a key."""
        return httpx.Client(base_url=self.address, headers={"Authorization": f"Bearer {api_key}"}, timeout=60)

    def child(self, name: str) -> Child:
        """The process of that name that was started last."""
        return next(child for child in self.home.leftovers() if child.name == name)


def command(*arguments: str) -> tuple[str, ...]:
    """The `unmask` of this checkout."""
    return (sys.executable, "-P", "-m", "cli.main", *arguments)


@contextmanager
def running(home: Path, *arguments: str, **settings: str) -> Iterator[Installation]:
    """`unmask up` for the length of a block, ready to be used; stopped as an operator would."""
    port = processes.free_port()
    environment = UNNAMED | {"UNMASK_HOME": str(home), "UNMASK_PORT": str(port)} | settings
    log = home.parent / f"{home.name}.up.log"
    log.unlink(missing_ok=True)
    address = f"http://127.0.0.1:{port}"
    with processes.running(Program("up", command("up", *arguments), environment, grace_seconds=120), log) as child:
        eventually(lambda: child.poll() is not None or "Unmask is up" in log.read_text())
        assert child.poll() is None, log.read_text()
        assert answers(f"{address}/readyz")
        found = Home(home).reached()
        engine = database.connect(found["UNMASK_DATABASE_URL"])
        yield Installation(Home(home), address, environment | found, database.sessions(engine))
        engine.dispose()
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 0, log.read_text()


def eventually(met: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Waits until ``met``; how long that takes is not the test's business."""
    deadline = time.monotonic() + patience
    while not met():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


def chore(environment: dict[str, str], *arguments: str, given: str = "") -> dict[str, Any]:
    """Runs `unmask … --json` and returns its one object."""
    import subprocess

    done = subprocess.run(
        command(*arguments, "--json"),
        env={**os.environ, **environment},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
