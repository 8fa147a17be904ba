"""The folder in which a user's clones and processes share the encoder.

Files appear whole or not at all: they are written beside their place and renamed into it, under a lock that a killed
process lets go of. Whoever only reads takes no lock and writes nothing, so a read-only folder serves, too.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from platformdirs import user_cache_path

from model.errors import EncoderError

CHUNK = 1 << 20
PART = ".part"  # the suffix of what is not whole yet

Done = Callable[[int], object]  # is called with the number of bytes that were finished since the last call


def folder(path: Path | None = None) -> Path:
    """`path`, or else the user's own cache: ~/.cache/unmask/encoder, below XDG_CACHE_HOME where that is set."""
    return path.expanduser() if path else user_cache_path("unmask") / "encoder"


@contextmanager
def held(cache: Path) -> Iterator[None]:
    """The right to write into `cache` for the length of the block; waits for another process that has it.

    Raises EncoderError where the folder cannot be written, also for errors inside the block (a full disk).
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise EncoderError(
            f"{error.filename or cache} cannot be written ({error.strerror}); UNMASK_ENCODER_CACHE names another folder"
        ) from error


@contextmanager
def writing(file: Path) -> Iterator[Path]:
    """A path to write to, which becomes `file` at the end of the block. Needs `held`."""
    part = file.with_name(file.name + PART)
    part.unlink(missing_ok=True)  # of a writer that was killed
    yield part
    part.replace(file)


def write_record(file: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object. Needs `held`."""
    with writing(file) as part:
        part.write_text(json.dumps(record, indent=1) + "\n")


def read_record(file: Path) -> dict[str, Any]:
    """The JSON object in `file`; empty where there is no file. Raises EncoderError for anything else."""
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EncoderError(f"{file} cannot be read: {error}; run `unmask encoder fetch`") from error
    if not isinstance(content, dict):
        raise EncoderError(f"{file} is no record; run `unmask encoder fetch`")
    return content


def sha256(file: Path) -> str:
    """The SHA-256 of a file's bytes. Raises EncoderError where it cannot be read."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"{file} cannot be read: {error.strerror}") from error


def copy(source: IO[bytes], size: int, file: Path, expected: str | None, done: Done = lambda _: None) -> str:
    """Copy the `size` bytes of `source` to `file` and return their SHA-256. A copy that broke off goes on where it was.

    Raises EncoderError, and keeps nothing, where the SHA-256 is not the `expected` one. Needs `held`.
    """
    part = file.with_name(file.name + PART)
    resumed = part.exists() and 0 < part.stat().st_size <= size
    digest = _copied(source, part, done, resumed)
    if resumed and digest != expected:  # the part may be of another file, so its beginning proves nothing
        source.seek(0)
        done(-size)
        digest = _copied(source, part, done, resumed=False)
    if expected not in (None, digest):
        part.unlink()
        raise EncoderError(f"the SHA-256 is {digest}, not {expected}")
    part.replace(file)
    return digest


def _copied(source: IO[bytes], part: Path, done: Done, resumed: bool) -> str:
    total = hashlib.sha256()
    with part.open("r+b" if resumed else "w+b") as target:
        while resumed and (chunk := target.read(CHUNK)):
            total.update(chunk)
            done(len(chunk))
        source.seek(target.tell())
        while chunk := source.read(CHUNK):
            target.write(chunk)
            total.update(chunk)
            done(len(chunk))
    return total.hexdigest()
