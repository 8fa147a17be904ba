"""TIFF and what cameras make of it: DNG and other raw files with previews, written directory by directory."""

import itertools
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tests.media.cards import CARD, card, encoded
from tests.media.cases import NOTHING, Case, Refused, Says

SHORT, LONG, BYTES = 3, 4, 1


@dataclass
class Directory:
    """Entries as {tag: (type, numbers)}, the bytes that its strip or its JPEG leads to, and directories within."""

    entries: dict[int, tuple[int, tuple[int, ...]]]
    strip: bytes = b""
    jpeg: bytes = b""
    inner: list["Directory"] = field(default_factory=list)


def rgb(colours: str, size: tuple[int, int], reduced: int = 0, **more: int) -> Directory:
    """An uncompressed picture."""
    pixels = card(size, colours)
    entries = {
        254: (LONG, (reduced,)), 256: (LONG, (size[0],)), 257: (LONG, (size[1],)), 258: (SHORT, (8, 8, 8)),
        259: (SHORT, (1,)), 262: (SHORT, (2,)), 277: (SHORT, (3,)), 278: (LONG, (size[1],)), **_more(more),
    }  # fmt: skip
    return Directory(entries, pixels.tobytes())


def sensor(size: tuple[int, int], photometric: int = 32803) -> Directory:
    """What a sensor saw, as numbers of sixteen bits."""
    samples = 3 if photometric == 34892 else 1
    entries = {
        254: (LONG, (0,)), 256: (LONG, (size[0],)), 257: (LONG, (size[1],)), 258: (SHORT, (16,) * samples),
        259: (SHORT, (1,)), 262: (SHORT, (photometric,)), 277: (SHORT, (samples,)), 278: (LONG, (size[1],)),
    }  # fmt: skip
    return Directory(entries, np.full((size[1], size[0], samples), 20_000, np.uint16).tobytes())


def preview(colours: str, size: tuple[int, int], compression: int = 7) -> Directory:
    """A JPEG in a strip."""
    entries = {
        254: (LONG, (1,)), 256: (LONG, (size[0],)), 257: (LONG, (size[1],)), 258: (SHORT, (8, 8, 8)),
        259: (SHORT, (compression,)), 262: (SHORT, (6,)), 277: (SHORT, (3,)), 278: (LONG, (size[1],)),
    }  # fmt: skip
    return Directory(entries, encoded(card(size, colours), "JPEG", quality=92))


def _more(more: dict[str, int]) -> dict[int, tuple[int, tuple[int, ...]]]:
    return {274: (SHORT, (more["turned"],))} if "turned" in more else {}


DNG = {50706: (BYTES, (1, 4, 0, 0))}


def tiff(*chain: Directory, order: str = "<", mark: bytes = b"") -> bytes:
    """The bytes of a TIFF with these directories, one leading to the next."""
    body = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4) + mark.ljust(8, b"\0"))
    places = [_write(body, each, order) for each in chain]
    struct.pack_into(f"{order}I", body, 4, places[0][0])
    for (_, following), (after, _) in itertools.pairwise(places):
        struct.pack_into(f"{order}I", body, following, after)
    return bytes(body)


def _write(body: bytearray, each: Directory, order: str) -> tuple[int, int]:
    """Appends a directory; returns its place, and that of its pointer to the next one."""
    entries = dict(each.entries)
    if each.strip:
        entries |= {273: (LONG, (_append(body, each.strip),)), 279: (LONG, (len(each.strip),))}
    if each.jpeg:
        entries |= {513: (LONG, (_append(body, each.jpeg),)), 514: (LONG, (len(each.jpeg),))}
    if each.inner:
        entries[330] = (LONG, tuple(_write(body, one, order)[0] for one in each.inner))
    rows = bytearray()
    for tag, (kind, numbers) in sorted(entries.items()):
        held = struct.pack(f"{order}{len(numbers)}{ {BYTES: 'B', SHORT: 'H', LONG: 'I'}[kind] }", *numbers)
        value = held.ljust(4, b"\0") if len(held) <= 4 else struct.pack(f"{order}I", _append(body, held))
        rows += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + value
    at = _append(body, struct.pack(f"{order}H", len(entries)) + bytes(rows) + bytes(4))
    return at, at + 2 + len(rows)


def _append(body: bytearray, more: bytes) -> int:
    body += bytes(len(body) % 2)
    at = len(body)
    body += more
    return at


def dng(first: Directory, *inner: Directory, turned: int = 1, order: str = "<") -> bytes:
    """A DNG: a thumbnail, and behind it what the camera saw, and previews."""
    first.entries |= DNG | {274: (SHORT, (turned,))}
    first.inner = list(inner)
    return tiff(first, order=order)


SMALL, LARGE = (160, 120), (1280, 960)


def _thumbnail(colours: str = "R") -> Directory:
    return rgb(colours, SMALL, reduced=1)


def _packed(picture: Directory) -> Directory:
    picture.strip = zlib.compress(picture.strip)
    picture.entries[259] = (SHORT, (8,))
    return picture


def _raw(make: Callable[[], bytes], size: tuple[int, int] = LARGE, corners: str = CARD) -> Case:
    return Case(make, "image/tiff", NOTHING, Says("TIFF", size, corners))


def _refused(make: Callable[[], bytes]) -> Case:
    return Case(make, "image/tiff", NOTHING, Refused("unsupported-media-type"))


def _nef() -> bytes:
    """As Nikon writes it: a thumbnail, and below it a JPEG that two entries lead to, and the sensor's picture."""
    first = _thumbnail()
    jpeg = encoded(card(LARGE), "JPEG", quality=92)
    first.inner = [Directory({254: (LONG, (1,)), 259: (SHORT, (6,))}, jpeg=jpeg), sensor((640, 480))]
    return tiff(first)


def _cr2() -> bytes:
    """As Canon writes it: the first directory is a JPEG of full size, and the second one its thumbnail."""
    jpeg = encoded(card(LARGE), "JPEG", quality=92)
    first = Directory({256: (SHORT, LARGE[:1]), 257: (SHORT, LARGE[1:]), 259: (SHORT, (6,))}, jpeg)
    small = Directory({}, jpeg=encoded(card(SMALL, "R"), "JPEG", quality=92))
    return tiff(first, small, mark=b"CR\2\0")


CASES = {
    "TIFF of three pages": Case(
        lambda: tiff(*(rgb(each, (64, 48)) for each in "RBG")), "image/tiff", NOTHING, Says("TIFF", (64, 48), "RRRR")
    ),
    "TIFF in the other order": Case(
        lambda: tiff(rgb(CARD, (64, 48)), order=">"), "image/tiff", NOTHING, Says("TIFF", (64, 48))
    ),
    "TIFF with a smaller copy below": Case(
        lambda: tiff(_below(rgb(CARD, (64, 48)), rgb("R", (32, 24), reduced=1))),
        "image/tiff", NOTHING, Says("TIFF", (64, 48)),
    ),
    "TIFF whose first picture is a smaller copy of one below": Case(
        lambda: tiff(_below(rgb("R", (32, 24), reduced=1), rgb(CARD, (64, 48)))),
        "image/tiff", NOTHING, Says("TIFF", (64, 48)),
    ),
    "TIFF whose first page is a smaller copy of the second": Case(
        lambda: tiff(rgb("R", (32, 24), reduced=1), rgb(CARD, (64, 48))), "image/tiff", NOTHING, Says("TIFF", (64, 48))
    ),
    "DNG with a preview": _raw(lambda: dng(_thumbnail(), sensor((640, 480)), preview(CARD, LARGE))),
    "DNG with a preview, in the other order": _raw(
        lambda: dng(_thumbnail(), sensor((640, 480)), preview(CARD, LARGE), order=">")
    ),
    "DNG with two previews": _raw(lambda: dng(_thumbnail(), preview("B", (320, 240)), sensor((640, 480)), preview(CARD, LARGE))),
    "DNG with a preview of half its size": _raw(
        lambda: dng(_thumbnail(), sensor((640, 480)), preview(CARD, (320, 240))), (320, 240)
    ),
    "DNG with a developed picture": _raw(lambda: dng(_thumbnail(), rgb(CARD, LARGE)), LARGE),
    "DNG with a packed picture": _raw(lambda: dng(_thumbnail(), _packed(rgb(CARD, LARGE)))),
    "DNG that was held upright": _raw(
        lambda: dng(_thumbnail(), sensor((640, 480)), preview(CARD, LARGE), turned=6), LARGE[::-1], "BRYG"
    ),
    "DNG with a developed picture, mirrored": _raw(
        lambda: dng(_thumbnail(), rgb(CARD, LARGE), turned=2), LARGE, "GRYB"
    ),
    "DNG with a thumbnail alone": _refused(lambda: dng(_thumbnail(), sensor((1280, 960)))),
    "DNG with linear data and a thumbnail": _refused(lambda: dng(_thumbnail(), sensor((640, 480), 34892))),
    "DNG with a small preview": _refused(lambda: dng(_thumbnail(), sensor((1280, 960)), preview(CARD, (320, 240)))),
    "DNG whose preview is coded as no viewer can": _refused(
        lambda: dng(_thumbnail(), sensor((1280, 960)), Directory(preview(CARD, LARGE).entries, b"\xff\xd8\xff\xc3" + bytes(64)))
    ),
    "Nikon's raw file": _raw(_nef),
    "Canon's raw file": _raw(_cr2),
}  # fmt: skip


def _below(first: Directory, *inner: Directory) -> Directory:
    first.inner = list(inner)
    return first
