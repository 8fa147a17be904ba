"""Pictures with colour profiles, which are written here, tag by tag, and colours reckoned by their definition."""

import functools
import struct
from collections.abc import Callable

import numpy as np
from PIL import Image

from tests.media import isobmff as iso
from tests.media.cards import CARD, COLOURS, card, encoded
from tests.media.cases import NOTHING, Case, Says, Shown

Rows = tuple[tuple[float, float, float], ...]

# what red, green and blue look like, as X, Y, Z under D50
SRGB: Rows = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
P3: Rows = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE: Rows = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SWAPPED: Rows = (SRGB[2], SRGB[1], SRGB[0])  # red is blue, and blue is red: nobody can miss whether it is applied
CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # of sRGB and of Display P3
SIZE, SQUARE = (64, 48), (64, 64)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """An ICC profile of these tags."""
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, held in tags.items():
        table += name + struct.pack(">II", at + len(body), len(held))
        body += held + bytes(-len(held) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), bytes(4), 0x02400000, kind, space, pcs)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + table + body


def _described() -> dict[bytes, bytes]:
    name = b"made for a test"
    return {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + b"\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + _fixed(0.9642, 1.0, 0.8249),
    }


def coloured(rows: Rows, gamma: float | None = None) -> bytes:
    """A profile of red, green and blue, with a gamma or the curve of sRGB."""
    if gamma is None:
        curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(*CURVE)
    else:
        curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = _described()
    tags |= {
        name: b"XYZ " + bytes(4) + _fixed(*row) for name, row in zip((b"rXYZ", b"gXYZ", b"bXYZ"), rows, strict=True)
    }
    return profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def grey(gamma: float) -> bytes:
    """A profile of greys with a gamma."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    return profile(b"GRAY", _described() | {b"kTRC": curve})


def inks() -> bytes:
    """A profile of four inks, the first of which is red, and not cyan: any ink of it makes L 50, a 60, b 40."""
    corners = []
    for number in range(16):  # the last ink changes fastest
        cyan, magenta, yellow, black = (bool(number & bit) for bit in (8, 4, 2, 1))
        light = 0 if black else 50 if cyan or magenta or yellow else 100
        corners += [round(light * 2.55), 128 + 60 * (cyan and not black), 128 + 40 * (cyan and not black)]
    straight = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += straight * 4 + bytes(corners) + straight * 3
    return profile(b"CMYK", _described() | {b"A2B0": table}, b"Lab ", b"prtr")


def reckoned(colour: tuple[int, int, int], rows: Rows, gamma: float | None = None) -> tuple[int, int, int]:
    """The colour in sRGB, by the definition of either space; what sRGB cannot show is cut off."""
    stored = np.array(colour) / 255
    linear = stored**gamma if gamma else np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(rows) @ np.linalg.inv(np.array(SRGB)), 0, 1)
    shown = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    return tuple(int(each) for each in (shown * 255).round())  # type: ignore[return-value]


SKIN = (200, 150, 130)
CHANGED = "BGRC"  # the card by the swapped profile
TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif", "TIFF": "image/tiff"}
NAMES = {"WEBP": "WebP"}
LOSSY = {"JPEG", "WEBP", "AVIF"}


def _saved(image: Image.Image, form: str, rows: Rows, gamma: float | None = None, **options: object) -> bytes:
    quality = {"quality": 95} if form in LOSSY else {}
    return encoded(image, form, icc_profile=coloured(rows, gamma), **quality, **options)


def _card(mode: str = "RGB") -> Image.Image:
    image = Image.fromarray(card(SIZE))
    return image.quantize(16) if mode == "P" else image.convert(mode)


def _swapped(
    form: str, mode: str = "RGB", size: tuple[int, int] = SIZE, corners: str = CHANGED, **options: object
) -> Case:
    shown = NOTHING if form == "TIFF" else Shown(size, corners)
    return Case(
        lambda: _saved(_card(mode), form, SWAPPED, **options), TYPES[form], shown,
        Says(NAMES.get(form, form), size, corners),
    )  # fmt: skip


def _skin(form: str, rows: Rows, gamma: float | None = None) -> Case:
    expected = reckoned(SKIN, rows, gamma)
    letters = "".join([_nearest(expected)] * 4)
    shown = NOTHING if form == "TIFF" else Shown(SIZE, letters, colour=expected)
    return Case(
        lambda: _saved(Image.new("RGB", SIZE, SKIN), form, rows, gamma), TYPES[form], shown,
        Says(NAMES.get(form, form), SIZE, letters, colour=expected),
    )  # fmt: skip


def _nearest(colour: tuple[int, int, int]) -> str:
    return min(COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(COLOURS[name], colour, strict=True)))


def _exif(orientation: int) -> Image.Exif:
    said = Image.Exif()
    said[0x0112] = orientation
    return said


def _printed(ink: tuple[int, int, int, int], held: Callable[[], bytes] | None) -> bytes:
    options = {"icc_profile": held()} if held else {}
    return encoded(Image.new("CMYK", SIZE, ink), "JPEG", quality=95, **options)


@functools.cache
def _heic() -> bytes:
    plain = iso.item(CARD, SQUARE, "HEIF")
    own = tuple(each for each in plain.properties if each[4:8] != b"colr")
    held = iso.box(b"colr", b"prof", coloured(SWAPPED))
    return iso.heif(iso.Item(plain.coded, plain.kind, (*own, held)), brand=b"heic", compatible=(b"mif1", b"heic"))


RED = (205, 65, 55)  # L 50, a 60, b 40 in sRGB, about
CASES = {
    **{f"{form} of another space": _swapped(form) for form in TYPES},
    "HEIC of another space": Case(_heic, "image/heic", NOTHING, Says("HEIC", SQUARE, CHANGED)),
    "PNG of another space, with transparency": _swapped("PNG", "RGBA"),
    "PNG of another space, with a palette": _swapped("PNG", "P"),
    "WebP of another space, with transparency": _swapped("WEBP", "RGBA"),
    "JPEG of another space, progressive": _swapped("JPEG", progressive=True),
    "JPEG of another space, turned": _swapped("JPEG", size=(48, 64), corners="RBCG", exif=_exif(6)),
    **{f"{form} in Display P3": _skin(form, P3) for form in TYPES},
    **{f"{form} in Adobe RGB": _skin(form, ADOBE, 2.2) for form in TYPES},
    "JPEG in sRGB by its profile": _skin("JPEG", SRGB),
    "JPEG of linear light": _skin("JPEG", SRGB, 1.0),
    "grey JPEG of linear light": Case(
        lambda: encoded(Image.new("L", SIZE, 55), "JPEG", quality=95, icc_profile=grey(1.0)), "image/jpeg",
        Shown(SIZE, "NNNN", colour=(128, 128, 128)), Says("JPEG", SIZE, "NNNN", colour=(128, 128, 128)),
    ),
    "grey PNG of linear light": Case(
        lambda: encoded(Image.new("L", SIZE, 55), "PNG", icc_profile=grey(1.0)), "image/png",
        Shown(SIZE, "NNNN", colour=(128, 128, 128)), Says("PNG", SIZE, "NNNN", colour=(128, 128, 128)),
    ),
    "JPEG of four inks, whose first is red": Case(
        lambda: _printed((255, 0, 0, 0), inks), "image/jpeg", Shown(SIZE, "RRRR"), Says("JPEG", SIZE, "RRRR")
    ),
    "JPEG of four inks without a profile": Case(
        lambda: _printed((255, 0, 0, 0), None), "image/jpeg", Shown(SIZE, "CCCC"), Says("JPEG", SIZE, "CCCC")
    ),
    "JPEG of four inks with a profile of three colours": Case(
        lambda: _printed((255, 0, 0, 0), lambda: coloured(P3)), "image/jpeg", Shown(SIZE, "CCCC"),
        Says("JPEG", SIZE, "CCCC"),
    ),
    "JPEG of three colours with a profile of greys": Case(
        lambda: encoded(_card(), "JPEG", quality=95, icc_profile=grey(1.0)), "image/jpeg", Shown(SIZE),
        Says("JPEG", SIZE),
    ),
    "JPEG with half a profile": Case(
        lambda: encoded(_card(), "JPEG", quality=95, icc_profile=coloured(SWAPPED)[:200]), "image/jpeg", Shown(SIZE),
        Says("JPEG", SIZE),
    ),
    "PNG whose profile leads outside itself": Case(
        lambda: encoded(_card(), "PNG", icc_profile=coloured(SWAPPED).replace(b"rXYZ\0\0", b"rXYZ\xff\xff", 1)),
        "image/png", Shown(SIZE), Says("PNG", SIZE),
    ),
}  # fmt: skip
