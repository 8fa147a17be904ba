"""A home: the folder where `unmask up` keeps its engines, its secrets, its logs and what it is running.

One `unmask up` at a time holds a home. Secrets are made once, readable by their owner only, and found again.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cli import processes
from moderation import settings as configuration
from moderation.errors import BadSettings, Conflict
from moderation.settings import Settings


class Given(Settings):
    """What an operator set; what they left out is empty, for `unmask up` to fill in."""

    database_url: str = ""
    redis_url: str = ""
    media: str = ""
    secret_key: str = ""


@dataclass(frozen=True)
class Secrets:
    """What a home keeps for good."""

    secret_key: str
    postgres_password: str
    redis_password: str
    postgres_port: int
    redis_port: int


@dataclass(frozen=True)
class Child:
    """A process that `unmask up` started; the start time tells it from a later one with the same number."""

    name: str
    pid: int
    started: float
    stop_signal: int


class Home:
    """A folder. Making the object touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.logs = self.path / "logs"
        self._secrets = self.path / "secrets.json"
        self._running = self.path / "running.json"

    def make(self) -> None:
        """Makes the folder where it is not there yet.

        Raises:
            BadSettings: when it cannot be made or written.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            (self.path / "lock").touch()
        except OSError as error:
            raise BadSettings(f"{self.path} cannot be written ({error.strerror}); set UNMASK_HOME") from None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Makes the folder and holds it for the length of a block.

        Raises:
            Conflict: when another process holds it.
        """
        self.make()
        with (self.path / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(f"another `unmask up` runs in {self.path}") from None
            yield
            self._running.unlink(missing_ok=True)

    def secrets(self) -> Secrets:
        """Returns the kept secrets, making them the first time. Ports are free now and prefer to be those of before."""
        kept = _read(self._secrets)
        postgres_port = processes.free_port(kept.get("postgres_port"))
        found = Secrets(
            secret_key=kept.get("secret_key") or secrets.token_urlsafe(48),
            postgres_password=kept.get("postgres_password") or secrets.token_hex(16),
            redis_password=kept.get("redis_password") or secrets.token_hex(16),
            postgres_port=postgres_port,
            redis_port=processes.free_port(kept.get("redis_port"), but=postgres_port),
        )
        _write(self._secrets, asdict(found))
        return found

    def note(self, children: list[Child], environment: Mapping[str, str]) -> None:
        """Keeps what runs now and how to reach it, for chores and for whoever cleans up after a crash."""
        _write(self._running, {"children": [asdict(child) for child in children], "environment": dict(environment)})

    def leftovers(self) -> list[Child]:
        """Returns what the last run noted and did not take back."""
        return [Child(**child) for child in _read(self._running).get("children", [])]

    def reached(self) -> dict[str, str]:
        """Returns the environment of what runs here now; empty when nothing does."""
        running = _read(self._running)
        alive = any(processes.is_alive(child["pid"], child["started"]) for child in running.get("children", []))
        return dict(running.get("environment", {})) if alive else {}


def settings() -> Settings:
    """Returns a chore's settings: the operator's, and what they leave out from the `unmask up` that runs in the home.

    That one may have started one engine, and have been given the other.

    Raises:
        BadSettings: when neither is there, or the operator names other engines than those of that `unmask up`.
    """
    given = configuration.read(Given)
    engines = {"UNMASK_DATABASE_URL": given.database_url, "UNMASK_REDIS_URL": given.redis_url}
    found = Home(given.home).reached()
    if not found and not given.database_url:
        raise BadSettings(f"UNMASK_DATABASE_URL is not set, and no `unmask up` runs in {given.home}")
    if all(not named or named == found.get(name) for name, named in engines.items()):
        for name, value in found.items():
            if not os.environ.get(name):
                os.environ[name] = value
    return configuration.load()


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadSettings(f"{file} cannot be read: {error}") from None
    return content


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    making = file.with_suffix(".new")
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        json.dump(content, opened, indent=2)
    making.replace(file)
