"""Files that are small and take long, or much memory, within every bound on their parts: made by code."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
from PIL import Image

from tests.hostile.files import chunk, png, tiff
from tests.movies import clip

pillow_heif.register_heif_opener()


def jpeg_of_scans(scans):
    """A progressive JPEG of 9 megapixels, a few kilobytes for a thousand scans."""
    file = io.BytesIO()
    Image.new("L", (3000, 3000)).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + whole[-2:]


def animated(form, frames, size, **options):
    pictures = [Image.new("L", (size, size), shade % 256) for shade in range(frames)]
    file = io.BytesIO()
    pictures[0].save(file, form, save_all=True, append_images=pictures[1:], duration=20, **options)
    return file.getvalue()


def gif_on_a_large_canvas(frames, side):
    """Frames of one pixel on a large canvas that is cleared after each of them."""
    control = b"!\xf9\x04\x08\x02\0\0\0"
    frame = control + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + frames * frame + b";"


def apng_on_a_large_canvas(frames, side):
    """Frames of one pixel on a large canvas, each of which is blended."""
    one = zlib.compress(b"\0\0")
    parts = [chunk(b"acTL", struct.pack(">II", frames, 0))]
    parts.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 1, 50, 1, 1)))
    parts.append(chunk(b"IDAT", zlib.compress(b"\0" * (side * (side + 1)))))
    for number in range(frames - 1):
        parts.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * number + 1, 1, 1, 0, 0, 1, 50, 1, 1)))
        parts.append(chunk(b"fdAT", struct.pack(">I", 2 * number + 2) + one))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(parts) + chunk(b"IEND", b"")


def tiff_of_strips(rows, width=16):
    """One strip a row, all of them the same bytes."""
    head = 8 + 2 + 9 * 12 + 4
    offsets, counts = head, head + 4 * rows
    fields = (
        (256, 4, 1, width), (257, 4, 1, rows), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, rows, offsets),
        (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, rows, counts),
    )  # fmt: skip
    data = counts + 4 * rows
    return tiff(*fields) + struct.pack("<I", data) * rows + struct.pack("<I", width) * rows + b"\x7f" * width


def png_of_crumbs(chunks):
    """Pixels in chunks of a byte."""
    noise = np.random.default_rng(0).integers(0, 255, (256, 1 + 3 * 256), np.uint8)
    noise[:, 0] = 0  # no filter
    packed = zlib.compress(noise.tobytes(), 0)
    crumbs = [chunk(b"IDAT", packed[at : at + 2]) for at in range(0, 2 * chunks, 2)]
    return png(256, 256, *crumbs, chunk(b"IDAT", packed[2 * chunks :]))


def deep(side):
    """Sixteen bits a pixel, which are scaled in doubles."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((side, side), np.uint16)).save(file, "PNG")
    return file.getvalue()


def profiled():
    """A colour profile of curves with many points."""
    file = io.BytesIO()
    tag = b"curv\0\0\0\0" + struct.pack(">I", 400_000) + b"\0\1" * 400_000
    head = struct.pack(">I", 132 + 12 + len(tag)) + b"\0" * 32 + b"acsp" + b"\0" * 88
    profile = head + struct.pack(">I", 1) + b"rTRC" + struct.pack(">II", 144, len(tag)) + tag
    Image.new("RGB", (64, 64)).save(file, "JPEG", icc_profile=profile[:60_000])
    return file.getvalue()


def entities():
    """XMP whose entities grow."""
    names = "".join(f'<!ENTITY e{n} "&e{n - 1};&e{n - 1};&e{n - 1};&e{n - 1};">' for n in range(1, 40))
    xmp = f'<!DOCTYPE x [<!ENTITY e0 "boom">{names}]><x:xmpmeta xmlns:x="adobe:ns:meta/">&e39;</x:xmpmeta>'
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "WEBP", xmp=xmp.encode())
    return file.getvalue()


def film_of_8k():
    return clip([np.full((4320, 7680, 3), 90, np.uint8)])


COSTLY = {
    "a progressive JPEG of 20,000 scans": lambda: jpeg_of_scans(20_000),
    "an animated GIF on a large canvas": lambda: gif_on_a_large_canvas(40, 1_500),
    "a GIF of two thousand frames": lambda: gif_on_a_large_canvas(1_000, 200),
    "an APNG on a large canvas": lambda: apng_on_a_large_canvas(40, 1_500),
    "an APNG of two thousand frames": lambda: apng_on_a_large_canvas(1_000, 200),
    "a WebP of many frames": lambda: animated("WEBP", 100, 100),
    "a TIFF of 45,000 strips": lambda: tiff_of_strips(45_000),
    "a PNG of 90,000 chunks": lambda: png_of_crumbs(90_000),
    "a PNG of deep greys": lambda: deep(3_000),
    "a HEIC of 4 megapixels": lambda: _saved("HEIF", 2_000),
    "an AVIF of 4 megapixels": lambda: _saved("AVIF", 2_000, speed=10),
    "a profile of long curves": profiled,
    "XMP whose entities grow": entities,
    "a film of 8K": film_of_8k,
}  # fmt: skip


def _saved(form, side, **options):
    file = io.BytesIO()
    Image.new("RGB", (side, side), "grey").save(file, form, **options)
    return file.getvalue()
