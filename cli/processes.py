"""Child processes that end when we end, even when we are killed.

Start children from the main thread: Linux ties a child's life to the thread that made it.
"""

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """What to run, and how it likes to be stopped."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 15


def group_of(account: str | None) -> int | None:
    """Returns the id of an account's own group; a child that keeps root's group is shut out of root's folders."""
    return None if account is None else pwd.getpwnam(account).pw_gid


def start(program: Program, log: Path) -> subprocess.Popen[bytes]:
    """Starts ``program`` in a session of its own, so that Ctrl-C reaches only us, appending what it says to ``log``."""
    with log.open("ab") as output:
        return subprocess.Popen(
            program.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **program.environment},
            cwd=None if program.account is None else "/",
            user=program.account,
            group=group_of(program.account),
            extra_groups=None if program.account is None else (),
            preexec_fn=_dies_with_us(program.stop_signal),  # noqa: PLW1509 - it calls nothing that could wait for a lock
        )


def _dies_with_us(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """Returns what the child runs before exec. Elsewhere than on Linux a killed parent leaves its children behind."""
    if _LIBC is None:
        return None
    prctl, parent = _LIBC.prctl, os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != parent:  # we died between fork and prctl
            os._exit(1)

    return tie


def stop(child: subprocess.Popen[bytes], program: Program) -> None:
    """Asks ``child`` to end, and kills its whole session when its grace is over."""
    ask(child, program)
    finish(child, program)


def ask(child: subprocess.Popen[bytes], program: Program) -> None:
    """Asks ``child`` to end, in the way that its program likes."""
    if child.poll() is None:
        child.send_signal(program.stop_signal)


def finish(child: subprocess.Popen[bytes], program: Program) -> None:
    """Waits for ``child``, which was asked to end, and kills what is left of its session when its grace is over."""
    with suppress(subprocess.TimeoutExpired):
        child.wait(program.grace_seconds)
    kill(child)


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kills ``child`` and whatever it left in its session."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextmanager
def running(program: Program, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs ``program`` for the length of a block."""
    child = start(program, log)
    try:
        yield child
    finally:
        stop(child, program)


def started_at(pid: int) -> float | None:
    """Returns when ``pid`` was started (seconds since the epoch), which with the number names a process for good."""
    import psutil  # comes with the embedded engines; an installation without them starts no children

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def is_alive(pid: int, started: float) -> bool:
    """Returns whether that very process still runs, and not merely another one with its number."""
    found = started_at(pid)
    return found is not None and abs(found - started) < 0.1


def end_leftover(pid: int, started: float, stop_signal: int, *, grace_seconds: float = 10) -> None:
    """Ends a process of an earlier run with all its children, if it still runs."""
    import psutil

    if not is_alive(pid, started):
        return
    leftover = psutil.Process(pid)
    family = [leftover, *leftover.children(recursive=True)]
    leftover.send_signal(stop_signal)
    _, alive = psutil.wait_procs(family, timeout=grace_seconds)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=grace_seconds)


def free_port(preferred: int | None = None, *, but: int | None = None) -> int:
    """Returns a free loopback port below the range from which outgoing connections take theirs."""
    for port in (preferred, *_candidates()):
        if port is not None and port != but and not is_taken("127.0.0.1", port):
            return port
    raise OSError("no free port between 20000 and 32000 on 127.0.0.1")


def _candidates() -> Iterator[int]:
    first = 20000 + int.from_bytes(os.urandom(2)) % 12000
    yield from range(first, 32000)
    yield from range(20000, first)


def is_taken(host: str, port: int) -> bool:
    """Returns whether nothing more can listen on ``host:port``."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False
