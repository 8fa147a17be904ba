"""Room for what is fetched: a temporary file that says what a full disk means for the fetch.

A disk that is full at the moment is the world being down: the fetch is put back and costs no attempt. A file that would
not fit if the disk were empty never will: without telling the two apart, it would be downloaded again for ever.
"""

import errno
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moderation.errors import NotFetched, WorldDown

SLUG = "no-room"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LARGE = 0.5  # of the whole disk: a file this large that does not fit is too large, whoever else takes the rest


class Landing(io.BufferedRandom):
    """A temporary file.

    Raises:
        WorldDown: by whatever writes, when the disk is full and others fill it.
        NotFetched: slug `no-room`, when this very file fills it.
    """

    asked = 0  # bytes to keep, so far

    def write(self, piece: Any) -> int:
        """Writes bytes."""
        self.asked += len(piece)
        with self._room():
            return super().write(piece)

    def flush(self) -> None:
        """Writes what is still in a buffer."""
        with self._room():
            super().flush()

    def seek(self, target: int, whence: int = 0) -> int:
        """Moves, which writes what is still in a buffer."""
        with self._room():
            return super().seek(target, whence)

    def admit(self, size: int) -> None:
        """Takes note that ``size`` bytes are to come, before any of them is downloaded.

        Raises:
            NotFetched: when the disk is smaller than that.
            WorldDown: when there is less room at present.
        """
        total, free = _space()
        if size > total:
            raise NotFetched(SLUG, f"this installation has no room for {size} bytes")
        if size > free:
            raise WorldDown(f"there is no room for {size} bytes in {tempfile.gettempdir()}")

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL and self.asked >= LARGE * _space()[0]:
                raise NotFetched(SLUG, "this installation has no room for it", may_pass=True) from error
            raise WorldDown(f"what is fetched cannot be kept: {error.strerror or error}") from error


@contextmanager
def landing() -> Iterator[Landing]:
    """Makes a temporary file for the length of a block.

    Raises:
        WorldDown: when there is no place for one.
    """
    try:
        raw = tempfile.TemporaryFile(prefix="unmask-fetch-", buffering=0)  # noqa: SIM115 - closed below
    except OSError as error:
        raise WorldDown(f"what is fetched cannot be kept: {error.strerror or error}") from error
    file = Landing(raw)
    try:
        yield file
    finally:
        raw.close()  # and not the buffer, which would write what is of no use any more


def _space() -> tuple[int, int]:
    """Returns how many bytes the temporary directory's disk has in all, and how many of them are free."""
    found = os.statvfs(tempfile.gettempdir())
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
