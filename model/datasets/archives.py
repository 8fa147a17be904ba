"""Reading members of ZIP archives that strangers made.

Nothing is unpacked by an archive's own names. It refuses members that lead out of a folder (zip-slip), links,
encrypted ones, and those that are large or unpack to far more than they are (bombs).
"""

from __future__ import annotations

import stat
import threading
import zipfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from model.datasets.finds import is_safe
from model.errors import BadImage, UnsafeMember

MOST_BYTES = 64 * 2**20  # unpacked, of a member: a picture
MOST_GROWTH = 100  # unpacked / packed; pictures are compressed already
SMALL = 2**20  # bytes below which growth harms nobody: a plain PNG may well grow


class Archives:
    """The archives opened so far, to be closed together. Safe from many threads."""

    def __init__(self) -> None:
        self._open: dict[Path, zipfile.ZipFile] = {}
        self._stack, self._lock = ExitStack(), threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, place: Path, member: str) -> bytes:
        """A member's bytes. Raises UnsafeMember, or BadImage where the archive is torn or lacks it."""
        with self._lock:  # one file position is shared by all members of an archive
            try:
                archive = self._open.get(place) or self._opened(place)
                info = archive.getinfo(member)
                _check(info)
                with archive.open(info) as packed:
                    content = packed.read(info.file_size + 1)
            except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
                raise BadImage(f"{place.name}: {error}") from error
        if len(content) > info.file_size:
            raise UnsafeMember(f"{member} is larger than it says")
        return content

    def _opened(self, place: Path) -> zipfile.ZipFile:
        archive = self._open[place] = self._stack.enter_context(zipfile.ZipFile(place))
        return archive


def _check(info: zipfile.ZipInfo) -> None:
    if not is_safe(info.filename):
        raise UnsafeMember(f"{info.filename!r} leads out of the folder")
    if stat.S_ISLNK(info.external_attr >> 16) or info.flag_bits & 1:
        raise UnsafeMember(f"{info.filename} is a link or encrypted")
    grown = info.file_size > SMALL and info.file_size > MOST_GROWTH * max(1, info.compress_size)
    if grown or info.file_size > MOST_BYTES:
        raise UnsafeMember(f"{info.filename} unpacks from {info.compress_size} to {info.file_size} bytes")
