"""Parts are counted before any library sees a file: a table of files that are refused, and of good ones that are not."""

import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from formats import complexity
from formats.complexity import Bounds, TooComplex
from tests.hostile.files import behind_jpeg_head, chunk, encoded, gif, picture, png, progressive, segment, tiff
from tests.movies import clip, shades

BOUNDS = Bounds(scans=20, segments=70, parts=200, depth=8)


def box(name, *bodies):
    body = b"".join(bodies)
    return struct.pack(">I4s", 8 + len(body), name) + body


def nested(depth, name=b"meta"):
    inner = b""
    for _ in range(depth):
        inner = box(name, b"\0" * 4 if name == b"meta" else b"", inner)
    return box(b"ftyp", b"heic\0\0\0\0mif1") + inner


def counted(name, count, version=2):
    """A HEIC whose box of that name announces so many items, in as many bytes."""
    head = bytes([version, 0, 0, 0]) + (b"\x44\0" if name == b"iloc" else b"")
    return nested(0) + box(b"meta", b"\0" * 4, box(name, head, struct.pack(">I", count), b"\0" * count))


def webp(chunks):
    body = b"WEBP" + encoded("WEBP")[12:] + b"JUNK\0\0\0\0" * chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif_of_crumbs(blocks):
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02" + b"\x01\x44" * blocks + b"\0"
    return gif(0)[:-1] + frame + b";"


def strips(count, kind=4):
    """A TIFF with so many strips."""
    rows = ((256, 3, 1, 1), (257, 4, 1, count), (273, kind, count, 200), (278, 4, 1, 1), (279, kind, count, 200))
    return tiff(*rows) + b"\0" * 4 * count


def directories(count):
    """A TIFF of so many empty pages, each of which names the next."""
    pages = b"".join(struct.pack("<HI", 0, 8 + 6 * (page + 1)) for page in range(count))
    return b"II*\0" + struct.pack("<I", 8) + pages + struct.pack("<HI", 0, 0)


REFUSED = {
    "a progressive JPEG of too many scans": (progressive(30), "20 scans"),
    "a JPEG of too many comments": (behind_jpeg_head(*[segment(0xFE, b"a")] * 80), "70 segments"),
    "a JPEG of too many empty segments": (behind_jpeg_head(*[segment(0xE5, b"")] * 80), "70 segments"),
    "a JPEG of too many Exif segments": (behind_jpeg_head(*[segment(0xE1, b"Exif\0\0")] * 2), "1 Exif segments"),
    "a JPEG of tables between its scans": (behind_jpeg_head(*[segment(0xC4, b"\0" * 17)] * 80), "70 segments"),
    "segments behind filling bytes": (behind_jpeg_head(*[b"\xff\xff\xff" + segment(0xFE, b"")] * 80), "70 segments"),
    "a segment that is shorter than its length": (behind_jpeg_head(*[b"\xff\xe5\0\0"] * 80), "70 segments"),
    "a PNG of too many empty chunks": (png(1, 1, *[chunk(b"IDAT", b"")] * 300), "200 chunks"),
    "a PNG of too many texts": (png(1, 1, *[chunk(b"tEXt", b"a\0b")] * 300), "200 chunks"),
    "a WebP of too many chunks": (webp(300), "200 chunks"),
    "a GIF in crumbs": (gif_of_crumbs(300), "200 blocks"),
    "a GIF of too many frames": (gif(300), "200 blocks"),
    "a GIF of too many comments": (gif(0)[:-1] + b"!\xfe\x01a\0" * 300 + b";", "200 blocks"),
    "a TIFF of too many strips": (strips(300), "200 directories"),
    "a TIFF of too many short strips": (strips(300, kind=3), "200 directories"),
    "a TIFF of too many pages": (directories(300), "200 directories"),
    "a TIFF with a curve of too many values": (tiff((301, 3, 3000, 8)) + b"\0" * 6000, "200 directories"),
    "a HEIC of too many boxes": (nested(0) + box(b"free") * 300, "200 boxes"),
    "a HEIC of boxes that lie too deep": (nested(20), "8 deep"),
    "an MP4 of tracks in tracks": (nested(20, b"trak"), "8 deep"),
    "a HEIC of too many items": (counted(b"iinf", 300), "200 boxes and items"),
    "a HEIC of too many places": (counted(b"iloc", 300), "200 boxes and items"),
    "a HEIC of too many properties": (counted(b"ipma", 300), "200 boxes and items"),
    "a grid of too many cells": (
        nested(0) + box(b"meta", b"\0" * 4, box(b"iref", b"\0" * 4, *[box(b"dimg", b"\0" * 6)] * 300)), "200 boxes",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "said"), REFUSED.values(), ids=REFUSED)
def test_a_file_of_too_many_parts_is_refused(body, said):
    with pytest.raises(TooComplex, match=said):
        complexity.check(body, BOUNDS)
    with pytest.raises(TooComplex, match=said):
        complexity.check_file(io.BytesIO(body), BOUNDS)
    generous = Bounds(10**6, 10**6, 10**6, 10**6)
    complexity.check(body, generous)


def animation(form, **options):
    frames = [picture().point(lambda value, by=by: value // (by + 1)) for by in range(12)]
    return encoded(form, frames[0], save_all=True, append_images=frames[1:], duration=50, **options)


def gifted():
    """A GIF with full blocks: noise of a size that fills many of them."""
    noise = np.random.default_rng(0).integers(0, 255, (600, 600), np.uint8)
    return encoded("GIF", Image.fromarray(noise))


GOOD = {
    "a JPEG": encoded("JPEG"),
    "a progressive JPEG": encoded("JPEG", progressive=True),
    "a JPEG with restarts": encoded("JPEG", restart_marker_blocks=1),
    "a JPEG with a large profile": encoded("JPEG", icc_profile=b"\0" * 1_000_000),
    "a JPEG that another follows": encoded("JPEG") + progressive(500),
    "a JPEG in a comment of one": behind_jpeg_head(segment(0xFE, progressive(20)[:60_000])),
    "a PNG": encoded("PNG"),
    "an APNG": animation("PNG"),
    "a WebP": encoded("WEBP"),
    "an animated WebP": animation("WEBP"),
    "a GIF": encoded("GIF"),
    "an animated GIF": animation("GIF"),
    "a GIF of many full blocks": gifted(),
    "a TIFF": encoded("TIFF"),
    "a TIFF of pages": animation("TIFF"),
    "a deflated TIFF": encoded("TIFF", compression="tiff_adobe_deflate"),
    "a BigTIFF": encoded("TIFF", big_tiff=True),
    "a BMP": encoded("BMP"),
    "an AVIF": encoded("AVIF"),
    "a HEIC": encoded("HEIF"),
    "a video": clip(shades(20)),
    "nothing": b"",
    "text": b"no picture at all" * 100,
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_a_good_file_passes_the_bounds_that_hold(body):
    complexity.check(body, Bounds())
    complexity.check_file(io.BytesIO(body), Bounds())


@pytest.mark.parametrize("body", [case for case, _ in REFUSED.values()] + list(GOOD.values()))
def test_wherever_a_file_is_torn_counting_it_ends_without_a_fault(body):
    for cut in np.linspace(0, len(body), 23).astype(int).tolist():
        try:
            complexity.check(body[:cut], BOUNDS)
        except TooComplex:
            continue


def test_a_large_file_is_counted_where_it_lies(tmp_path):
    path = tmp_path / "large.jpg"
    path.write_bytes(progressive(30) + b"\0" * (1 << 25))
    with path.open("rb") as file, pytest.raises(TooComplex, match="20 scans"):
        complexity.check_file(file, BOUNDS)


def test_a_chain_of_pages_that_comes_back_to_itself_ends():
    complexity.check(tiff((256, 3, 1, 1), following=8), BOUNDS)


def test_bytes_that_look_like_markers_without_end_are_read_once():
    """Filling bytes before no marker: looked at from each of them to the last, a megabyte would take an hour."""
    complexity.check(b"\xff\xd8\xff" + b"\xff" * 2_000_000 + b"\0", BOUNDS)


def test_a_real_heic_of_many_pictures_passes():
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    picture().save(file, "HEIF", save_all=True, append_images=[picture()] * 6)
    complexity.check(file.getvalue(), Bounds())
