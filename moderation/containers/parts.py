"""What both readers of containers work with: a file read in few bytes, and what they find. It refuses endless ones."""

import math
from dataclasses import dataclass
from typing import BinaryIO, Final

_MOST_PARTS: Final = 10_000  # boxes or elements looked at, before a file is called torn
_LONGEST: Final = 1e9  # seconds; what claims more claims nothing


class Torn(Exception):
    """The file begins like a video, and its header cannot be read."""


class NoVideo(Exception):
    """The container can be read and holds no pictures."""


@dataclass(frozen=True, slots=True)
class Movie:
    """Format (`MP4`, `MOV`, `WebM`), frame size in pixels as stored, and, where they are known, seconds and frames."""

    format: str
    width: int = 0
    height: int = 0
    seconds: float | None = None
    frames: int | None = None


@dataclass(slots=True)
class Part:
    """A box or element: its name, and where its body begins and ends in the file."""

    name: bytes
    start: int
    end: int


class Reader:
    """A file that is read in few bytes, with an account of how many parts were seen."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _MOST_PARTS
        self.size = file.seek(0, 2)

    def bytes(self, at: int, count: int) -> bytes:
        """Returns `count` bytes from place `at`; raises Torn when there are fewer."""
        self._file.seek(at)
        found = self._file.read(count)
        if len(found) < count:
            raise Torn("the file ends within its header")
        return found

    def count(self) -> None:
        """Notes another part; raises Torn when there were too many."""
        self._left -= 1
        if self._left < 0:
            raise Torn("the header has too many parts")


def believed(seconds: float) -> float | None:
    """The seconds, unless they are none that a video can have."""
    return seconds if math.isfinite(seconds) and 0 < seconds < _LONGEST else None
