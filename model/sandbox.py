"""A sandbox: functions over hostile bytes run in other processes, each call with a limit on time and on memory.

A limit that only asks (a signal that Python looks at between two of its own instructions) ends no decoder: native code
does not look. So calls run in *cells*, processes that live long and are killed when a call takes too long; its file
fails, and its neighbours, which are in other cells, go on. A file that is slow gives up its place in the line to the
next, so that it holds up nobody while its time runs out.

Answers are unpickled, and come from processes that have run hostile bytes through native code: nothing is made of them
but arrays, plain values and the project's own dataclasses.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model import cell
from model.errors import BadImage, TooCostly

SLOW_SECONDS = 5.0  # after which a call no longer holds a place
RETIRED_AFTER = 5_000  # calls: bounds what a leak in a C library can grow to
STARTING_SECONDS = 120.0
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "LD_LIBRARY_PATH")  # no secrets
_SINGLE = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_PACKAGES = ("model", "worker", "formats")
_ARRAYS = {"_reconstruct", "_frombuffer", "scalar", "ndarray", "dtype"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may take: seconds on the clock, and bytes of memory that are its cell's own."""

    seconds: float = 60.0
    memory: int = 4_000_000_000


class PutOff(Exception):
    """There was not enough time left for this call: nothing is known of its file."""


class Sandbox:
    """Cells that share the work. Safe from many threads; a thread waits for its own call."""

    def __init__(self, make: Callable[..., Any], arguments: Sequence[Any], cells: int, limits: Limits) -> None:
        """`make(*arguments)` is called in each cell once, and makes the tool that the functions of calls get first. It
        and they are importable by name. `cells` calls run at once, beside those that are slow.
        """
        self.limits = limits
        self._make, self._cells = (make, tuple(arguments)), cells
        self._places = threading.Semaphore(cells)
        self._lock = threading.Lock()
        self._idle = [_Cell(limits) for _ in range(cells)]
        for each in self._idle:
            each.start(self._make)
        weakref.finalize(self, _close, self._idle)

    def call(self, function: Callable[..., Any], *arguments: Any, until: float | None = None) -> Any:
        """`function(tool, *arguments)`, as a cell answers it.

        Raises:
            TooCostly: when it took too much time or memory.
            BadImage: when its decoder crashed.
            PutOff: when `until`, on the clock of `time.monotonic`, came before its time was over.
            RuntimeError: with the cell's own words, for whatever else the function raised.
        """
        seconds = None if until is None else max(0.0, until - time.monotonic())
        if not self._places.acquire(timeout=seconds):
            raise PutOff
        place = _Place(self._places)
        try:
            return self._called(function, arguments, place, until)
        finally:
            place.leave()

    def _called(
        self, function: Callable[..., Any], arguments: Sequence[Any], place: _Place, until: float | None
    ) -> Any:
        for attempt in (1, 2):
            room = self._taken()
            try:
                return room.ask((function, tuple(arguments)), self.limits.seconds, until, place.leave)
            except _Killed:
                # by the kernel for want of memory, or by somebody's hand: it may not have been this file's doing
                if attempt == 2:
                    raise TooCostly("decoding was killed twice, as the system does when memory is short") from None
            finally:
                self._give_back(room)
        raise AssertionError

    def _taken(self) -> _Cell:
        with self._lock:
            room = self._idle.pop() if self._idle else _Cell(self.limits)
        if not room.is_usable:
            room.close()
            room = _Cell(self.limits)
        if not room.is_started:
            room.start(self._make)
        return room

    def _give_back(self, room: _Cell) -> None:
        with self._lock:
            if room.is_usable and len(self._idle) < self._cells:
                self._idle.append(room)
                return
            lacking = len(self._idle) < self._cells
        room.close()
        if lacking:  # made at once, so that the next file does not wait for a process to start
            fresh = _Cell(self.limits)
            fresh.start(self._make)
            with self._lock:
                self._idle.insert(0, fresh)

    def close(self) -> None:
        """Ends the cells that have nothing to do."""
        _close(self._idle)


def _close(cells: list[_Cell]) -> None:
    while cells:
        cells.pop().close()


class _Place:
    """A place among those that work, left once."""

    def __init__(self, places: threading.Semaphore) -> None:
        self._places, self._is_held = places, True

    def leave(self) -> None:
        if self._is_held:
            self._is_held = False
            self._places.release()


class _Killed(Exception):
    """The cell was killed, and not by us."""


class _Cell:
    """One process."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._calls = limits, 0
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    @property
    def is_started(self) -> bool:
        return self._process is not None

    @property
    def is_usable(self) -> bool:
        """Whether it may be asked again, or has not been yet."""
        if self._process is None:
            return self._calls == 0
        return self._channel is not None and self._calls < RETIRED_AFTER and self._process.poll() is None

    def start(self, make: tuple[Callable[..., Any], tuple[Any, ...]]) -> None:
        """Starts the process, and does not wait for it."""
        ours, theirs = socket.socketpair()
        path = [folder or str(Path.cwd()) for folder in sys.path]
        begin = f"import sys; sys.path[:] = {path!r}; from model import cell; cell.main()"
        limits = (str(theirs.fileno()), str(self._limits.memory), str(self._limits.seconds))
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-c", begin, *limits],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _SINGLE,
            )
        self._channel = ours
        with suppress(OSError):  # it has ended already: the first call finds that out
            cell.send(ours, cell.DONE, make)

    def ask(self, message: object, seconds: float, until: float | None, slow: Callable[[], None]) -> Any:
        """Sends a call and waits for its answer; `slow` is called when that takes a while."""
        assert self._channel is not None
        if not self._calls:  # its time begins when the tool is made
            self._made()
        self._calls += 1
        end = time.monotonic() + seconds
        try:
            cell.send(self._channel, cell.DONE, message)
            kind, answer = self._waited(end if until is None else min(end, until), slow)
        except TimeoutError:
            self.close()
            if time.monotonic() < end:
                raise PutOff from None
            raise TooCostly(f"decoding took more than {seconds:g} seconds and was ended") from None
        except (EOFError, ConnectionError):
            raise self._ended() from None
        said = _read(answer)
        if kind == cell.BROKEN:
            raise RuntimeError(said)
        if kind == cell.SPENT:
            self.close()  # nobody knows in what state a library is that was refused memory
            raise TooCostly(f"decoding needs more than {self._limits.memory // 1_000_000} MB of memory")
        return said

    def _made(self) -> None:
        assert self._channel is not None
        self._channel.settimeout(STARTING_SECONDS)
        try:
            cell.receive(self._channel)
        except (OSError, EOFError) as error:
            self.close()
            raise RuntimeError("a cell did not start; what it said stands in the log before this") from error

    def _waited(self, end: float, slow: Callable[[], None]) -> tuple[bytes, mmap.mmap]:
        """The answer, if it comes before `end`; TimeoutError."""
        assert self._channel is not None
        self._channel.settimeout(max(0.001, min(SLOW_SECONDS, end - time.monotonic())))
        with suppress(TimeoutError):
            return cell.receive(self._channel)
        slow()
        self._channel.settimeout(max(0.001, end - time.monotonic()))
        return cell.receive(self._channel)

    def _ended(self) -> Exception:
        """What an end that we did not ask for means."""
        assert self._process is not None
        self._process.wait()
        status = self._process.returncode
        self.close()
        if status == -signal.SIGKILL:
            return _Killed()
        if status in (-signal.SIGXCPU, -signal.SIGABRT):
            return TooCostly("decoding took too much time or memory and was ended")
        if status < 0:
            return BadImage(f"the decoder crashed ({signal.Signals(-status).name})")
        return RuntimeError(f"a cell ended with {status}; what it said stands in the log before this")

    def close(self) -> None:
        """Kills the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _read(answer: mmap.mmap) -> Any:
    with answer:
        return _Unpickler(answer).load()


class _Unpickler(pickle.Unpickler):
    """Makes arrays, plain values, and dataclasses and named tuples of our own packages; nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" and name in _ARRAYS:
            return super().find_class(module, name)
        if module.partition(".")[0] in _PACKAGES and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and (dataclasses.is_dataclass(found) or issubclass(found, tuple)):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is nothing that a cell may answer")
