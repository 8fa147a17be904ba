"""EBML, RFC 8794: elements of a variable-length name and size. WebM is made of them."""

import math
import struct
from collections.abc import Iterator
from dataclasses import replace

from formats import orientation
from formats.containers.parts import Movie, NoVideo, Part, Reader, Torn, Track, believed

_SEGMENT, _INFO, _TRACKS, _ENTRY, _VIDEO = (
    b"\x18\x53\x80\x67",
    b"\x15\x49\xa9\x66",
    b"\x16\x54\xae\x6b",
    b"\xae",
    b"\xe0",
)
_DOCTYPE, _SCALE, _DURATION, _WIDTH, _HEIGHT = b"\x42\x82", b"\x2a\xd7\xb1", b"\x44\x89", b"\xb0", b"\xba"
_CLUSTER = b"\x1f\x43\xb6\x75"
_CODING, _SHOWN_WIDTH, _SHOWN_HEIGHT, _SHOWN_UNIT = b"\x86", b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_PROJECTION, _ROLL = b"\x76\x70", b"\x76\x75"
_ROLLS = {90.0: 8, 180.0: 3, 270.0: 6}


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
    tracks: list[Track] = []
    seconds, is_webm = None, False
    for element in _elements(reader, 0, reader.size):
        if element.name == b"\x1a\x45\xdf\xa3":
            words = {part.name: part for part in _elements(reader, element.start, element.end)}
            is_webm = _DOCTYPE in words and _body(reader, words[_DOCTYPE], 16).rstrip(b"\0") == b"webm"
        elif element.name == _SEGMENT:
            for part in _elements(reader, element.start, element.end):
                if part.name == _INFO:
                    seconds = _told(reader, part)
                elif part.name == _TRACKS:
                    tracks = list(_tracks(reader, part))
                elif part.name == _CLUSTER and tracks:
                    break  # pictures begin: the header is over
            break
    if not is_webm:
        raise NoVideo("the file is Matroska, which is not accepted unless it is WebM")
    return Movie("WebM", [replace(track, seconds=seconds) for track in tracks], seconds)


def _told(reader: Reader, info: Part) -> float | None:
    parts = {part.name: part for part in _elements(reader, info.start, info.end)}
    scale = int.from_bytes(_body(reader, parts[_SCALE], 8)) if _SCALE in parts else 1_000_000
    length = _body(reader, parts[_DURATION], 8) if _DURATION in parts else b""
    if len(length) not in (4, 8):
        return None
    return believed(float(struct.unpack(">f" if len(length) == 4 else ">d", length)[0]) * scale / 1e9)


def _tracks(reader: Reader, tracks: Part) -> Iterator[Track]:
    for entry in _elements(reader, tracks.start, tracks.end):
        if entry.name != _ENTRY:
            continue
        words = {part.name: part for part in _elements(reader, entry.start, entry.end)}
        if _VIDEO in words:
            coding = _body(reader, words[_CODING], 16) if _CODING in words else b""
            track = _pictures(reader, words[_VIDEO])
            yield replace(track, coding=coding)


def _pictures(reader: Reader, video: Part) -> Track:
    words = {part.name: part for part in _elements(reader, video.start, video.end)}

    def number(name: bytes) -> int:
        return int.from_bytes(_body(reader, words[name], 8)) if name in words else 0

    width, height = number(_WIDTH), number(_HEIGHT)
    across, down, unit = number(_SHOWN_WIDTH), number(_SHOWN_HEIGHT), number(_SHOWN_UNIT)
    # units: pixels, centimetres, inches, an aspect ratio; all of them say how wide the picture is for its height
    told = across and down and width and height and unit <= 3
    aspect = across * height / (down * width) if told else 1.0
    return Track(width, height, aspect=aspect, turned=_turned(reader, words.get(_PROJECTION)))


def _turned(reader: Reader, projection: Part | None) -> int:
    """The orientation that a roll by quarters makes; positive rolls turn against the clock."""
    if projection is None:
        return orientation.PLAIN
    words = {part.name: part for part in _elements(reader, projection.start, projection.end)}
    held = _body(reader, words[_ROLL], 8) if _ROLL in words else b""
    if len(held) not in (4, 8):
        return orientation.PLAIN
    roll = float(struct.unpack(">f" if len(held) == 4 else ">d", held)[0])
    return _ROLLS.get(roll % 360, orientation.PLAIN) if math.isfinite(roll) else orientation.PLAIN


def _body(reader: Reader, part: Part, most: int) -> bytes:
    return reader.bytes(part.start, min(part.end - part.start, most))
