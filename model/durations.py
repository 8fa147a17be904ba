"""How long each frame of an animation is shown, read from its container without decoding a pixel.

GIF, WebP and APNG write it beside each frame. Where a file says nothing, or says it of another number of frames than
there are, every frame counts as one tenth of a second, as browsers show what names no time. It refuses nothing: a lie
here moves which frames are looked at, and never how many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

USUAL = 0.1  # seconds
SHORTEST = 0.02  # below this browsers show a frame for the usual time


def seconds(content: bytes, form: str, count: int) -> list[float]:
    """The seconds that each of `count` frames is shown, for a file in Pillow's format `form`."""
    read = _READERS.get(form)
    try:
        told = list(read(content)) if read else []
    except (IndexError, ValueError):
        told = []
    if len(told) != count:
        return [USUAL] * count
    return [shown if shown >= SHORTEST else USUAL for shown in told]


def _gif(content: bytes) -> Iterator[float]:
    position = 13 + _palette(content[10])
    shown = 0.0
    while (kind := content[position]) != 0x3B:
        if kind == 0x21:
            if content[position + 1] == 0xF9:
                shown = int.from_bytes(content[position + 4 : position + 6], "little") / 100
            position += 2
        elif kind == 0x2C:
            yield shown
            shown = 0.0
            position += 10 + _palette(content[position + 9]) + 1
        else:
            return
        while content[position]:  # its data, in blocks that begin with their length
            position += 1 + content[position]
        position += 1


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(content: bytes) -> Iterator[float]:
    position = 12
    while position + 8 <= len(content):
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        if content[position : position + 4] == b"ANMF":
            yield int.from_bytes(content[position + 20 : position + 23], "little") / 1000
        position += 8 + size + size % 2


def _png(content: bytes) -> Iterator[float]:
    position = 8
    while position + 8 <= len(content):
        size = int.from_bytes(content[position : position + 4])
        if content[position + 4 : position + 8] == b"fcTL":
            over = int.from_bytes(content[position + 30 : position + 32]) or 100
            yield int.from_bytes(content[position + 28 : position + 30]) / over
        position += 12 + size


_READERS: dict[str, Callable[[bytes], Iterator[float]]] = {"GIF": _gif, "WEBP": _webp, "PNG": _png}
