"""Long polls: a request that waits holds a thread that sleeps, no connection, and one look at the ledger serves all.

Only `SEATS` of a process may wait at once, so that the threads beside them (deploy/gunicorn.conf.py) are always free to
work. Who finds no seat is answered at once with the state as it is, and who hangs up leaves theirs.
"""

import select
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from moderation import logs, submissions
from moderation.tables import FINAL_STATES

SEATS = 240  # a sleeping thread is cheap, and who finds no seat asks again
AT_WORK = 16  # threads beside them
INTERVAL = 0.25  # between looks at the ledger, in seconds

log = logs.get(__name__)


class Seat(threading.Event):
    """Somebody who waits, and the connection on which they will be answered; set when there is no more to wait for."""

    def __init__(self, line: socket.socket | None) -> None:
        super().__init__()
        self.line = line


class Room:
    """Where the requests of one process wait; a thread that lives as long as anybody does looks into the ledger."""

    def __init__(self, sessions: sessionmaker[Session], seats: int = SEATS) -> None:
        self._sessions = sessions
        self._free = threading.BoundedSemaphore(seats)
        self._lock = threading.Lock()
        self._taken: defaultdict[str, list[Seat]] = defaultdict(list)
        self._watcher: threading.Thread | None = None
        self._left = threading.Condition(self._lock)

    def hold(
        self,
        submission_id: str,
        read: Callable[[], dict[str, Any]],
        seconds: float,
        line: socket.socket | None = None,
    ) -> dict[str, Any]:
        """Returns ``read()`` once its `state` is final, or as it is after ``seconds`` or when every seat is taken.

        It is over, too, once the client has hung up, or has said that it will send no more on ``line``. Each ``read``
        is a short transaction of its own; between them there is none.
        """
        found = read()
        if seconds <= 0 or found["state"] in FINAL_STATES or not self._free.acquire(blocking=False):
            return found
        try:
            with self._seated(submission_id, line) as seat:
                seat.wait(seconds)
            return read()
        finally:
            self._free.release()

    @contextmanager
    def _seated(self, submission_id: str, line: socket.socket | None) -> Iterator[Seat]:
        """A seat that is set when the submission has ended or the line is dead."""
        seat = Seat(line)
        with self._lock:
            self._taken[submission_id].append(seat)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="waiting", daemon=True)
                self._watcher.start()
        try:
            yield seat
        finally:
            with self._lock:
                self._taken[submission_id].remove(seat)
                if not self._taken[submission_id]:
                    del self._taken[submission_id]
                    self._left.notify()

    def _watch(self) -> None:
        while True:
            with self._lock:
                self._left.wait_for(lambda: not self._taken, INTERVAL)
                if not self._taken:
                    self._watcher = None
                    return
                for seat in _deserted(seat for seats in self._taken.values() for seat in seats):
                    seat.set()
                asked = list(self._taken)
            for submission_id in self._look(asked):
                with self._lock:
                    for seat in self._taken.get(submission_id, ()):
                        seat.set()

    def _look(self, asked: Collection[str]) -> Collection[str]:
        try:
            with self._sessions.begin() as session:
                return submissions.ended(session, asked)
        except Exception as error:  # noqa: BLE001 - whoever waits reads for itself in the end, and tells what is wrong
            log.warning("waiting_blindly", error=str(error))
            return ()


def _deserted(seats: Iterable[Seat]) -> list[Seat]:
    """Those whose client has hung up."""
    lines, by_line = select.poll(), {}
    for seat in seats:
        with suppress(OSError, ValueError):  # closed on our side
            if seat.line is not None:
                lines.register(seat.line, select.POLLRDHUP)
                by_line[seat.line.fileno()] = seat
    return [by_line[line] for line, _ in lines.poll(0)]
