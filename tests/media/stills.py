"""Pictures: orientations, HEIC and AVIF, several pictures in a file, motion photos."""

import functools
import io
import struct
from collections.abc import Callable

from PIL import Image

from tests.media import isobmff as iso
from tests.media.cards import CARD, card, encoded
from tests.media.cases import NOTHING, Case, Refused, Says, Shown
from tests.movies import clip

SIZE, SQUARE = (64, 48), (64, 64)
TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff", "AVIF": "image/avif"}
TURNS = {
    1: CARD, 2: "GRYB", 3: "YBGR", 4: "BYRG", 5: "RBGY", 6: "BRYG", 7: "YGBR", 8: "GYRB",
}  # fmt: skip


def _exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return size[::-1] if orientation > 4 else size


def _said(form: str) -> str:
    return {"WEBP": "WebP", "HEIF": "HEIC"}.get(form, form)


def _exif_case(form: str, number: int) -> Case:
    size = _turned(SIZE, number)
    # Chromium turns no WebP by EXIF; phones, editors and Pillow do, and so do platforms that store it again.
    shown = {"TIFF": NOTHING, "WEBP": None}.get(form, Shown(size, TURNS[number]))
    quality = {} if form in {"PNG", "TIFF"} else {"quality": 92}
    return Case(
        lambda: encoded(card(SIZE), form, exif=_exif(number), **quality),
        TYPES[form], shown, Says(_said(form), size, TURNS[number]),
    )  # fmt: skip


def _jpeg(colours: str = CARD, size: tuple[int, int] = SIZE, **options: object) -> bytes:
    return encoded(card(size, colours), "JPEG", **{"quality": 92, **options})


ORIENTATIONS = {f"{form} of EXIF {number}": _exif_case(form, number) for form in TYPES for number in TURNS}

# quarters against the clock, and then a mirror image about an axis; what they amount to
_MOVES = {
    1: (0, None), 2: (0, 1), 3: (2, None), 4: (0, 0), 5: (3, 1), 6: (3, None), 7: (1, 1), 8: (1, None),
}  # fmt: skip


def _moves(number: int) -> tuple[bytes, ...]:
    quarters, axis = _MOVES[number]
    return (*([iso.irot(quarters)] if quarters else []), *([] if axis is None else [iso.imir(axis)]))


@functools.cache
def _item(colours: str = CARD, form: str = "AVIF") -> iso.Item:
    return iso.item(colours, SIZE if form == "AVIF" else SQUARE, form)


def avif(*more: bytes, brand: bytes = b"avif", compatible: tuple[bytes, ...] = (b"mif1", b"avif", b"miaf")) -> bytes:
    """An AVIF of the card with more properties."""
    plain = _item()
    return iso.heif(iso.Item(plain.coded, plain.kind, (*plain.properties, *more)), brand=brand, compatible=compatible)


def heic(*more: bytes, brand: bytes = b"heic", compatible: tuple[bytes, ...] = (b"mif1", b"heic")) -> bytes:
    """A HEIC of the square card with more properties."""
    plain = _item(form="HEIF")
    return iso.heif(iso.Item(plain.coded, plain.kind, (*plain.properties, *more)), brand=brand, compatible=compatible)


def _avif(make: Callable[[], bytes], size: tuple[int, int] = SIZE, corners: str = CARD, **more: object) -> Case:
    return Case(make, "image/avif", Shown(size, corners), Says("AVIF", size, corners, **more))  # type: ignore[arg-type]


def _heic(make: Callable[[], bytes], size: tuple[int, int] = SQUARE, corners: str = CARD, **more: object) -> Case:
    return Case(make, "image/heic", NOTHING, Says("HEIC", size, corners, **more))  # type: ignore[arg-type]


LEFT = "RRBB"  # the left half of the card
BOXES = {
    **{
        f"AVIF moved as EXIF {number}": _avif(lambda n=number: avif(*_moves(n)), _turned(SIZE, number), TURNS[number])
        for number in _MOVES
    },
    **{f"HEIC moved as EXIF {number}": _heic(lambda n=number: heic(*_moves(n)), SQUARE, TURNS[number]) for number in _MOVES},
    "AVIF cut to its left half": _avif(lambda: avif(iso.clap(32, 48, -16)), (32, 48), LEFT),
    "AVIF cut to its left half, then turned": _avif(lambda: avif(iso.clap(32, 48, -16), iso.irot(1)), (48, 32), "RBRB"),
    "AVIF cut to more than there is": Case(
        lambda: avif(iso.clap(128, 48)), "image/avif", None, Says("AVIF", SIZE)  # nobody says what that means
    ),
    "AVIF with long pixels, which viewers do not stretch": _avif(lambda: avif(iso.pasp(2, 1))),
    "HEIC cut to its left half": _heic(lambda: heic(iso.clap(32, 64, -16)), (32, 64), LEFT),
    "HEIC cut to its left half, then turned": _heic(lambda: heic(iso.clap(32, 64, -16), iso.irot(1)), (64, 32), "RBRB"),
    "AVIF whose second picture is the primary": _avif(
        lambda: iso.heif(_item("RRRR"), _item("BBBB"), primary=2), corners="BBBB"
    ),
    "HEIC whose second picture is the primary": _heic(
        lambda: iso.heif(_item("RRRR", "HEIF"), _item("BBBB", "HEIF"), primary=2, brand=b"heic", compatible=(b"heic",)),
        corners="BBBB",
    ),
    **{f"AVIF that calls itself {brand.decode()}": _avif(lambda b=brand: avif(brand=b))
       for brand in (b"mif1", b"msf1", b"miaf", b"MA1B", b"isom", b"heic")},
    **{f"HEIC that calls itself {brand.decode()}": _heic(lambda b=brand: heic(brand=b))
       for brand in (b"mif1", b"mif2", b"msf1", b"miaf", b"heix", b"hevc", b"heim", b"MiHE")},
    "AVIF that names no coding among its brands": Case(
        lambda: avif(brand=b"mif1", compatible=(b"mif1", b"miaf")), "image/avif", NOTHING, Says("AVIF", SIZE)
    ),
    "AVIF that is a sequence by its brand alone": Case(
        lambda: avif(brand=b"avis"), "image/avif", NOTHING, Refused("torn-file", "undecodable")
    ),
}  # fmt: skip


def _pages(form: str, *colours: str, **options: object) -> bytes:
    first, *others = (Image.fromarray(card(SIZE, each)) for each in colours)
    return encoded(first, form, save_all=True, append_images=others, **options)


def _animation(form: str, name: str, content_type: str) -> Case:
    options = {"lossless": True} if form == "WEBP" else {}
    return Case(
        lambda: _pages(form, "R", "B", "G", duration=500, **options),
        content_type, Shown(SIZE, "RRRR"), Says(name, SIZE, "RRRR", 3, None, (0.0, 1.0)),
    )  # fmt: skip


def _ico() -> bytes:
    return encoded(card(SQUARE), "ICO", sizes=[(16, 16), (64, 64)])


def _previewed() -> bytes:
    """A JPEG that holds another one, in blue, as its thumbnail."""
    small = _jpeg("B", (16, 16))
    at = 8 + 2 + 4 + 2 + 3 * 12 + 4
    rows = ((259, 3, 1, 6), (513, 4, 1, at), (514, 4, 1, len(small)))
    second = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *row) for row in rows) + bytes(4)
    block = b"II*\0" + struct.pack("<I", 8) + struct.pack("<HI", 0, 14) + second + small
    return _jpeg(exif=b"Exif\0\0" + block)


MANY = {
    "GIF of three frames": _animation("GIF", "GIF", "image/gif"),
    "WebP of three frames": _animation("WEBP", "WebP", "image/webp"),
    "APNG of three frames": _animation("PNG", "PNG", "image/png"),
    "APNG whose first picture is none of its frames": Case(
        lambda: _pages("PNG", "R", "B", "G", default_image=True, duration=500),
        "image/png", Shown(SIZE, "BBBB"), Says("PNG", SIZE, "BBBB", 2, None, (0.0, 0.5)),
    ),
    "MPO of two pictures": Case(
        lambda: _pages("MPO", CARD, "B", quality=92), "image/jpeg", Shown(SIZE), Says("JPEG", SIZE)
    ),
    "MPO with a smaller picture behind": Case(
        lambda: encoded(card(SIZE), "MPO", save_all=True, append_images=[Image.fromarray(card((16, 16), "B"))], quality=92),
        "image/jpeg", Shown(SIZE), Says("JPEG", SIZE),
    ),
    "JPEG with a preview in its EXIF": Case(
        _previewed, "image/jpeg", Shown(SIZE), Says("JPEG", SIZE)
    ),
    "ICO of two sizes": Case(_ico, "image/x-icon", Shown(SQUARE), Refused("unsupported-media-type")),
}  # fmt: skip


@functools.cache
def _film(colours: str = "B") -> bytes:
    return clip([card(SIZE, colours)] * 10)


def _motion(*between: bytes, picture: Callable[[], bytes] = _jpeg, behind: bytes = b"") -> Callable[[], bytes]:
    return lambda: picture() + b"".join(between) + _film() + behind


def _moving(make: Callable[[], bytes], parts: int = 2) -> Case:
    return Case(make, "image/jpeg", Shown(SIZE), Says("JPEG", SIZE, parts=parts))


MOTION = {
    "motion photo": _moving(_motion()),
    "motion photo with Samsung's marks": _moving(
        _motion(
            b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data", behind=b"SEFH\x6b\0\0\0\1\0\0\0" + bytes(12) + b"\x18\0\0\0SEFT"
        )
    ),
    "motion photo behind a gain map": _moving(_motion(_jpeg("N"))),
    "motion photo whose clip is cut off": _moving(lambda: _jpeg() + _film()[:400], parts=1),
    "motion photo whose clip is noise": _moving(lambda: _jpeg() + b"\0\0\0\x18ftypmp42" + bytes(400), parts=1),
    "motion photo behind a thousand words that look like one": _moving(_motion(b"ftypmp42" * 1_000)),
    "JPEG that speaks of ftyp": _moving(lambda: _jpeg() + b"see ftyp, and ftypmp42", parts=1),
    "HEIC with a clip in a box": _heic(lambda: heic() + iso.box(b"mpvd", _film()), parts=2),
    "AVIF with a clip in a box": _avif(lambda: avif() + iso.box(b"mpvd", _film()), parts=2),
    "PNG with a clip behind it, which nobody plays": Case(
        lambda: encoded(card(SIZE), "PNG") + _film(), "image/png", Shown(SIZE), Says("PNG", SIZE)
    ),
}

CASES = {**ORIENTATIONS, **BOXES, **MANY, **MOTION}


def opened(content: bytes) -> Image.Image:
    """A picture of the table as Pillow has it."""
    return Image.open(io.BytesIO(content))
