"""A few places that forked children share, so that one kind of task cannot occupy all of them."""

import fcntl
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager


class Slots:
    """``places`` that as many processes may hold at a time; made before the fork, and used one at a time in each child.

    Each is a byte of a file under a POSIX record lock: those belong to a process, so the kernel frees a dead one's.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._file = tempfile.TemporaryFile(prefix="unmask-slots-")  # noqa: SIM115 - open as long as we are there
        weakref.finalize(self, self._file.close)

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Holds a place for the length of a block; False: there is none."""
        place = next((place for place in range(self._places) if self._take(place)), None)
        try:
            yield place is not None
        finally:
            if place is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def _take(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            return False
        return True
