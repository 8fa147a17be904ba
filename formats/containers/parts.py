"""What both readers of containers work with: a file read in few bytes, and what they find. It refuses endless ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from formats import orientation

_MOST_PARTS: Final = 10_000  # boxes or elements looked at, before a file is called torn
_LONGEST: Final = 1e9  # seconds; what claims more claims nothing
MOST_TRACKS: Final = 8  # tracks of pictures in a file
_MOST_ASPECT: Final = 100.0  # what claims pixels that are longer is not believed


class Torn(Exception):
    """The file begins like a video, and its header cannot be read."""


class NoVideo(Exception):
    """The container can be read and holds no pictures."""


class TooManyTracks(Exception):
    """The container holds more tracks of pictures than are looked at."""


@dataclass(frozen=True, slots=True)
class Track:
    """A track of pictures: frame size in pixels as stored; seconds and frames that play, where they are known; whether
    the file enables it; the width of a pixel over its height; the orientation it is shown in; the name of its coding.
    """

    width: int
    height: int
    seconds: float | None = None
    frames: int | None = None
    enabled: bool = True
    aspect: float = 1.0
    turned: int = orientation.PLAIN
    coding: bytes = b""

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as it is shown."""
        return orientation.shown(*stretched(self.width, self.height, self.aspect), self.turned)


@dataclass(frozen=True, slots=True)
class Movie:
    """Format (`MP4`, `MOV`, `WebM`), the tracks of pictures that may be played, and seconds."""

    format: str
    tracks: Sequence[Track] = ()
    seconds: float | None = None


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


def played(enabled: Sequence[bool]) -> list[int]:
    """Which tracks of pictures may be played, given whether the file enables each: those that are, or all when none is,
    since players then take the first.
    """
    return [number for number, is_on in enumerate(enabled) if is_on] or list(range(len(enabled)))


def stretched(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Width and height when pixels that are `aspect` times as wide as high are shown as squares. No side becomes
    shorter, as browsers have it.
    """
    if not 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT:
        return width, height
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
