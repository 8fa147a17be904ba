"""EBML, RFC 8794: elements of a variable-length name and size. WebM is made of them."""

import struct
from collections.abc import Iterator
from dataclasses import replace

from moderation.containers.parts import Movie, NoVideo, Part, Reader, Torn, believed

_SEGMENT, _INFO, _TRACKS, _ENTRY, _VIDEO = (
    b"\x18\x53\x80\x67",
    b"\x15\x49\xa9\x66",
    b"\x16\x54\xae\x6b",
    b"\xae",
    b"\xe0",
)
_DOCTYPE, _SCALE, _DURATION, _WIDTH, _HEIGHT = b"\x42\x82", b"\x2a\xd7\xb1", b"\x44\x89", b"\xb0", b"\xba"
_CLUSTER = b"\x1f\x43\xb6\x75"


def _elements(reader: Reader, start: int, end: int) -> Iterator[Part]:
    while start < end:
        reader.count()
        name, start = _coded(reader, start, keep_marker=True)
        size, start = _coded(reader, start, keep_marker=False)
        known = any(byte != 0xFF for byte in size[1:]) or size[0] != (1 << (8 - len(size))) - 1
        stop = min(start + int.from_bytes(size), end) if known else end
        yield Part(name, start, stop)
        start = stop


def _coded(reader: Reader, at: int, *, keep_marker: bool) -> tuple[bytes, int]:
    """A number of one to eight bytes, whose first tells how many in its leading zeros; and where it ends."""
    first = reader.bytes(at, 1)[0]
    length = 9 - first.bit_length()
    if length > 8:
        raise Torn("an element has no length")
    found = bytearray(reader.bytes(at, length))
    if not keep_marker:
        found[0] &= (1 << (8 - length)) - 1
    return bytes(found), at + length


def movie(reader: Reader) -> Movie:
    """Returns what segment info and tracks say. Raises Torn, and NoVideo for Matroska that is no WebM."""
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


def _told(reader: Reader, info: Part) -> float | None:
    parts = {part.name: part for part in _elements(reader, info.start, info.end)}
    scale = int.from_bytes(_body(reader, parts[_SCALE], 8)) if _SCALE in parts else 1_000_000
    length = _body(reader, parts[_DURATION], 8) if _DURATION in parts else b""
    if len(length) not in (4, 8):
        return None
    return believed(float(struct.unpack(">f" if len(length) == 4 else ">d", length)[0]) * scale / 1e9)


def _tracks(reader: Reader, tracks: Part) -> Movie:
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


def _body(reader: Reader, part: Part, most: int) -> bytes:
    return reader.bytes(part.start, min(part.end - part.start, most))
