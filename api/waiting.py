"""Long polls: a request that waits holds a thread that sleeps, no connection, and one look at the ledger serves all.

Only `SEATS` of a process may wait at once, so that the threads beside them (deploy/gunicorn.conf.py) are always free to
work. Who finds no seat is answered at once with the state as it is.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from moderation import logs, submissions
from moderation.tables import FINAL_STATES

SEATS = 112
AT_WORK = 16  # threads beside them
INTERVAL = 0.25  # between looks at the ledger, in seconds

log = logs.get(__name__)


class Room:
    """Where the requests of one process wait; a thread that lives as long as anybody does looks into the ledger."""

    def __init__(self, sessions: sessionmaker[Session], seats: int = SEATS) -> None:
        self._sessions = sessions
        self._free = threading.BoundedSemaphore(seats)
        self._lock = threading.Lock()
        self._bells: defaultdict[str, list[threading.Event]] = defaultdict(list)
        self._watcher: threading.Thread | None = None
        self._left = threading.Condition(self._lock)

    def hold(self, submission_id: str, read: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
        """Returns ``read()`` once its `state` is final, or as it is after ``seconds`` or when every seat is taken.

        Each ``read`` is a short transaction of its own; between them there is none.
        """
        found = read()
        if seconds <= 0 or found["state"] in FINAL_STATES or not self._free.acquire(blocking=False):
            return found
        try:
            with self._bell(submission_id) as bell:
                bell.wait(seconds)
            return read()
        finally:
            self._free.release()

    @contextmanager
    def _bell(self, submission_id: str) -> Iterator[threading.Event]:
        """An event that is set when the submission has ended."""
        bell = threading.Event()
        with self._lock:
            self._bells[submission_id].append(bell)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="waiting", daemon=True)
                self._watcher.start()
        try:
            yield bell
        finally:
            with self._lock:
                self._bells[submission_id].remove(bell)
                if not self._bells[submission_id]:
                    del self._bells[submission_id]
                    self._left.notify()

    def _watch(self) -> None:
        while True:
            with self._lock:
                self._left.wait_for(lambda: not self._bells, INTERVAL)
                if not self._bells:
                    self._watcher = None
                    return
                asked = list(self._bells)
            for submission_id in self._look(asked):
                with self._lock:
                    for bell in self._bells.get(submission_id, ()):
                        bell.set()

    def _look(self, asked: Collection[str]) -> Collection[str]:
        try:
            with self._sessions.begin() as session:
                return submissions.ended(session, asked)
        except Exception as error:  # noqa: BLE001 - whoever waits reads for itself in the end, and tells what is wrong
            log.warning("waiting_blindly", error=str(error))
            return ()
