"""Files that a request's body goes to: in memory while short, then on disk. A full disk is no fault of the client's."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from flask import Request

from moderation.errors import WorldDown

MEMORY_BYTES = 256 * 1024


class Spool(SpooledTemporaryFile[bytes]):
    """A temporary file without a name.

    Raises:
        WorldDown: by whatever writes, when there is no room for it, or no place.
    """

    def __init__(self) -> None:
        super().__init__(MEMORY_BYTES)

    def write(self, s: Any) -> int:
        """Writes bytes, to the disk once there are many."""
        with self._room():
            return super().write(s)

    def seek(self, *arguments: int) -> int:
        """Moves, which writes what is still in a buffer."""
        with self._room():
            return super().seek(*arguments)

    def flush(self) -> None:
        """Writes what is still in a buffer."""
        with self._room():
            super().flush()

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError):  # it would write once more what does not fit
                self.close()
            why = "there is no room for the body" if error.errno == errno.ENOSPC else "the body cannot be kept"
            raise WorldDown(f"{why}: {error.strerror or error}") from error


class SpooledRequest(Request):
    """A request whose forms keep files in a `Spool`."""

    def _get_file_stream(self, *_: object, **__: object) -> IO[bytes]:
        return Spool()
