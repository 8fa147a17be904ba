"""TIFF, directory by directory: which of its pictures is the one that viewers show.

That is the first page, except in cameras' files (DNG and other raw formats), whose first picture is a thumbnail: of
them it is the largest preview, as long as it is large enough to judge; else the file is refused. A TIFF whose first
picture says that it is a smaller copy is known by the full one.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from formats import orientation

_MOST: Final = 64  # directories
_MOST_ROWS: Final = 4_096  # entries of a directory
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4}
_LETTERS: Final = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}
_SUBFILE, _WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 259, 262
_OFFSETS, _LENGTHS, _INNER, _JPEG_AT, _JPEG_LENGTH, _DNG = 273, 279, 330, 513, 514, 50706
_SENSOR: Final = {32803, 34892}  # photometric: what a sensor saw, before it is developed
_DECODED: Final = {1, 5, 8, 32773, 32946}  # compressions that Pillow reads; JPEG in several strips is one, too
_ENOUGH: Final = 1_024  # pixels of a preview's long side that will do, or half of the full picture's


class NoPreview(Exception):
    """A camera's raw file without a preview that is large enough to judge."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Where the picture lies that is to be judged: a JPEG of `length` bytes at `start`, or, where `length` is 0, a
    directory at `start`. Its size as stored, and its orientation.
    """

    start: int
    length: int
    width: int
    height: int
    turned: int


@dataclass(frozen=True, slots=True)
class _Directory:
    at: int
    values: dict[int, tuple[int, ...]]

    def one(self, tag: int, other: int = 0) -> int:
        return self.values.get(tag, (other,))[0]

    @property
    def size(self) -> tuple[int, int]:
        return self.one(_WIDTH), self.one(_HEIGHT)

    @property
    def area(self) -> int:
        return self.one(_WIDTH) * self.one(_HEIGHT)


def hidden(file: BinaryIO) -> Picture | None:
    """The picture that is shown in place of the first one; None where that is the first one. Raises NoPreview."""
    file.seek(0)
    head = file.read(16)
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return None
    directories = list(_directories(file, "<" if head[:2] == b"II" else ">"))
    if not directories:
        return None
    first = directories[0]
    turned = first.one(orientation.EXIF_TAG, orientation.PLAIN)
    raw = _DNG in first.values or head[8:10] == b"CR" or any(d.one(_PHOTOMETRIC) in _SENSOR for d in directories)
    developed = [each for each in directories if each.one(_PHOTOMETRIC) not in _SENSOR]
    if raw:
        return _preview(file, directories, developed, turned)
    if first.one(_SUBFILE) & 1:
        full = max(
            (each for each in developed if not each.one(_SUBFILE) & 5), key=lambda each: each.area, default=first
        )
        if full.area > first.area:
            return Picture(full.at, 0, *full.size, full.one(orientation.EXIF_TAG, turned))
    return None


def _preview(file: BinaryIO, everything: list[_Directory], developed: list[_Directory], turned: int) -> Picture | None:
    found = [picture for each in everything for picture in _coded(file, each, turned)]
    found += [Picture(each.at, 0, *each.size, turned) for each in developed if each.area and _is_decoded(each)]
    largest = max(found, key=lambda each: each.width * each.height, default=None)
    longest = max(max(each.size) for each in everything)
    if largest is None or max(largest.width, largest.height) < min(_ENOUGH, max(1, longest // 2)):
        raise NoPreview("a camera's raw file is not developed here, and its previews are too small to judge")
    return largest


def _is_decoded(directory: _Directory) -> bool:
    compression = directory.one(_COMPRESSION)
    return compression in _DECODED or (compression == 7 and len(directory.values.get(_OFFSETS, (0,))) > 1)


def _coded(file: BinaryIO, directory: _Directory, turned: int) -> Iterator[Picture]:
    """The JPEGs that a directory leads to, except what is coded as a sensor saw it."""
    places = [(directory.one(_JPEG_AT), directory.one(_JPEG_LENGTH))]
    if directory.one(_COMPRESSION) in (6, 7) and len(directory.values.get(_OFFSETS, ())) == 1:
        places.append((directory.one(_OFFSETS), directory.one(_LENGTHS)))
    for start, length in places:
        size = _jpeg_size(file, start, length) if start and length else None
        if size:
            yield Picture(start, length, *size, turned)


def _jpeg_size(file: BinaryIO, start: int, length: int) -> tuple[int, int] | None:
    """Width and height of an ordinary JPEG, eight bits deep; None for anything else (sensors are coded losslessly)."""
    file.seek(start)
    if file.read(2) != b"\xff\xd8":
        return None
    at = start + 2
    for _ in range(200):
        file.seek(at)
        head = file.read(9)
        if len(head) < 9 or head[0] != 0xFF or at >= start + length:
            return None
        if head[1] in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack(">HH", head[5:9])
            return (width, height) if head[4] == 8 and width and height else None
        if head[1] in (0xC3, 0xDA, 0xD9):
            return None
        at += 2 + int.from_bytes(head[2:4])
    return None


def _directories(file: BinaryIO, order: str) -> Iterator[_Directory]:
    file.seek(4)
    waiting, seen = [int.from_bytes(file.read(4), "little" if order == "<" else "big")], set[int]()
    while waiting and len(seen) < _MOST:
        at = waiting.pop(0)
        if at < 8 or at in seen:
            continue
        seen.add(at)
        found, following = _directory(file, order, at)
        if found is not None:
            yield found
            waiting += [following, *found.values.get(_INNER, ())[:_MOST]]


def _directory(file: BinaryIO, order: str, at: int) -> tuple[_Directory | None, int]:
    file.seek(at)
    head = file.read(2)
    if len(head) < 2:
        return None, 0
    (count,) = struct.unpack(f"{order}H", head)
    table = file.read(12 * min(count, _MOST_ROWS))
    after = file.read(4)
    values = {}
    for tag, kind, many, held in struct.iter_unpack(f"{order}HHI4s", table[: len(table) // 12 * 12]):
        size = _SIZES.get(kind, 0) * many
        if kind not in _LETTERS or not 0 < size <= 4 * _MOST:
            continue
        if size > 4:
            file.seek(struct.unpack(f"{order}I", held)[0])
        body = file.read(size) if size > 4 else held
        if len(body) >= size:
            values[tag] = struct.unpack(f"{order}{many}{_LETTERS[kind]}", body[:size])
    return _Directory(at, values), struct.unpack(f"{order}I", after)[0] if len(after) == 4 else 0
