"""The file that is sent: a path, bytes, or an open file; always whole, and from its beginning at every attempt."""

import io
import os
import shutil
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, BinaryIO, Self, cast

File = str | os.PathLike[str] | bytes | IO[bytes]
CHUNK_BYTES = 1 << 16
SPOOL_BYTES = 1 << 20  # of a stream that cannot be rewound, in memory before it goes to disk


class Whole:
    """A file that can be read again from its beginning; closes what it opened, and nothing else.

    It shows nothing but reading and seeking: the length of a file that decompresses on reading, for example, is found
    by going to its end, and not by asking the file system.
    """

    def __init__(self, file: BinaryIO, name: str, *, ours: bool) -> None:
        self._file, self._ours = file, ours
        self.name = name
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._ours:
            self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(CHUNK_BYTES), b"")

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def whole(file: File) -> Whole:
    """Returns what is to be sent, open. A stream that cannot be rewound is copied to a temporary file first.

    Raises:
        OSError: when it cannot be opened or read.
        TypeError: when it is no file, or one that gives text.
    """
    if isinstance(file, bytes):
        return Whole(io.BytesIO(file), "media", ours=True)
    if isinstance(file, str | os.PathLike):
        return Whole(open(file, "rb"), os.path.basename(file), ours=True)  # noqa: PTH123, PTH119 - see __exit__
    if isinstance(cast("object", file), io.TextIOBase) or not hasattr(file, "read"):
        raise TypeError("a file is a path, bytes, or a file opened in binary mode")
    name = os.path.basename(str(getattr(file, "name", "") or "media"))  # noqa: PTH119 - it need not be a path
    if file.seekable():
        return Whole(cast("BinaryIO", file), name, ours=False)
    spool = cast("BinaryIO", SpooledTemporaryFile(SPOOL_BYTES))  # noqa: SIM115
    shutil.copyfileobj(file, spool)
    return Whole(spool, name, ours=True)
