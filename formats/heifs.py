"""HEIC and AVIF: how the picture that is shown is cut out of the one that is coded (`clap`), read from `meta`.

Pillow's AVIF reader turns and mirrors as the file says, and does not cut. libheif does all three for HEIC.
"""

import struct
from typing import BinaryIO, Final, NamedTuple

from formats.containers.boxes import walk
from formats.containers.parts import Part, Reader, Torn

_LARGEST: Final = 1 << 16  # bytes of a table


class Crop(NamedTuple):
    """The part that is shown, in pixels of the picture as stored, before it is turned."""

    left: int
    top: int
    width: int
    height: int


def crop(file: BinaryIO) -> Crop | None:
    """How the primary picture is cut; None where it is shown whole, or where what the file says makes no sense."""
    try:
        return _crop(Reader(file))
    except (Torn, struct.error, LookupError, ZeroDivisionError):
        return None


def _crop(reader: Reader) -> Crop | None:
    meta = next((box for box in walk(reader, 0, reader.size) if box.name == b"meta"), None)
    if meta is None:
        return None
    boxes = {box.name: box for box in walk(reader, meta.start + 4, meta.end)}
    if not {b"pitm", b"iprp"} <= boxes.keys():
        return None
    number = boxes[b"pitm"]
    wide = reader.bytes(number.start, 1) != b"\0"
    primary = int.from_bytes(reader.bytes(number.start + 4, 4 if wide else 2))
    tables = {box.name: box for box in walk(reader, boxes[b"iprp"].start, boxes[b"iprp"].end)}
    properties = list(walk(reader, tables[b"ipco"].start, tables[b"ipco"].end))
    mine = [properties[index - 1] for index in _tied(reader, tables[b"ipma"], primary) if index]
    size = next((box for box in mine if box.name == b"ispe"), None)
    cut = next((box for box in mine if box.name == b"clap"), None)
    return None if size is None or cut is None else _cut(reader, size, cut)


def _tied(reader: Reader, table: Part, primary: int) -> list[int]:
    """The properties of one picture, by their numbers from 1 on."""
    body = reader.bytes(table.start, min(table.end - table.start, _LARGEST))
    version, large = body[0], body[3] & 1
    (count,) = struct.unpack_from(">I", body, 4)
    at = 8
    for _ in range(min(count, _LARGEST)):
        (item,) = struct.unpack_from(">I" if version else ">H", body, at)
        at += 4 if version else 2
        many = body[at]
        at += 1
        rows = struct.unpack_from(f">{many}{'H' if large else 'B'}", body, at)
        at += many * (2 if large else 1)
        if item == primary:
            return [row & (0x7FFF if large else 0x7F) for row in rows]
    return []


def _cut(reader: Reader, size: Part, cut: Part) -> Crop | None:
    width, height = struct.unpack(">II", reader.bytes(size.start + 4, 8))
    numbers = struct.unpack(">IIIIiIiI", reader.bytes(cut.start, 32))
    across, down, right, lower = (numbers[at] / numbers[at + 1] for at in (0, 2, 4, 6))
    left, top = right + (width - across) / 2, lower + (height - down) / 2
    found = Crop(round(left), round(top), round(across), round(down))
    inside = found.left >= 0 and found.top >= 0 and found.width > 0 and found.height > 0
    fits = found.left + found.width <= width and found.top + found.height <= height
    return found if inside and fits and (found.width, found.height) != (width, height) else None
