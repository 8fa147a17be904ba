"""Files that somebody might send to do harm, and what each of them comes to: made by code, byte by byte where needed.

A case ends at the door (a status and a slug), or it is accepted and ends in the worker: scored, or failed with a slug.
"""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pillow_heif
from PIL import Image, PngImagePlugin

from tests.movies import clip, shades

pillow_heif.register_heif_opener()

SCORED = "scored"
SCRIPT = "<script>alert(document.cookie)</script>"


class Case(NamedTuple):
    """``door``: status and slug of the answer. ``end``: for what was accepted, `scored` or the slug of its failure."""

    body: bytes
    door: tuple[int, str]
    end: str = ""


ACCEPTED = (202, "")


def picture(width: int = 160, height: int = 120) -> Image.Image:
    """Coloured squares: no face, much to decode."""
    squares = np.random.default_rng(0).integers(0, 255, (height // 10, width // 10, 3))
    return Image.fromarray(np.kron(squares, np.ones((10, 10, 1))).astype(np.uint8))


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    """A whole file of that kind."""
    file = io.BytesIO()
    (image or picture()).save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG of these chunks between its header and its end."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def pixels(width: int, height: int) -> bytes:
    """The data chunk of a black PNG."""
    return chunk(b"IDAT", zlib.compress(b"\0" * (height * (1 + 3 * width))))


def behind_jpeg_head(*segments: bytes) -> bytes:
    """A sound JPEG with more segments behind its first two bytes."""
    whole = encoded("JPEG")
    return whole[:2] + b"".join(segments) + whole[2:]


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def resized_jpeg(width: int, height: int) -> bytes:
    """A JPEG whose header announces another size than it has."""
    whole = bytearray(encoded("JPEG"))
    frame = whole.index(b"\xff\xc0")
    whole[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(whole)


def tiff(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    """A little-endian TIFF with one directory; `following` is where it says that the next one lies."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + rows + struct.pack("<I", following)


def archive(levels: int) -> bytes:
    """A zip of zeros, in a zip, in a zip."""
    inner = b"\0" * 1_000_000
    for level in range(levels):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as into:
            for copy in range(4):
                into.writestr(f"{level}-{copy}", inner)
        inner = file.getvalue()
    return inner


def gif(frames: int) -> bytes:
    """White 1 x 1 frames."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\xff" * 6 + frames * frame + b";"


def exif(tag: int, value: object) -> bytes:
    """A JPEG that says this of itself."""
    said = Image.Exif()
    said[tag] = value
    return encoded("JPEG", exif=said.tobytes())


def text_chunk(size: int) -> bytes:
    """A PNG with so many bytes of text, which take a thousandth of that in the file."""
    said = PngImagePlugin.PngInfo()
    said.add_text("parameters", "x" * size, zip=True)
    return encoded("PNG", pnginfo=said)


def progressive(scans: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times more: each costs a decoder a walk through the picture."""
    whole = encoded("JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + whole[-2:]


def box(name: bytes, body: bytes) -> bytes:
    """A box of an MP4 or HEIC."""
    return struct.pack(">I4s", 8 + len(body), name) + body


def nested(name: bytes, depth: int) -> bytes:
    """An MP4 of boxes in boxes."""
    inner = b""
    for _ in range(depth):
        inner = box(name, inner)
    return box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", inner)


def torn() -> Iterator[tuple[str, Case]]:
    """Every still format cut off at every tenth of its length: refused as torn, at the door or at decoding."""
    whole = {
        "JPEG": encoded("JPEG"),
        "progressive JPEG": encoded("JPEG", progressive=True),
        "PNG": encoded("PNG"),
        "WebP": encoded("WEBP"),
        "lossless WebP": encoded("WEBP", lossless=True),
        "GIF": encoded("GIF"),
        "HEIC": encoded("HEIF"),
        "AVIF": encoded("AVIF"),
        "TIFF": encoded("TIFF"),
        "BMP": encoded("BMP"),
    }
    # these say how long they are, or lead to their end, in their first bytes
    at_the_door = {"WebP": 9, "lossless WebP": 9, "GIF": 1, "HEIC": 1, "AVIF": 8}
    for kind, body in whole.items():
        for tenth in range(1, 10):
            piece = body[: len(body) * tenth // 10]
            told = (422, "torn-file") if tenth <= at_the_door.get(kind, 0) else ACCEPTED
            yield f"{kind}, its first {tenth * 10} %", Case(piece, told, "" if told[1] else "torn-file")


REFUSED = {
    "no bytes": Case(b"", (422, "empty-file")),
    "one byte": Case(b"\xff", (415, "unsupported-media-type")),
    "words": Case(b"just words", (415, "unsupported-media-type")),
    "a million zeros": Case(b"\0" * 1_000_000, (415, "unsupported-media-type")),
    "SVG": Case(b'<svg xmlns="http://www.w3.org/2000/svg"/>', (415, "unsupported-media-type")),
    "SVG with a script": Case(f"<svg onload='x'>{SCRIPT}</svg>".encode(), (415, "unsupported-media-type")),
    "SVG with entities that grow": Case(
        b'<!DOCTYPE s [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>', (415, "unsupported-media-type")
    ),
    "SVG, compressed": Case(gzip.compress(b"<svg/>"), (415, "unsupported-media-type")),
    "HTML": Case(f"<!doctype html>{SCRIPT}".encode(), (415, "unsupported-media-type")),
    "a PDF": Case(b"%PDF-1.7\n%%EOF", (415, "unsupported-media-type")),
    "PostScript": Case(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", (415, "unsupported-media-type")),
    "a zip of zips of zeros": Case(archive(3), (415, "unsupported-media-type")),
    "a JPEG, compressed": Case(gzip.compress(encoded("JPEG")), (415, "unsupported-media-type")),
    "a program": Case(b"\x7fELF\x02\x01\x01" + b"\0" * 64, (415, "unsupported-media-type")),
    "a pickle": Case(b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93.",
                     (415, "unsupported-media-type")),
    "a playlist": Case(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", (415, "unsupported-media-type")),
    "a list of files to join": Case(b"ffconcat version 1.0\nfile /etc/passwd\n", (415, "unsupported-media-type")),
    "a film of eleven minutes": Case(clip(shades(661, (32, 32)), rate=1), (422, "too-long")),
    "half a film": Case(clip(shades(9))[:900], (422, "torn-file")),
    "sound alone": Case(clip([], sound=True), (415, "unsupported-media-type")),
    "a JPEG torn in its header": Case(encoded("JPEG")[:12], (422, "torn-file")),
    "a JPEG of two bytes": Case(b"\xff\xd8", (415, "unsupported-media-type")),
    "a PNG of its signature": Case(b"\x89PNG\r\n\x1a\n", (422, "torn-file")),
    "a PNG that is 60000 pixels wide and high": Case(png(60_000, 60_000, chunk(b"IDAT", b"")),
                                                     (422, "too-many-pixels")),
    "a PNG with as many pixels as a number can say": Case(png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", b"")),
                                                         (422, "too-many-pixels")),
    "a PNG without width": Case(png(0, 10, chunk(b"IDAT", b"")), (422, "torn-file")),
    "a JPEG that is 65500 pixels wide and high": Case(resized_jpeg(65_500, 65_500), (422, "too-many-pixels")),
    "a GIF of 2001 frames": Case(gif(2_001), (422, "too-many-frames")),
    "a JPEG of 20,000 scans": Case(progressive(20_000), (422, "too-complex")),
    "a JPEG of 6,000 segments": Case(behind_jpeg_head(*[segment(0xE5, b"")] * 6_000), (422, "too-complex")),
    "a JPEG of 700 full Exif segments": Case(
        behind_jpeg_head(*[segment(0xE1, b"Exif\0\0" + b"\0" * 65_000)] * 700), (422, "too-complex")
    ),
    "a PNG of 200,000 empty chunks": Case(png(9, 9, *[chunk(b"IDAT", b"")] * 200_000), (422, "too-complex")),
    "a PNG of 200,000 texts": Case(png(9, 9, *[chunk(b"tEXt", b"a\0b")] * 200_000), (422, "too-complex")),
    "a TIFF of a million strips": Case(
        tiff((256, 3, 1, 9), (257, 4, 1, 1_000_000), (273, 4, 1_000_000, 200), (279, 4, 1_000_000, 200))
        + b"\0" * 4_000_000,
        (422, "too-complex"),
    ),
    "a GIF in blocks of one byte": Case(
        gif(0)[:-1] + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2" + b"\1\0" * 200_000, (422, "too-complex")
    ),
    "a film with boxes that lie too deep": Case(nested(b"trak", 500), (422, "too-complex")),
    "a HEIC of a million items": Case(
        box(b"ftyp", b"heic\0\0\0\0mif1")
        + box(b"meta", b"\0" * 4 + box(b"iloc", b"\2\0\0\0\x44\0" + struct.pack(">I", 1_000_000) + b"\0" * 1_000_000)),
        (422, "too-complex"),
    ),
    "a TIFF whose directory leads to itself": Case(tiff((256, 3, 1, 9), (257, 3, 1, 9), following=8),
                                                   (422, "torn-file")),
    "a TIFF of 4 thousand million pixels": Case(tiff((256, 4, 1, 65_500), (257, 4, 1, 65_500), (258, 3, 1, 8),
                                                     (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
                                                     (279, 4, 1, 10)), (422, "too-many-pixels")),
}  # fmt: skip

TAKEN = {
    "a PNG that says JPEG": Case(encoded("PNG"), ACCEPTED, SCORED),
    "a JPEG with a web page behind it": Case(encoded("JPEG") + f"<html>{SCRIPT}".encode(), ACCEPTED, SCORED),
    "a JPEG with a zip behind it": Case(encoded("JPEG") + archive(1), ACCEPTED, SCORED),
    "a GIF with a zip behind it": Case(encoded("GIF") + archive(1), ACCEPTED, SCORED),
    "a GIF that is a script": Case(encoded("GIF").replace(b";", b";") + b"=1;alert(1)", ACCEPTED, SCORED),
    "a PNG with a program behind it": Case(encoded("PNG") + b"\x7fELF", ACCEPTED, SCORED),
    "EXIF with a script": Case(exif(0x010E, SCRIPT), ACCEPTED, SCORED),
    "EXIF with an injection": Case(exif(0x013B, "'; DROP TABLE submissions; --"), ACCEPTED, SCORED),
    "EXIF with a NUL and half a pair": Case(exif(0x010E, b"a\0b\xed\xa0\x80"), ACCEPTED, SCORED),
    "EXIF that turns it by 99": Case(exif(0x0112, 99), ACCEPTED, SCORED),
    "EXIF that is torn": Case(behind_jpeg_head(segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff")), ACCEPTED, SCORED),
    "EXIF that leads to itself": Case(
        behind_jpeg_head(segment(0xE1, b"Exif\0\0" + tiff((0x8769, 4, 1, 8), following=8))), ACCEPTED, SCORED
    ),
    "a thousand comments": Case(behind_jpeg_head(*[segment(0xFE, b"x" * 9)] * 1_000), ACCEPTED, SCORED),
    "an ICC profile of 60 kB of nothing": Case(
        behind_jpeg_head(segment(0xE2, b"ICC_PROFILE\0\x01\x01" + b"\0" * 60_000)), ACCEPTED, SCORED
    ),
    "an ICC profile that says it has 255 parts": Case(
        behind_jpeg_head(segment(0xE2, b"ICC_PROFILE\0\x01\xff" + b"acsp" * 99)), ACCEPTED, SCORED
    ),
    "an ICC profile whose tags lead anywhere": Case(
        encoded("PNG", icc_profile=b"\0\0\xff\xff" + b"\0" * 124 + struct.pack(">I", 2**31) + b"\xff" * 99),
        ACCEPTED,
        SCORED,
    ),
    "50 MB of text in 50 kB": Case(text_chunk(50_000_000), ACCEPTED, SCORED),
    "a PNG with more data than pixels": Case(
        png(9, 9, chunk(b"IDAT", zlib.compress(b"\0" * 20_000_000))), ACCEPTED, SCORED
    ),
    "a PNG with less data than pixels": Case(
        png(90, 90, chunk(b"IDAT", zlib.compress(b"\0" * 200))), ACCEPTED, "torn-file"
    ),
    "a PNG whose checksum is wrong": Case(encoded("PNG").replace(b"IDAT", b"IDAT\0", 1), ACCEPTED, "torn-file"),
    "a JPEG that says it is larger than it is": Case(resized_jpeg(1_600, 1_200), ACCEPTED, SCORED),
    "a JPEG in four colours": Case(encoded("JPEG", picture().convert("CMYK")), ACCEPTED, SCORED),
    "a PNG of one bit": Case(encoded("PNG", picture().convert("1")), ACCEPTED, SCORED),
    "a PNG of sixteen bits": Case(
        encoded("PNG", Image.fromarray(np.full((40, 40), 40_000, np.uint16))), ACCEPTED, SCORED
    ),
    "a picture of one pixel": Case(encoded("PNG", Image.new("RGB", (1, 1))), ACCEPTED, SCORED),
    "a picture of one line": Case(png(60_000, 1, pixels(60_000, 1)), ACCEPTED, SCORED),
    "a picture of one column": Case(png(1, 60_000, pixels(1, 60_000)), ACCEPTED, SCORED),
}

CASES: dict[str, Case] = dict(torn()) | REFUSED | TAKEN
