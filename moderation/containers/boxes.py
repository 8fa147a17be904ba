"""ISO base media, ISO 14496-12: boxes of a 32-bit size and a four-letter name. MP4 and MOV are made of them."""

import struct
from collections.abc import Iterator
from dataclasses import replace

from moderation.containers.parts import Movie, Part, Reader, Torn, believed


def _boxes(reader: Reader, start: int, end: int) -> Iterator[Part]:
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
        yield Part(name, body, min(start + size, end))
        start += size


def movie(reader: Reader) -> Movie:
    """Returns what `moov` says; raises Torn where there is none that can be read."""
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


def _moov(reader: Reader, moov: Part) -> Movie:
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


def _trak(reader: Reader, trak: Part) -> Movie:
    """A track's picture size, length and frames; a size of 0 for a track of anything else."""
    tables: dict[bytes, Part] = {}
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


def _below(reader: Reader, box: Part, through: tuple[bytes, ...]) -> Iterator[Part]:
    """The boxes in ``box``, and those in the first of them with each of the names, level by level."""
    inner = None
    for found in _boxes(reader, box.start, box.end):
        yield found
        if through and found.name == through[0] and inner is None:
            inner = found
    if inner is not None:
        yield from _below(reader, inner, through[1:])


def _length(reader: Reader, box: Part) -> float | None:
    """The seconds that an `mvhd` or `mdhd` box tells; None when it tells none."""
    wide = reader.bytes(box.start, 1) == b"\1"
    scale, length = struct.unpack(
        ">IQ" if wide else ">II", reader.bytes(box.start + (20 if wide else 12), 12 if wide else 8)
    )
    unknown = length == (2**64 - 1 if wide else 2**32 - 1)
    return None if unknown or not scale else believed(length / scale)
