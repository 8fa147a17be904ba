"""Metadata that is large, odd or broken beside good pixels, and files that lack what they do not need."""

import io
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from tests.hostile.files import chunk, segment
from tests.media.cards import card, encoded
from tests.media.cases import Case, Refused, Says, Shown

SIZE = (64, 48)
MEGABYTE = 1 << 20
HEAD = 8 + 25  # of a PNG: its signature and its header


def png(*chunks: bytes, behind: bytes = b"", form: str = "PNG") -> bytes:
    """The card as PNG with more chunks before its pixels and behind them."""
    whole = encoded(card(SIZE), form)
    return whole[:HEAD] + b"".join(chunks) + whole[HEAD:-12] + behind + whole[-12:]


def text(size: int, keyword: bytes = b"Comment") -> bytes:
    """A chunk of plain text."""
    return chunk(b"tEXt", keyword + b"\0" + b"x" * size)


def packed(size: int) -> bytes:
    """A chunk of text that inflates to so much."""
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * size))


def international(size: int, is_packed: bool) -> bytes:
    """A chunk of international text."""
    body = zlib.compress(b"x" * size) if is_packed else b"x" * size
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0" + bytes([is_packed, 0]) + b"\0\0" + body)


def profile(size: int) -> bytes:
    """A chunk with a profile of nothing."""
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(size)))


def jpeg(*segments: bytes, behind: bytes = b"", **options: object) -> bytes:
    """The card as JPEG with more segments before its tables."""
    whole = encoded(card(SIZE), "JPEG", **{"quality": 92, **options})
    return whole[:2] + b"".join(segments) + whole[2:] + behind


def _png(*chunks: Callable[[], bytes] | bytes, **more: bytes) -> Case:
    return Case(
        lambda: png(*(each() if callable(each) else each for each in chunks), **more),
        "image/png", Shown(SIZE), Says("PNG", SIZE),
    )  # fmt: skip


def _jpeg(make: Callable[[], bytes], size: tuple[int, int] = SIZE, shown: Shown | None = None) -> Case:
    return Case(make, "image/jpeg", shown or Shown(size), Says("JPEG", size))


def _cut(whole: bytes, count: int) -> bytes:
    return whole[:-count]


BROAD = (640, 480)


def _broad(**options: object) -> bytes:
    return encoded(card(BROAD), "JPEG", **{"quality": 92, **options})


def _animated() -> bytes:
    said = PngImagePlugin.PngInfo()
    said.add_text("Comment", "x" * (3 * MEGABYTE), zip=True)
    second = Image.fromarray(card(SIZE, "B"))
    return encoded(card(SIZE, "R"), "PNG", save_all=True, append_images=[second], pnginfo=said, duration=500)


PNGS = {
    "PNG with text of 3 MB": _png(lambda: text(3 * MEGABYTE)),
    "PNG with text of 3 MB behind its pixels": _png(behind=text(3 * MEGABYTE)),
    "PNG with text that inflates to 3 MB": _png(lambda: packed(3 * MEGABYTE)),
    "PNG with text that inflates to 50 MB, behind": _png(behind=packed(50 * MEGABYTE)),
    "PNG with texts that inflate to 40 MB together": _png(lambda: packed(MEGABYTE - 20) * 40),
    "PNG with international text of 2 MB": _png(lambda: international(2 * MEGABYTE, False)),
    "PNG with international text that inflates to 20 MB": _png(lambda: international(20 * MEGABYTE, True)),
    "PNG with a profile of 2 MB": _png(lambda: profile(2 * MEGABYTE)),
    "PNG with a profile of 60 MB of nothing": _png(lambda: profile(60 * MEGABYTE)),
    "PNG with a broken profile": _png(chunk(b"iCCP", b"profile\0\0" + b"broken")),
    "PNG with text that is no deflate": _png(chunk(b"zTXt", b"Comment\0\0" + b"broken" * 400)),
    "PNG with 9,000 texts": _png(lambda: text(4) * 9_000),
    "PNG with a private chunk of 8 MB": _png(lambda: chunk(b"prVt", bytes(8 * MEGABYTE))),
    "PNG with EXIF of nothing": _png(chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0")),
    "PNG with EXIF that is torn": _png(chunk(b"eXIf", b"II*\0\xff\xff")),
    "APNG with text that inflates to 3 MB": Case(
        _animated, "image/png", Shown(SIZE, "RRRR"), Says("PNG", SIZE, "RRRR", 2)
    ),
    "PNG with 20,000 texts": Case(
        lambda: png(text(4) * 20_000), "image/png", Shown(SIZE), Refused("too-much-metadata")
    ),
    "PNG with 33 MB beside its pixels": Case(
        lambda: png(chunk(b"prVt", bytes(33 * MEGABYTE))), "image/png", Shown(SIZE), Refused("too-much-metadata")
    ),
}  # fmt: skip


def _exif(orientation: int) -> Image.Exif:
    said = Image.Exif()
    said[0x0112] = orientation
    return said


def _noisy() -> bytes:
    chance = np.random.default_rng(0)
    return encoded(chance.integers(0, 255, (120, 160, 3), np.uint8), "JPEG", quality=92)


JPEGS = {
    # Chromium leaves the last rows of the smallest ones white until the end marker comes
    "JPEG without its end": _jpeg(lambda: _cut(_broad(), 2), BROAD),
    "JPEG with half its end": _jpeg(lambda: _cut(_broad(), 1), BROAD),
    "JPEG without its end, progressive": _jpeg(lambda: _cut(_broad(progressive=True), 2), BROAD),
    "JPEG without its end, grey": Case(
        lambda: _cut(encoded(Image.new("L", BROAD, 128), "JPEG"), 2), "image/jpeg", Shown(BROAD, "NNNN"),
        Says("JPEG", BROAD, "NNNN"),
    ),
    "JPEG without its end, of four inks": Case(
        lambda: _cut(encoded(Image.new("CMYK", BROAD, (0, 0, 0, 127)), "JPEG"), 2), "image/jpeg",
        Shown(BROAD, "NNNN"), Says("JPEG", BROAD, "NNNN"),
    ),
    "JPEG without its end, turned": _jpeg(
        lambda: _cut(_broad(exif=_exif(3)), 2), BROAD, Shown(BROAD, "YBGR")
    )._replace(says=Says("JPEG", BROAD, "YBGR")),
    "JPEG that lacks 300 bytes": Case(
        lambda: _cut(_noisy(), 300), "image/jpeg", None, Refused("", "torn-file")  # browsers show what is there
    ),
    "JPEG with 8 MB of zeros behind it": _jpeg(lambda: jpeg(behind=bytes(8 * MEGABYTE))),
    "JPEG with an unknown segment of 60 kB, 50 times": _jpeg(lambda: jpeg(segment(0xED, b"x" * 60_000) * 50)),
    "JPEG with 400 comments": _jpeg(lambda: jpeg(segment(0xFE, b"x" * 900) * 400)),
    "JPEG with XMP in parts": _jpeg(
        lambda: jpeg(segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000)) * 20)
    ),
    "JPEG with a profile of nothing": _jpeg(lambda: jpeg(segment(0xE2, b"ICC_PROFILE\0\x01\x01" + bytes(60_000)))),
    "JPEG with a profile whose parts are missing": _jpeg(
        lambda: jpeg(segment(0xE2, b"ICC_PROFILE\0\x02\x09" + bytes(6_000)))
    ),
    "JPEG with filling between its segments": _jpeg(lambda: jpeg(b"\xff" * 500 + segment(0xFE, b"x"))),
}  # fmt: skip


def _webp(**options: object) -> bytes:
    return encoded(card(SIZE), "WEBP", quality=92, **options)


def _tagged() -> bytes:
    """A TIFF with a text of 2 MB."""
    said = TiffImagePlugin.ImageFileDirectory_v2()
    said[270] = "x" * (2 * MEGABYTE)
    file = io.BytesIO()
    Image.fromarray(card(SIZE)).save(file, "TIFF", tiffinfo=said)
    return file.getvalue()


def _commented() -> bytes:
    whole = encoded(card(SIZE), "GIF")
    start = 13 + 3 * (2 << (whole[10] & 7))
    return whole[:start] + b"!\xfe" + (b"\xff" + b"x" * 255) * 4_000 + b"\0" + whole[start:]


OTHERS = {
    "WebP with XMP of 2 MB": Case(
        lambda: _webp(xmp=b"<x>" + b"x" * (2 * MEGABYTE)), "image/webp", Shown(SIZE), Says("WebP", SIZE)
    ),
    "WebP with a profile of nothing": Case(
        lambda: _webp(icc_profile=bytes(60_000)), "image/webp", Shown(SIZE), Says("WebP", SIZE)
    ),
    "AVIF with EXIF of 60 kB": Case(
        lambda: encoded(card(SIZE), "AVIF", quality=92, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0" + bytes(60_000)),
        "image/avif", Shown(SIZE), Says("AVIF", SIZE),
    ),
    "GIF with a comment of 1 MB": Case(
        _commented, "image/gif", Shown(SIZE), Says("GIF", SIZE)
    ),
    "TIFF with a text of 2 MB": Case(_tagged, "image/tiff", None, Says("TIFF", SIZE)),
}  # fmt: skip


CASES = {**PNGS, **JPEGS, **OTHERS}
