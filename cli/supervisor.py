"""The supervisor: keeps processes running on one machine and stops them in order.

Processes come in stages: those of one stage start together and stop together, later stages stop first. Whatever ends
before it was asked to is started again, sooner when it had been healthy, later when it keeps failing. What runs without
a sign of life (see `signs`) is killed, and so started again.
It restarts; it does not diagnose: each process's own log says why it ended.
"""

import math
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli import processes
from cli.home import Child, Home
from cli.processes import Program
from moderation import logs
from moderation.errors import WorldDown

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a process is started again
HEALTHY_SECONDS = 60  # after which earlier failures are forgotten
LOG_BYTES, LOG_FILES = 10_000_000, 3
GLANCE_SECONDS = 0.2

log = logs.get(__name__)


@dataclass
class Service:
    """A program that should run, the process that does, and how often it has failed lately."""

    program: Program
    is_ready: Callable[[], bool] = lambda: True
    is_alive: Callable[[], bool] = lambda: True  # whether it showed a sign of life since this was last asked
    patience: float = math.inf  # seconds without one after which it is killed
    seen_at: float = 0.0  # alive
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    due_at: float | None = None

    def ended(self, now: float) -> None:
        """Notes an end that nobody asked for, and when to start again."""
        healthy = now - self.started_at >= HEALTHY_SECONDS
        self.failures = 1 if healthy else self.failures + 1
        self.due_at = now + min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** (self.failures - 1))


class Supervisor:
    """Services in stages over one home. Used from the main thread only, which its children's lives are tied to."""

    def __init__(self, home: Home, environment: dict[str, str]) -> None:
        self._home, self._environment = home, environment
        self._stages: list[Sequence[Service]] = []

    def start(self, *stage: Service, seconds: float = 120) -> None:
        """Starts a stage, and returns when all of it is ready.

        Raises:
            WorldDown: when one of it keeps ending, or is not ready in time; names its log.
        """
        self._stages.append(stage)
        for service in stage:
            self._launch(service)
        deadline = time.monotonic() + seconds
        while not all(service.is_ready() for service in stage):
            self.glance()
            failing = [service for service in stage if service.failures >= 3]
            if failing or time.monotonic() > deadline:
                names = ", ".join(service.program.name for service in failing or stage)
                raise WorldDown(f"{names} did not start{self._last_words(failing)}; see {self._home.logs}")
            time.sleep(GLANCE_SECONDS)

    def watch(self) -> None:
        """Keeps everything running until interrupted."""
        while True:
            self.glance()
            time.sleep(GLANCE_SECONDS)

    def glance(self) -> None:
        """Notices what has ended or hangs, starts again what is due, and keeps logs bounded."""
        for service in self._services():
            self._look_after(service, time.monotonic())
            rotate(self._log_of(service))

    def _look_after(self, service: Service, now: float) -> None:
        if service.due_at is not None:
            if now >= service.due_at:
                self._launch(service)
            return
        if service.child is None:
            return
        if service.child.poll() is not None:
            processes.kill(service.child)  # and what it left behind
            service.ended(now)
            log.warning(
                "process_ended",
                name=service.program.name,
                status=service.child.returncode,
                again_in=round((service.due_at or now) - now, 1),
            )
        elif service.is_alive():
            service.seen_at = now
        elif now - service.seen_at > service.patience:
            log.error("process_hangs", name=service.program.name, patience=service.patience)
            processes.kill(service.child)  # the next glance finds that it has ended

    def stop(self) -> None:
        """Stops everything, the latest stage first; interrupted, it kills what is left at once."""
        try:
            while self._stages:
                running = [(s.child, s.program) for s in self._stages[-1] if s.child is not None]
                for child, program in running:
                    processes.ask(child, program)
                for child, program in running:
                    processes.finish(child, program)
                self._stages.pop()
        finally:
            for service in reversed(self._services()):
                if service.child is not None:
                    processes.kill(service.child)

    def _services(self) -> list[Service]:
        return [service for stage in self._stages for service in stage]

    def _launch(self, service: Service) -> None:
        service.child = processes.start(service.program, self._log_of(service))
        service.started_at, service.due_at = time.monotonic(), None
        service.seen_at = service.started_at
        self._note()

    def _note(self) -> None:
        found = [(s.program, s.child.pid, processes.started_at(s.child.pid)) for s in self._services() if s.child]
        self._home.note(
            [
                Child(program.name, pid, started, int(program.stop_signal))
                for program, pid, started in found
                if started is not None
            ],
            self._environment,
        )

    def _log_of(self, service: Service) -> Path:
        return self._home.logs / f"{service.program.name}.log"

    def _last_words(self, services: Sequence[Service]) -> str:
        said = [line for service in services for line in self._log_of(service).read_text(errors="replace").splitlines()]
        return f": {said[-1].strip()}" if said else ""


def rotate(file: Path) -> None:
    """Bounds a log that a process has open: its content moves to `.1`, `.2`, …, and it begins anew.

    The file itself stays, since whoever writes to it (appending) holds it open.
    """
    if not file.exists() or file.stat().st_size < LOG_BYTES:
        return
    for number in range(LOG_FILES - 1, 0, -1):
        if (older := file.with_suffix(f".log.{number}")).exists():
            older.replace(file.with_suffix(f".log.{number + 1}"))
    shutil.copyfile(file, file.with_suffix(".log.1"))
    with file.open("r+") as opened:
        opened.truncate()
