"""What a case of the table is: a file made by code, what a browser shows of it, and what the product must say."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.media.cards import CARD

Size = tuple[int, int]


class Shown(NamedTuple):
    """What Chromium shows: width and height, the letters of the four quarters, a clip's seconds, and the colour of the
    first quarter.
    """

    size: Size
    corners: str = CARD
    seconds: float | None = None
    colour: tuple[int, int, int] | None = None

    def differs(self, seen: dict[str, Any]) -> str:
        """In words, where what was seen is something else; "" where it is this."""
        if seen["came"] != "shown":
            return "" if self == NOTHING else f"nothing is shown: {seen.get('why', seen['came'])}"
        told = []
        if (seen["width"], seen["height"]) != self.size:
            told.append(f"{seen['width']} x {seen['height']}")
        if seen["corners"] != self.corners:
            told.append(seen["corners"])
        if self.seconds is not None and abs(seen["seconds"] - self.seconds) > 0.15:
            told.append(f"{seen['seconds']} seconds")
        if self.colour and not alike(seen["first"], self.colour):
            told.append(f"{seen['first']}, not {self.colour}")
        return ", ".join(told)


def alike(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two colours are the same but for coding and rounding."""
    return max(abs(int(a) - int(b)) for a, b in zip(one, other, strict=True)) <= 5


NOTHING = Shown((0, 0), "")


class Says(NamedTuple):
    """What intake and detector must say: format, size, and of the first part the letters of its first picture, frames
    and seconds; `times` of the first and last look at it; how many parts are looked at; and the colour of
    the first quarter.
    """

    format: str
    size: Size
    corners: str = CARD
    frames: int = 1
    seconds: float | None = None
    times: tuple[float, float] | None = None
    parts: int = 1
    colour: tuple[int, int, int] | None = None


class Refused(NamedTuple):
    """The slug at the door, before any pixel is decoded, or "" where the file is accepted there; and the detector's
    slug, where that is another.
    """

    door: str
    detector: str = ""


class Case(NamedTuple):
    """A file. ``shown`` is None where the browser's answer is no guide, which its comment explains."""

    body: Callable[[], bytes]
    content_type: str
    shown: Shown | None
    says: Says | Refused
