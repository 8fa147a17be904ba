"""PNG, chunk by chunk: what its header says, and the file without metadata that would inflate beyond reason.

Chunks of text and profiles are skipped and never inflated whole. There may be many of them and they may be large, up to
bounds that are far from any camera's or editor's.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from formats import orientation

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MOST_CHUNKS: Final = 10_000  # of metadata
MOST_BYTES: Final = 32 << 20  # of metadata
_LARGEST: Final = 1 << 20  # of one text or profile, inflated: what Pillow bears
_ALTOGETHER: Final = 4 << 20  # of all that is inflated in a look at one file
_PICTURE: Final = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"fcTL", b"fdAT", b"acTL"}
_TEXTS: Final = {b"tEXt", b"zTXt", b"iTXt", b"iCCP"}


class Torn(Exception):
    """The file begins like a PNG, and its header cannot be read."""


class TooMuchMetadata(Exception):
    """The file holds more beside its pixels than is skipped."""


class Header(NamedTuple):
    """Width and height as stored, frames that are shown, and the EXIF orientation."""

    width: int
    height: int
    frames: int
    turned: int


class _Chunk(NamedTuple):
    name: bytes
    start: int  # of its body
    length: int


def read(file: BinaryIO) -> Header:
    """What a PNG says before its pixels. Walks over the chunks to the end for the bounds. Raises Torn and
    TooMuchMetadata.
    """
    width = height = 0
    frames, turned, has_pixels = 1, orientation.PLAIN, False
    for chunk in _chunks(file):
        if chunk.name == b"IHDR" and chunk.length >= 13:
            width, height = struct.unpack(">II", _body(file, chunk, 8))
        elif chunk.name == b"acTL" and chunk.length >= 8 and not has_pixels:
            frames = max(1, int.from_bytes(_body(file, chunk, 4)))
        elif chunk.name == b"eXIf":
            turned = _orientation(_body(file, chunk, min(chunk.length, 1 << 16)))
        has_pixels = has_pixels or chunk.name == b"IDAT"
    if not width or not height or not has_pixels:
        raise Torn("the header ends before the picture begins")
    return Header(width, height, frames, turned)


def has_hidden_first(content: bytes) -> bool:
    """Whether an animation's file begins with a picture that is no part of it, so that it is never shown."""
    found = content.find(b"IDAT", 8)
    return content.find(b"acTL", 8, found) >= 0 and content.find(b"fcTL", 8, found) < 0


def lean(content: bytes) -> bytes:
    """The file without texts and profiles that are too large for Pillow; the same bytes where there are none.

    Raises TooMuchMetadata.
    """
    import io

    dropped = []
    left = _ALTOGETHER
    for chunk in _chunks(io.BytesIO(content)):
        if chunk.name in _TEXTS:
            size = _inflated(content, chunk, min(left, _LARGEST) + 1)
            left -= min(left, size)
            if size > _LARGEST or not left:
                dropped.append(chunk)
    if not dropped:
        return content
    pieces, at = [], 0
    for chunk in dropped:
        pieces.append(content[at : chunk.start - 8])
        at = chunk.start + chunk.length + 4
    return b"".join([*pieces, content[at:]])


def _inflated(content: bytes, chunk: _Chunk, most: int) -> int:
    """Bytes of a text or profile when it is inflated, counted up to `most`."""
    body = content[chunk.start : chunk.start + chunk.length]
    keyword, _, rest = body.partition(b"\0")
    packed = rest[1:] if chunk.name in {b"zTXt", b"iCCP"} else b""
    if chunk.name == b"iTXt" and rest[:1] == b"\1":
        packed = rest[2:].split(b"\0", 2)[-1]
    if not packed:
        return len(body)
    try:
        return len(zlib.decompressobj().decompress(packed, most)) + len(keyword)
    except zlib.error:
        return 0  # Pillow leaves it out, too


def _chunks(file: BinaryIO) -> Iterator[_Chunk]:
    many, large = 0, 0
    at = len(SIGNATURE)
    size = file.seek(0, 2)
    while at + 8 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        if not name.isalpha() or not name.isascii():
            return  # damaged: whatever decodes it says so
        if name not in _PICTURE and at + 8 + length <= size:
            many, large = many + 1, large + length
            if many > MOST_CHUNKS or large > MOST_BYTES:
                raise TooMuchMetadata(f"more than {MOST_CHUNKS} chunks or {MOST_BYTES >> 20} MiB are no pixels")
        yield _Chunk(name, at + 8, length)
        at += 12 + length
        if name == b"IEND":
            return


def _body(file: BinaryIO, chunk: _Chunk, most: int) -> bytes:
    file.seek(chunk.start)
    found = file.read(most)
    if len(found) < most:
        raise Torn("the file ends within its header")
    return found


def _orientation(exif: bytes) -> int:
    """The orientation in a block of EXIF, of its first directory."""
    order = ">" if exif[:2] == b"MM" else "<"
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for row in range(min(count, 1_000)):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, at + 2 + 12 * row)
            if tag == orientation.EXIF_TAG:
                return int(value) if 1 <= value <= 8 else orientation.PLAIN
    except struct.error:
        pass
    return orientation.PLAIN
