"""Signs of life, as the supervisor asks for them several times a second: whether there was one since it last asked.

No sign is compared with the time of day: a clock that is set back makes nothing look dead, or alive.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

SECONDS_BETWEEN = 5.0


class Touched:
    """A file whose modification time changes when the process has finished something."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._last = self._mark()

    def __call__(self) -> bool:
        before, self._last = self._last, self._mark()
        return self._last != before

    def _mark(self) -> int | None:
        try:
            return self._file.stat().st_mtime_ns
        except FileNotFoundError:
            return None


class Answered:
    """A question that is asked every few seconds, in threads of its own: one who hangs must not hold up the asker."""

    def __init__(self, ask: Callable[[], bool], seconds_between: float = SECONDS_BETWEEN) -> None:
        self._ask, self._between = ask, seconds_between
        self._asking: threading.Thread | None = None
        self._next = 0.0
        self._answered = threading.Event()

    def __call__(self) -> bool:
        if time.monotonic() >= self._next and not (self._asking and self._asking.is_alive()):
            self._next = time.monotonic() + self._between
            self._asking = threading.Thread(target=self._put, name="question", daemon=True)
            self._asking.start()
        if not self._answered.is_set():
            return False
        self._answered.clear()
        return True

    def _put(self) -> None:
        if self._ask():
            self._answered.set()
