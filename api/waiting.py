"""Long polls: a request that waits for its submission holds a thread, so only some may, and none holds a connection."""

import threading
import time
from collections.abc import Callable
from typing import Any

from moderation.tables import FINAL_STATES

SEATS = 8  # a process has twice as many threads (deploy/gunicorn.conf.py): waiting never keeps work out
INTERVAL = 0.25

_seats = threading.BoundedSemaphore(SEATS)


def hold(read: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Returns ``read()`` once its `state` is final, or as it is after ``seconds`` or when every seat is taken.

    Each ``read`` is a short transaction of its own.
    """
    deadline = time.monotonic() + seconds
    found = read()
    if seconds <= 0 or found["state"] in FINAL_STATES or not _seats.acquire(blocking=False):
        return found
    try:
        while found["state"] not in FINAL_STATES and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(INTERVAL, left))
            found = read()
    finally:
        _seats.release()
    return found
