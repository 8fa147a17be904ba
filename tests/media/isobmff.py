"""ISO base media files taken apart and put together: MP4 tracks altered box by box, HEIC and AVIF built from nothing."""

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import av
import numpy as np

from tests.media.cards import card, encoded
from tests.movies import clip

Body = bytes
HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta"}
ENTRY = 78  # bytes of a visual sample entry before its boxes


@dataclass(slots=True)
class Box:
    """A box: of a holder its boxes, of anything else its bytes."""

    name: bytes
    body: bytes = b""
    boxes: list["Box"] = field(default_factory=list)

    def __bytes__(self) -> bytes:
        body = self.body + b"".join(bytes(inner) for inner in self.boxes)
        return struct.pack(">I", 8 + len(body)) + self.name + body

    def all(self, name: bytes) -> list["Box"]:
        return [inner for inner in self.boxes if inner.name == name]

    def at(self, *names: bytes) -> "Box":
        found = self
        for name in names:
            found = found.all(name)[0]
        return found


def box(name: bytes, *parts: bytes) -> bytes:
    """The bytes of a box."""
    return bytes(Box(name, b"".join(parts)))


def full(name: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """The bytes of a box with version and flags."""
    return box(name, struct.pack(">I", version << 24 | flags), *parts)


def parsed(content: bytes) -> list[Box]:
    """The boxes of a file or of a holder's body."""
    found, at = [], 0
    while at + 8 <= len(content):
        size, name = struct.unpack(">I4s", content[at : at + 8])
        body = content[at + 8 : at + size]
        found.append(Box(name, b"", parsed(body)) if name in HOLDERS else Box(name, body))
        at += size
    return found


def altered(content: bytes, change: Callable[[Box], None]) -> bytes:
    """The file with its `moov`, which must stand behind the pictures, changed."""
    boxes = parsed(content)
    for found in boxes:
        if found.name == b"moov":
            change(found)
    assert [each.name for each in boxes].index(b"mdat") < [each.name for each in boxes].index(b"moov")
    return b"".join(bytes(each) for each in boxes)


def videos(moov: Box) -> list[Box]:
    """Its tracks of pictures."""
    return [trak for trak in moov.all(b"trak") if trak.at(b"mdia", b"hdlr").body[8:12] == b"vide"]


def flags(trak: Box, value: int) -> None:
    """Sets the flags of a track: 1 enabled, 2 in the movie, 4 in the preview."""
    header = trak.at(b"tkhd")
    header.body = header.body[:1] + value.to_bytes(3) + header.body[4:]


def group(trak: Box, number: int) -> None:
    """Puts a track into an alternate group."""
    header = trak.at(b"tkhd")
    header.body = header.body[:34] + struct.pack(">h", number) + header.body[36:]


def matrix(trak: Box, a: float, b: float, c: float, d: float, x: float = 0, y: float = 0) -> None:
    """Sets the display matrix: a point (p, q) is shown at (a p + c q + x, b p + d q + y)."""
    header = trak.at(b"tkhd")
    fixed = [round(value * 65536) for value in (a, b, 0, c, d, 0, x, y)]
    header.body = header.body[:40] + struct.pack(">8i", *fixed) + struct.pack(">i", 1 << 30) + header.body[76:]


def edits(trak: Box, *rows: tuple[int, int]) -> None:
    """Gives a track an edit list of (duration in the movie's time scale, time in the media's, or -1 for nothing)."""
    trak.boxes = [each for each in trak.boxes if each.name != b"edts"]
    table = b"".join(struct.pack(">IiHH", length, start, 1, 0) for length, start in rows)
    edit = Box(b"edts", b"", [Box(b"elst", struct.pack(">II", 0, len(rows)) + table)])
    trak.boxes.insert(1, edit)
    header = trak.at(b"tkhd")
    header.body = header.body[:20] + struct.pack(">I", sum(length for length, _ in rows)) + header.body[24:]


def described(trak: Box, *boxes: bytes, without: Sequence[bytes] = (b"pasp", b"clap")) -> None:
    """Gives the track's sample entry these boxes (`pasp`, `clap`) in place of its own."""
    table = trak.at(b"mdia", b"minf", b"stbl", b"stsd")
    entry = parsed(table.body[8:])[0]
    own = [inner for inner in parsed(entry.body[ENTRY:]) if inner.name not in without]
    entry.body = entry.body[:ENTRY] + b"".join(bytes(inner) for inner in own) + b"".join(boxes)
    table.body = table.body[:8] + bytes(entry)


def pasp(across: int, down: int) -> bytes:
    """A pixel's aspect ratio."""
    return box(b"pasp", struct.pack(">II", across, down))


def clap(width: int, height: int, right: int = 0, down: int = 0) -> bytes:
    """A clean aperture of a size, its centre moved by so many pixels from the picture's."""
    return box(b"clap", struct.pack(">8I", width, 1, height, 1, right & 0xFFFFFFFF, 1, down & 0xFFFFFFFF, 1))


def duration(moov: Box, length: int) -> None:
    """Sets the movie's own length, in its time scale."""
    header = moov.at(b"mvhd")
    header.body = header.body[:16] + struct.pack(">I", length) + header.body[20:]


def still_clip(size: tuple[int, int] = (64, 48), colours: str = "RGBY", count: int = 10, **options: object) -> bytes:
    """An MP4 whose frames all show the card."""
    return clip([card(size, colours)] * count, **options)  # type: ignore[arg-type]


def told(trak: Box, width: int, height: int) -> None:
    """Sets the size that the track's header tells."""
    header = trak.at(b"tkhd")
    header.body = header.body[:76] + struct.pack(">II", width << 16, height << 16)


def two_tracks(first: Sequence[np.ndarray], second: Sequence[np.ndarray], form: str = "mp4",
               codec: str = "libx264") -> bytes:  # fmt: skip
    """A file with two tracks of pictures, ten frames a second."""
    return many_tracks([first, second], form, codec)


def many_tracks(
    films: Sequence[Sequence[np.ndarray]], form: str = "mp4", codec: str = "libx264", first: str = ""
) -> bytes:
    """A file with several tracks of pictures, ten frames a second, the first of which may have a coding of its own. All
    are switched on, where MP4 would have the first alone.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        streams = []
        for frames in films:
            stream = container.add_stream(codec if streams or not first else first, rate=10)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuvj420p" if stream.codec_context.name == "mjpeg" else "yuv420p"
            streams.append(stream)
        for stream, frames in zip(streams, films, strict=True):
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    body = file.getvalue()
    return body if form == "webm" else altered(body, lambda moov: [flags(trak, 3) for trak in videos(moov)] and None)


def webm_shown(content: bytes, width: int, height: int) -> bytes:
    """A WebM of FFmpeg's whose picture is shown at another size. Its tags make room, so that nothing behind moves."""
    more = b"\x54\xb0\x82" + struct.pack(">H", width) + b"\x54\xba\x82" + struct.pack(">H", height)
    tracks, tags = (content.rindex(name) for name in (b"\x16\x54\xae\x6b", b"\x12\x54\xc3\x67"))
    entry = content.index(b"\xae\x01", tracks + 5)
    video = content.index(b"\xe0\x86\xb0", entry)
    body = bytearray(content)
    for size in (tracks + 4, entry + 8, video + 1):
        body[size] += len(more)
    end = tags + 5 + (body[tags + 4] & 0x7F)
    filling = end - tags - len(more) - 2
    void = b"\xec" + bytes([0x80 | filling]) + bytes(filling)
    return bytes(body[: video + 8] + more + body[video + 8 : tags] + void + body[end:])


@dataclass(frozen=True, slots=True)
class Item:
    """A picture in a HEIF file: its coded bytes, its kind, and its properties, the first of which are essential."""

    coded: bytes
    kind: bytes
    properties: tuple[bytes, ...]


def item(colours: str = "RGBY", size: tuple[int, int] = (64, 48), form: str = "AVIF", *more: bytes) -> Item:
    """A coded card, taken out of the file that the encoder makes, with more properties behind its own."""
    whole = encoded(card(size, colours), form, quality=90)
    boxes = parsed(whole)
    meta = next(each for each in boxes if each.name == b"meta")
    inner = {each.name: each for each in parsed(meta.body[4:])}
    held = next(each for each in parsed(inner[b"iprp"].body) if each.name == b"ipco")
    kept = [bytes(each) for each in parsed(held.body) if each.name in {b"ispe", b"av1C", b"hvcC", b"colr", b"pixi"}]
    offset, length = _extent(inner[b"iloc"].body)
    kind = b"av01" if form == "AVIF" else b"hvc1"
    return Item(whole[offset : offset + length], kind, (*kept, *more))


def _extent(iloc: bytes) -> tuple[int, int]:
    """Offset and length of the first item's only extent, as encoders of one picture write them."""
    version = iloc[0]
    sizes = iloc[4], iloc[5]
    offset_size, length_size, base_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_size = sizes[1] & 15 if version else 0
    at = 6 + (4 if version == 2 else 2)
    at += 4 if version == 2 else 2  # item's number
    at += 2 if version else 0  # construction method
    at += 2  # data reference
    base = int.from_bytes(iloc[at : at + base_size])
    at += base_size + 2 + index_size
    offset = int.from_bytes(iloc[at : at + offset_size])
    at += offset_size
    return base + offset, int.from_bytes(iloc[at : at + length_size])


def heif(*items: Item, primary: int = 1, brand: bytes = b"avif", compatible: Sequence[bytes] = (b"mif1", b"avif", b"miaf"),
         behind: bytes = b"") -> bytes:  # fmt: skip
    """A HEIF file of these pictures, numbered from 1, the `primary` of which is to be shown."""
    head = box(b"ftyp", brand, bytes(4), *compatible)
    first = _meta(items, primary, 0)
    start = len(head) + len(first) + 8
    return head + _meta(items, primary, start) + box(b"mdat", *(each.coded for each in items)) + behind


def _meta(items: Sequence[Item], primary: int, start: int) -> bytes:
    infos, places, held, tied = [], [], [], []
    for number, each in enumerate(items, 1):
        infos.append(full(b"infe", struct.pack(">HH", number, 0), each.kind, b"\0", version=2))
        places.append(struct.pack(">HHHII", number, 0, 1, start, len(each.coded)))
        start += len(each.coded)
        first = len(held) + 1
        held += each.properties
        rows = [index | (0x80 if held[index - 1][4:8] in {b"av1C", b"hvcC", b"irot", b"imir", b"clap"} else 0)
                for index in range(first, len(held) + 1)]  # fmt: skip
        tied.append(struct.pack(">HB", number, len(rows)) + bytes(rows))
    return full(
        b"meta",
        full(b"hdlr", bytes(4), b"pict", bytes(13)),
        full(b"pitm", struct.pack(">H", primary)),
        full(b"iloc", b"\x44\x00", struct.pack(">H", len(items)), *places),
        full(b"iinf", struct.pack(">H", len(items)), *infos),
        box(b"iprp", box(b"ipco", *held), full(b"ipma", struct.pack(">I", len(items)), *tied)),
    )


def irot(quarters: int) -> bytes:
    """A turn by so many quarters against the clock."""
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    """A mirror image: 0 top and bottom changed (about a horizontal axis), 1 left and right."""
    return box(b"imir", bytes([axis]))
