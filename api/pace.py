"""The pace of request bodies: a thread reads one as it arrives, so a client that drips must not keep many threads.

A body that is long in coming and slower than a poor mobile line needs one of a process's few seats for the slow; where
none is free, or after two minutes, its request is answered 408. Bodies that are short never come here half-arrived: see
`api.serving`.
"""

import socket
import threading
import time

from werkzeug.exceptions import RequestTimeout

SEATS = 4  # of the threads of a process (deploy/gunicorn.conf.py)
FREE_SECONDS = 2.0  # in which any pace will do
BYTES_PER_SECOND = 64 * 1024  # from then on, on average
SILENCE_SECONDS = 30.0  # for which a body may pause
SLOW_SECONDS = 120.0  # for which a seat may be held

_seats = threading.BoundedSemaphore(SEATS)


class PacedSocket:
    """Stands before a connection's socket while one body is read from it.

    Its `recv` is all that gunicorn reads a body with. Raised there, werkzeug's RequestTimeout reaches the view that
    reads the body, and so becomes an answer.
    """

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self._began = time.monotonic()
        self._bytes = 0
        self._seated = False

    def recv(self, size: int) -> bytes:
        """Returns what has arrived, up to ``size`` bytes, once there is something.

        Raises:
            RequestTimeout: when the body comes too slowly.
        """
        began = time.monotonic()
        while True:
            self._take_seat_when_slow()
            self.stream.settimeout(self._patience(began))
            try:
                arrived = self.stream.recv(size)
            except TimeoutError:
                continue  # the seat, or the patience, decides
            self._bytes += len(arrived)
            return arrived

    def _take_seat_when_slow(self) -> None:
        took = time.monotonic() - self._began
        if self._seated or took < FREE_SECONDS or self._bytes >= took * BYTES_PER_SECOND:
            return
        self._seated = _seats.acquire(blocking=False)
        if not self._seated:
            raise RequestTimeout("The body arrives too slowly, and many others do.")

    def _patience(self, began: float) -> float:
        """Returns the seconds until somebody has to look again."""
        now = time.monotonic()
        left = began + SILENCE_SECONDS - now
        if self._seated:
            left = min(left, self._began + SLOW_SECONDS - now)
        if left <= 0:
            raise RequestTimeout("The body arrives too slowly.")
        return left if self._seated else min(left, max(self._began + FREE_SECONDS - now, 0.1))

    def leave(self) -> None:
        """Gives the seat back; the body is read, or nobody wants it any more."""
        if self._seated:
            self._seated = False
            _seats.release()
