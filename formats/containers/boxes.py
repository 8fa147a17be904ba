"""ISO base media, ISO 14496-12: boxes of a 32-bit size and a four-letter name. MP4 and MOV are made of them."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import hypot

from formats import orientation
from formats.containers.parts import Movie, Part, Reader, Torn, Track, believed

_MOST_EDITS = 1_000
_MOST_RUNS = 20_000  # of frames of one length; what has more counts all its frames
_NEVER = -1  # as an edit's place in the media: nothing is shown
_ENABLED = 1

Edit = tuple[int, int]  # its length in the movie's time scale, its beginning in the media's


def walk(reader: Reader, start: int, end: int) -> Iterator[Part]:
    """The boxes between two places. Raises Torn."""
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
    for box in walk(reader, 0, reader.size):
        if box.name == b"ftyp" and box.end - box.start >= 4:
            brand = reader.bytes(box.start, 4)
        elif box.name == b"moov":
            movie = _moov(reader, box)
            break
    if movie is None:
        raise Torn("the video has no header: its end is missing")
    return replace(movie, format="MOV" if brand == b"qt  " else "MP4")


def _moov(reader: Reader, moov: Part) -> Movie:
    boxes = list(walk(reader, moov.start, moov.end))
    header = next((box for box in boxes if box.name == b"mvhd"), None)
    scale, length = _length(reader, header) if header else (0, None)
    lengths, tracks = [], []
    for box in boxes:
        if box.name == b"trak":
            seconds, track = _trak(reader, box, scale)
            lengths.append(seconds or 0.0)
            tracks += [track] if track else []
    # The longest track is what plays: the movie's own header may still tell the length from before it was cut.
    longest = max(lengths, default=0.0) or length
    if any(box.name == b"mvex" for box in boxes):  # a fragmented file: its length stands elsewhere, if anywhere
        longest = None
        tracks = [replace(track, seconds=None, frames=None) for track in tracks]
    return Movie("MP4", tracks, longest)


def _trak(reader: Reader, trak: Part, scale: int) -> tuple[float | None, Track | None]:
    """A track's seconds as it plays, and what it shows; None where it is no pictures."""
    tables: dict[bytes, Part] = {}
    for box in _below(reader, trak, (b"mdia", b"minf", b"stbl")):
        tables.setdefault(box.name, box)  # QuickTime has a second `hdlr` further in
    media_scale, length = _length(reader, tables[b"mdhd"]) if b"mdhd" in tables else (0, None)
    edits = _edits(reader, tables.get(b"edts"))
    shown = sum(part for part, start in edits if start != _NEVER)
    seconds = believed(shown / scale) if shown and scale else length
    described, handler = tables.get(b"stsd"), tables.get(b"hdlr")
    if described is None or handler is None or reader.bytes(handler.start + 8, 4) != b"vide":
        return seconds, None
    # stsd: version and flags, a count, and sample entries, whose width and height stand 24 bytes into their body
    entry = described.start + 8
    coding = reader.bytes(entry + 4, 4)
    width, height = struct.unpack(">HH", reader.bytes(entry + 8 + 24, 4))
    enabled, matrix, told = _header(reader, tables.get(b"tkhd"))
    aspect = _pixel(reader, entry) or _scaled(matrix) or _told(width, height, told)
    frames = _frames(reader, tables, edits if scale and media_scale else (), media_scale / scale if scale else 0.0)
    turned = orientation.of_matrix(matrix)
    return seconds, Track(width, height, seconds, frames, enabled, aspect, turned, coding)


def _below(reader: Reader, box: Part, through: tuple[bytes, ...]) -> Iterator[Part]:
    """The boxes in ``box``, and those in the first of them with each of the names, level by level."""
    inner = None
    for found in walk(reader, box.start, box.end):
        yield found
        if through and found.name == through[0] and inner is None:
            inner = found
    if inner is not None:
        yield from _below(reader, inner, through[1:])


def _length(reader: Reader, box: Part) -> tuple[int, float | None]:
    """Time scale and seconds that an `mvhd` or `mdhd` box tells; None for seconds when it tells none."""
    wide = reader.bytes(box.start, 1) == b"\1"
    scale, length = struct.unpack(
        ">IQ" if wide else ">II", reader.bytes(box.start + (20 if wide else 12), 12 if wide else 8)
    )
    unknown = length == (2**64 - 1 if wide else 2**32 - 1)
    return scale, None if unknown or not scale else believed(length / scale)


def _edits(reader: Reader, edts: Part | None) -> Sequence[Edit]:
    """The edit list: which parts of the media are played, in their order."""
    listed = None if edts is None else next(walk(reader, edts.start, edts.end), None)
    if listed is None or listed.name != b"elst":
        return ()
    version, _, count = struct.unpack(">B3sI", reader.bytes(listed.start, 8))
    row = struct.Struct(">Qqi" if version else ">Iii")
    table = reader.bytes(listed.start + 8, min(count, _MOST_EDITS, (listed.end - listed.start) // row.size) * row.size)
    return [(length, start) for length, start, _ in row.iter_unpack(table)]


def _header(reader: Reader, box: Part | None) -> tuple[bool, tuple[float, ...], tuple[float, float]]:
    """Whether `tkhd` enables the track, its display matrix (a, b, c, d), and the width and height that it tells."""
    if box is None:
        return True, (1.0, 0.0, 0.0, 1.0), (0.0, 0.0)
    first = reader.bytes(box.start, 4)
    numbers = struct.unpack(">9iII", reader.bytes(box.start + (52 if first[0] else 40), 44))
    a, b, _, c, d = (number / 65536 for number in numbers[:5])
    return bool(first[3] & _ENABLED), (a, b, c, d), (numbers[9] / 65536, numbers[10] / 65536)


def _pixel(reader: Reader, entry: int) -> float | None:
    """A pixel's width over its height, as the sample entry at this place says in `pasp`."""
    end = entry + int.from_bytes(reader.bytes(entry, 4))
    for box in walk(reader, entry + 86, end):
        if box.name == b"pasp" and box.end - box.start >= 8:
            across, down = struct.unpack(">II", reader.bytes(box.start, 8))
            return across / down if across and down else None
    return None


def _scaled(matrix: tuple[float, ...]) -> float | None:
    """How much more a display matrix stretches one side than the other; None where it does not, by a hundredth."""
    a, b, c, d = matrix
    # as FFmpeg and so browsers have it: lengths of columns
    across, down = hypot(a, c), hypot(b, d)
    return across / down if across and down and abs(across / down - 1) > 0.01 else None


def _told(width: int, height: int, told: tuple[float, float]) -> float:
    """The aspect that `tkhd` implies where it tells another size than the sample entry."""
    across, down = (int(side) for side in told)
    return across * height / (down * width) if across and down and width and height else 1.0


def _frames(reader: Reader, tables: dict[bytes, Part], edits: Sequence[Edit], rate: float) -> int | None:
    """How many frames play; `rate` is ticks of the media in one of the movie."""
    sizes = tables.get(b"stsz")
    count: int = struct.unpack(">I", reader.bytes(sizes.start + 8, 4))[0] if sizes else 0
    times, parts = tables.get(b"stts"), [(start, length * rate) for length, start in edits if start != _NEVER]
    if not count or not parts or times is None:
        return count or None
    runs = int.from_bytes(reader.bytes(times.start + 4, 4))
    if runs > _MOST_RUNS or runs * 8 > times.end - times.start:
        return count
    at = _offset(reader, tables.get(b"ctts"))
    found, table = 0, reader.bytes(times.start + 8, runs * 8)
    for many, step in struct.iter_unpack(">II", table):
        found += sum(_within(at, many, step, start, start + length) for start, length in parts)
        at += many * step
    return min(found, count) if len(parts) == 1 else found


def _offset(reader: Reader, table: Part | None) -> int:
    """How much later than it is stored the first frame is shown, as `ctts` says."""
    if table is None or reader.bytes(table.start + 4, 4) == bytes(4):
        return 0
    return int.from_bytes(reader.bytes(table.start + 12, 4), signed=True)


def _within(at: int, many: int, step: int, low: float, high: float) -> int:
    """How many of `many` times, `step` apart from `at` on, lie in [low, high)."""
    if not step:
        return many if low <= at < high else 0
    first, last = max(0, -int((at - low) // step)), min(many, -int((at - high) // step))
    return max(0, last - first)
