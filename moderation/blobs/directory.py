"""Blobs as files."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, ClassVar

from moderation.blobs import keys
from moderation.blobs.store import COPY_BYTES, Found, Page, copy
from moderation.errors import NotFound, WorldDown


class Directory:
    """Blobs as files, two levels of folders deep, so that no folder grows beyond what tools can list."""

    is_far: ClassVar[bool] = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.partial = root / "partial"  # in the same file system, so that what is whole is renamed into place

    def _path(self, key: str) -> Path:
        kind, name = keys.checked(key).split("/")
        spread = name[-4:] if kind == "uploads" else name[:4]  # an id begins with its time: its end is what differs
        return self.root / kind / spread[:2] / spread[2:] / name

    def put(self, key: str, file: BinaryIO) -> None:
        path = self._path(key)
        with _disk():
            if path.exists() and not key.startswith("uploads/"):
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self.partial.mkdir(exist_ok=True)
            file.seek(0)
            with tempfile.NamedTemporaryFile(dir=self.partial, delete=False) as partial:
                try:
                    while chunk := file.read(COPY_BYTES):
                        partial.write(chunk)
                    partial.flush()
                    os.fsync(partial.fileno())
                    Path(partial.name).replace(path)  # whoever opens the key sees all of it or nothing
                except BaseException:
                    Path(partial.name).unlink(missing_ok=True)
                    raise
            _sync(path.parent)

    def read(self, key: str) -> bytes:
        with _disk():
            try:
                return self._path(key).read_bytes()
            except FileNotFoundError:
                raise NotFound("there is no such blob") from None

    def copy(self, key: str, into: BinaryIO, most: int) -> int:
        with _disk():
            try:
                file = self._path(key).open("rb")
            except FileNotFoundError:
                raise NotFound("there is no such blob") from None
            with file:
                return copy(file, into, most)

    def invite(self, key: str, size: int, content_type: str, seconds: int) -> None:  # noqa: ARG002 - no address of its own
        return None

    def exists(self, key: str) -> bool:
        with _disk():
            return self._path(key).exists()

    def delete(self, key: str) -> None:
        with _disk():
            self._path(key).unlink(missing_ok=True)

    def walk(self, after: str, limit: int) -> Page:
        with _disk():
            paths = list(islice(self._paths(self.root, after), limit))
            found = [blob for path in paths if (blob := self._found(path))]
        return Page(found, self._place(paths[-1]) if len(paths) == limit else None)

    def _paths(self, folder: Path, after: str, depth: int = 0) -> Iterator[Path]:
        """The files four levels down that come after a place, in order; folders that lie before it are not opened."""
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            place = self._place(path)
            if depth == 3:
                if place > after:
                    yield path
            elif path != self.partial and place >= after[: len(place)]:
                yield from self._paths(path, after, depth + 1)

    def _place(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _found(self, path: Path) -> Found | None:
        key = f"{path.relative_to(self.root).parts[0]}/{path.name}"
        if not keys.FORM.fullmatch(key):
            return None
        with contextlib.suppress(FileNotFoundError):
            return Found(key, datetime.fromtimestamp(path.stat().st_mtime, UTC))
        return None

    def clean(self, before: datetime) -> None:
        with _disk():
            for path in self.partial.iterdir() if self.partial.is_dir() else ():
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < before.timestamp():
                        path.unlink()

    def check(self) -> None:
        with _disk(), tempfile.TemporaryFile(dir=self.root):
            pass

    def prepare(self) -> None:
        with _disk():
            self.root.mkdir(parents=True, exist_ok=True)


def _sync(directory: Path) -> None:
    """Makes a rename durable: a committed row must not outlive its bytes through a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Not the path, which holds a digest: logs outlive erasures.
        raise WorldDown(f"the media directory cannot be used: {error.strerror or type(error).__name__}") from None
