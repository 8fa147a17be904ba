"""How many parts a file has: scans, segments, chunks, strips, boxes. Counted before any library sees it.

A decoder does some work for every part, whatever its size, and some do work that grows with the square. So a file of a
few megabytes can cost minutes: a progressive JPEG of 20,000 scans, a PNG of a million empty chunks. Counting stops at
the bound, and takes no more than a few milliseconds a megabyte. What is torn or of no known format is not refused here.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import UnsupportedOperation
from typing import BinaryIO

Buffer = bytes | mmap.mmap

_SMALL = 1 << 24  # bytes that are read at once: a spooled file that is mapped would have to go to disk first


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many parts a file may have.

    `scans` and `segments` are those of a JPEG (the pictures behind its end are not looked at); one segment in 64 may
    be Exif, which Pillow puts together in quadratic time. `parts` are chunks of a PNG or WebP; strips, tiles or values
    of a field of a TIFF; short blocks of a GIF; boxes of a HEIC, AVIF, MP4 or MOV, and items of the first two. `depth`
    is how deep boxes may lie in each other.
    """

    scans: int = 64
    segments: int = 5_000
    parts: int = 100_000
    depth: int = 32


class TooComplex(Exception):
    """The file has more parts than are worth decoding."""


class _Count:
    """Counts parts of one kind, up to a bound."""

    def __init__(self, most: int, what: str) -> None:
        self._left, self._most, self._what = most, most, what

    def __call__(self, more: int = 1) -> None:
        self._left -= more
        if self._left < 0:
            raise TooComplex(f"the file has more than {self._most} {self._what}")


def check(content: Buffer, bounds: Bounds) -> None:
    """Counts the parts of a file.

    Raises:
        TooComplex: above one of the bounds.
    """
    head = content[:12]
    for reader, begins in _READERS:
        if begins(head):
            try:
                reader(content, bounds)
            except (struct.error, IndexError):  # it ends before its parts do; the decoder says so better
                return


def check_file(file: BinaryIO, bounds: Bounds) -> None:
    """As `check`, of a seekable file, which is not read into memory where it lies on disk."""
    with _mapped(file) as content:
        check(content, bounds)


@contextmanager
def _mapped(file: BinaryIO) -> Iterator[Buffer]:
    small = file.seek(0, 2) <= _SMALL
    file.seek(0)
    try:
        mapped = None if small else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except UnsupportedOperation:  # it lies in memory
        mapped = None
    if mapped is None:
        yield file.read()
        return
    with mapped:
        yield mapped


_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)  # none of those inside coded data


def _jpeg(content: Buffer, bounds: Bounds) -> None:
    scan, segment = _Count(bounds.scans, "scans"), _Count(bounds.segments, "segments")
    exif = _Count(bounds.segments // 64, "Exif segments")
    at = 2
    while found := _MARKER.search(content, at):
        marker, at = found[1][0], found.end()
        if marker == 0xD9:  # the end; what follows is another picture
            return
        if marker == 0xD8:
            continue
        (size,) = struct.unpack(">H", content[at : at + 2])
        if marker == 0xDA:
            scan()
        else:
            segment()
        if marker == 0xE1 and content[at + 2 : at + 6] == b"Exif":
            exif()
        at += size


def _png(content: Buffer, bounds: Bounds) -> None:
    chunk, at = _Count(bounds.parts, "chunks"), 8
    while at + 8 <= len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        if kind == b"IEND":
            return
        chunk()
        at += 12 + size


def _webp(content: Buffer, bounds: Bounds) -> None:
    chunk, at = _Count(bounds.parts, "chunks"), 12
    while at + 8 <= len(content):
        (size,) = struct.unpack("<I", content[at + 4 : at + 8])
        chunk()
        at += 8 + size + size % 2


def _gif(content: Buffer, bounds: Bounds) -> None:
    """Blocks of less than 255 bytes: an encoder writes one at the end of each frame, and full ones before it."""
    short = _Count(bounds.parts, "blocks")
    at = 13 + _palette(content[10])
    while (kind := content[at]) != 0x3B:
        if kind == 0x2C:
            at += 10 + _palette(content[at + 9]) + 1
        elif kind == 0x21:
            at += 2
        else:
            return
        while length := content[at]:
            if length < 255:
                short()
            at += 1 + length
        short()
        at += 1


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


_BYTES = {1, 2, 6, 7}  # field types that a parser takes as one string, however many there are


def _tiff(content: Buffer, bounds: Bounds) -> None:
    """Directories, their fields, and values of a field: the strips and tiles of a picture are values of one."""
    order = "<" if content[:2] == b"II" else ">"
    wide = content[2:4] in (b"+\0", b"\0+")
    number, entry, pointer = (
        struct.Struct(order + form) for form in (("Q", "HHQQ", "Q") if wide else ("H", "HHII", "I"))
    )
    part, at = _Count(bounds.parts, "directories, fields and values"), 8 if wide else 4
    seen: set[int] = set()
    while (at := _at(pointer, content, at)[0]) and at not in seen:
        seen.add(at)
        (fields,) = _at(number, content, at)
        part(1 + fields)
        at += number.size
        for _ in range(fields):
            _, kind, values, _ = _at(entry, content, at)
            if kind not in _BYTES:
                part(min(values, len(content)))
            at += entry.size


def _at(form: struct.Struct, content: Buffer, at: int) -> tuple[int, ...]:
    return form.unpack(content[at : at + form.size])


_CONTAINERS = {
    b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"udta", b"mvex", b"moof", b"traf", b"mfra", b"skip",
    b"meta", b"iprp", b"ipco", b"iref", b"grpl", b"dpnd", b"strk", b"strd", b"sinf", b"schi", b"tref", b"gmhd", b"ilst",
}  # fmt: skip
_COUNTED = {b"iinf", b"iloc", b"ipma"}  # of which each names a number of entries


def _boxes(content: Buffer, bounds: Bounds) -> None:
    """Boxes in boxes; those that name a number of items count for as many."""
    box = _Count(bounds.parts, "boxes and items")
    stack = [(0, len(content))]  # ends of the boxes that enclose what is read, without recursion
    while stack:
        at, end = stack.pop()
        while at + 8 <= end:
            box()
            size, name = struct.unpack(">I4s", content[at : at + 8])
            body = at + 8
            if size == 1:
                (size,) = struct.unpack(">Q", content[body : body + 8])
                body += 8
            until = end if size == 0 else min(end, at + size)
            if until < body:
                return
            if name in _COUNTED:
                box(_entries(content, name, body))
            if name in _CONTAINERS:
                if len(stack) >= bounds.depth:
                    raise TooComplex(f"boxes lie more than {bounds.depth} deep in each other")
                stack.append((until, end))  # where to go on after what is inside
                at, end = body + (4 if name in {b"meta", b"iref"} else 0), until
                continue
            at = until


def _entries(content: Buffer, name: bytes, body: int) -> int:
    """How many entries an `iinf`, `iloc` or `ipma` announces, no more than it has bytes for."""
    version = content[body]
    at = body + 4 + (2 if name == b"iloc" else 0)
    wide = {b"iinf": version > 0, b"iloc": version > 1, b"ipma": True}[name]
    (count,) = struct.unpack(">I" if wide else ">H", content[at : at + (4 if wide else 2)])
    return min(int(count), len(content))


_READERS: tuple[tuple[Callable[[Buffer, Bounds], None], Callable[[bytes], bool]], ...] = (
    (_jpeg, lambda head: head.startswith(b"\xff\xd8\xff")),
    (_png, lambda head: head.startswith(b"\x89PNG")),
    (_gif, lambda head: head.startswith(b"GIF8")),
    (_webp, lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP"),
    (_tiff, lambda head: head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (_boxes, lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
)
