"""What the header of a video says, read without decoding: MP4 and MOV (ISO 14496-12 boxes) and WebM (EBML).

The API has no decoder, and wants none near a stranger's bytes. This reads box by box from a seekable file, never more
than a few hundred bytes of each, and gives up on a header that is nested, long or odd beyond reason. What a header does
not say stays unknown; what it says may be a lie, which the worker finds out. Images that share the container (HEIC,
AVIF) are not told of here.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

IMAGES: Final = {
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"hevm",
    b"hevs",
    b"mif1",
    b"msf1",
    b"avif",
    b"avis",
}
_FIRST: Final = {b"moov", b"mdat", b"wide", b"free", b"skip"}  # of QuickTime files older than `ftyp`
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
class _Part:
    """A box or element: its name, and where its body begins and ends in the file."""

    name: bytes
    start: int
    end: int


class _Reader:
    """A file that is read in few bytes, with an account of how many parts were seen."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _MOST_PARTS
        self.size = file.seek(0, 2)

    def bytes(self, at: int, count: int) -> bytes:
        self._file.seek(at)
        found = self._file.read(count)
        if len(found) < count:
            raise Torn("the file ends within its header")
        return found

    def count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Torn("the header has too many parts")


def begins(head: bytes) -> str | None:
    """`iso` or `ebml` when a file with these first bytes (12 will do) is a video's container, None otherwise."""
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "ebml"
    kind = head[4:8]
    return "iso" if kind in _FIRST or (kind == b"ftyp" and head[8:12] not in IMAGES) else None


def read(file: BinaryIO) -> Movie | None:
    """Returns what the header says; None when the file does not begin like a video.

    Raises:
        Torn: when it does, and its header cannot be read.
        NoVideo: when it holds sound alone, or is a Matroska file that is no WebM.
    """
    file.seek(0)
    kind = begins(file.read(12))
    if kind is None:
        return None
    reader = _Reader(file)
    found = _iso(reader) if kind == "iso" else _ebml(reader)
    if found.width < 1 or found.height < 1:
        raise NoVideo("the file holds no video")
    return found


# --- ISO base media: boxes of a 32-bit size and a four-letter name ---


def _boxes(reader: _Reader, start: int, end: int) -> Iterator[_Part]:
    while start + 8 <= end:
        reader.count()
        size, name = struct.unpack(">I4s", reader.bytes(start, 8))
        body = start + 8
        if size == 1:
            (size,) = struct.unpack(">Q", reader.bytes(body, 8))
            body += 8
        elif size == 0:
            size = end - start  # to the end of the file
        if size < body - start:
            raise Torn("a box is smaller than its own header")
        yield _Part(name, body, min(start + size, end))
        start += size


def _iso(reader: _Reader) -> Movie:
    brand, movie = b"qt  ", None
    for box in _boxes(reader, 0, reader.size):
        if box.name == b"ftyp" and box.end - box.start >= 4:
            brand = reader.bytes(box.start, 4)
        elif box.name == b"moov":
            movie = _moov(reader, box)
            break
    if movie is None:
        raise Torn("the video has no header: its end is missing")
    return replace(movie, format="MOV" if brand == b"qt  " else "MP4")


def _moov(reader: _Reader, moov: _Part) -> Movie:
    movie, seconds, longest = Movie("MP4"), None, 0.0
    for box in _boxes(reader, moov.start, moov.end):
        if box.name == b"mvhd":
            seconds = _length(reader, box)
        elif box.name == b"mvex":  # a fragmented file: its length stands elsewhere, if anywhere
            seconds = None
        elif box.name == b"trak" and not movie.width:
            movie = _trak(reader, box)
            longest = movie.seconds or 0.0
    return replace(movie, seconds=max(seconds or 0.0, longest) or None)


def _trak(reader: _Reader, trak: _Part) -> Movie:
    """A track's picture size, length and frames; a size of 0 for a track of anything else."""
    tables: dict[bytes, _Part] = {}
    for box in _below(reader, trak, (b"mdia", b"minf", b"stbl")):
        tables.setdefault(box.name, box)  # QuickTime has a second `hdlr` further in
    described = tables.get(b"stsd")
    handler = tables.get(b"hdlr")
    if described is None or handler is None or reader.bytes(handler.start + 8, 4) != b"vide":
        return Movie("MP4")
    # stsd: version and flags, a count, and sample entries, whose width and height stand 24 bytes into their body
    width, height = struct.unpack(">HH", reader.bytes(described.start + 8 + 8 + 24, 4))
    sizes = tables.get(b"stsz")
    frames = struct.unpack(">I", reader.bytes(sizes.start + 8, 4))[0] if sizes else 0
    header = tables.get(b"mdhd")
    return Movie("MP4", width, height, None if header is None else _length(reader, header), frames or None)


def _below(reader: _Reader, box: _Part, through: tuple[bytes, ...]) -> Iterator[_Part]:
    """The boxes in ``box``, and those in the first of them with each of the names, level by level."""
    inner = None
    for found in _boxes(reader, box.start, box.end):
        yield found
        if through and found.name == through[0] and inner is None:
            inner = found
    if inner is not None:
        yield from _below(reader, inner, through[1:])


def _length(reader: _Reader, box: _Part) -> float | None:
    """The seconds that an `mvhd` or `mdhd` box tells; None when it tells none."""
    wide = reader.bytes(box.start, 1) == b"\1"
    scale, length = struct.unpack(
        ">IQ" if wide else ">II", reader.bytes(box.start + (20 if wide else 12), 12 if wide else 8)
    )
    unknown = length == (2**64 - 1 if wide else 2**32 - 1)
    return None if unknown or not scale else _believed(length / scale)


def _believed(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) and 0 < seconds < _LONGEST else None


# --- EBML: elements of a variable-length name and size ---

_SEGMENT, _INFO, _TRACKS, _ENTRY, _VIDEO = (
    b"\x18\x53\x80\x67",
    b"\x15\x49\xa9\x66",
    b"\x16\x54\xae\x6b",
    b"\xae",
    b"\xe0",
)
_DOCTYPE, _SCALE, _DURATION, _WIDTH, _HEIGHT = b"\x42\x82", b"\x2a\xd7\xb1", b"\x44\x89", b"\xb0", b"\xba"
_CLUSTER = b"\x1f\x43\xb6\x75"


def _elements(reader: _Reader, start: int, end: int) -> Iterator[_Part]:
    while start < end:
        reader.count()
        name, start = _coded(reader, start, keep_marker=True)
        size, start = _coded(reader, start, keep_marker=False)
        known = any(byte != 0xFF for byte in size[1:]) or size[0] != (1 << (8 - len(size))) - 1
        stop = min(start + int.from_bytes(size), end) if known else end
        yield _Part(name, start, stop)
        start = stop


def _coded(reader: _Reader, at: int, *, keep_marker: bool) -> tuple[bytes, int]:
    """A number of one to eight bytes, whose first tells how many in its leading zeros; and where it ends."""
    first = reader.bytes(at, 1)[0]
    length = 9 - first.bit_length()
    if length > 8:
        raise Torn("an element has no length")
    found = bytearray(reader.bytes(at, length))
    if not keep_marker:
        found[0] &= (1 << (8 - length)) - 1
    return bytes(found), at + length


def _ebml(reader: _Reader) -> Movie:
    movie, seconds, is_webm = Movie("WebM"), None, False
    for element in _elements(reader, 0, reader.size):
        if element.name == b"\x1a\x45\xdf\xa3":
            words = {part.name: part for part in _elements(reader, element.start, element.end)}
            is_webm = _DOCTYPE in words and _body(reader, words[_DOCTYPE], 16).rstrip(b"\0") == b"webm"
        elif element.name == _SEGMENT:
            for part in _elements(reader, element.start, element.end):
                if part.name == _INFO:
                    seconds = _told(reader, part)
                elif part.name == _TRACKS:
                    movie = _tracks(reader, part)
                elif part.name == _CLUSTER and movie.width:
                    break  # pictures begin: the header is over
            break
    if not is_webm:
        raise NoVideo("the file is Matroska, which is not accepted unless it is WebM")
    return replace(movie, seconds=seconds)


def _told(reader: _Reader, info: _Part) -> float | None:
    parts = {part.name: part for part in _elements(reader, info.start, info.end)}
    scale = int.from_bytes(_body(reader, parts[_SCALE], 8)) if _SCALE in parts else 1_000_000
    length = _body(reader, parts[_DURATION], 8) if _DURATION in parts else b""
    if len(length) not in (4, 8):
        return None
    return _believed(float(struct.unpack(">f" if len(length) == 4 else ">d", length)[0]) * scale / 1e9)


def _tracks(reader: _Reader, tracks: _Part) -> Movie:
    for entry in _elements(reader, tracks.start, tracks.end):
        if entry.name != _ENTRY:
            continue
        for part in _elements(reader, entry.start, entry.end):
            if part.name == _VIDEO:
                sides = {side.name: side for side in _elements(reader, part.start, part.end)}
                if _WIDTH in sides and _HEIGHT in sides:
                    width, height = (int.from_bytes(_body(reader, sides[name], 8)) for name in (_WIDTH, _HEIGHT))
                    return Movie("WebM", width, height)
    return Movie("WebM")


def _body(reader: _Reader, part: _Part, most: int) -> bytes:
    return reader.bytes(part.start, min(part.end - part.start, most))
