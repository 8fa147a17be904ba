"""Pressure: when the line is longer than can be worked off in reasonable time, more work is refused at the door.

Between `UNMASK_MAX_LINE` and twice that, urgent submissions still come in; above, nothing does. The line is measured at
most once a second in each process, by one request while the others go by the last measure, and never counted beyond
what decides.
"""

import threading
import time

from sqlalchemy.orm import Session, sessionmaker

from moderation import submissions
from moderation.errors import LineTooLong
from moderation.tables import PRIORITIES

SECONDS = 1.0  # between two measures
RETRY_SECONDS = 30
URGENT = PRIORITIES.index("urgent")


class Pressure:
    """The length of the line, as far as it decides who may join."""

    def __init__(self, sessions: sessionmaker[Session], most: int) -> None:
        self._sessions, self._most = sessions, most
        self._length = 0
        self._measured_at = float("-inf")
        self._lock = threading.Lock()

    def admit(self, priority: int | None = URGENT) -> None:
        """Lets a submission of ``priority`` (an index into PRIORITIES; None: its platform's usual) join the line.

        Before the priority is known, ask for an urgent one: what is refused then need not be read.

        Raises:
            LineTooLong: when it has to come back later.
        """
        if self._now() >= (2 if priority == URGENT else 1) * self._most:
            raise LineTooLong("too many submissions are waiting to be scored", RETRY_SECONDS)

    def _now(self) -> int:
        if time.monotonic() - self._measured_at >= SECONDS and self._lock.acquire(blocking=False):
            try:
                with self._sessions.begin() as session:
                    self._length = submissions.line(session, most=2 * self._most)
                self._measured_at = time.monotonic()
            finally:
                self._lock.release()
        return self._length
