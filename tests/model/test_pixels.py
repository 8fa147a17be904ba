"""Every way to store a picture gives the pixels that its viewer sees, or a reason why not."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from model import pixels
from model.errors import BadImage, EmptyFile, TooManyPixels, TornFile, UnsupportedMedia

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "TIFF", "BMP"]
ORIENTATION = 0x0112
TURNS = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def only(content, **options):
    (frame,) = pixels.decode(content, **options)
    return frame.pixels


def refusal(content, **options):
    with pytest.raises(BadImage) as refused:
        list(pixels.decode(content, **options))
    return refused.value


@pytest.fixture
def small(portrait):
    return portrait.resize((200, 160))


def header_of_png(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_picture(small, encode, form):
    seen = only(encode(small, form)).astype(int)
    assert seen.shape == (160, 200, 3)
    assert np.abs(seen - np.asarray(small)).mean() < 6  # lossy formats differ, channels or turns would differ more


@pytest.mark.parametrize("orientation", TURNS)
def test_every_exif_orientation_is_undone(small, encode, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](np.asarray(small))))
    assert np.array_equal(only(encode(stored, "PNG", exif=exif)), np.asarray(small))


def test_a_turned_jpeg_gives_the_pixels_of_the_same_jpeg_turned(small, encode):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    assert np.array_equal(only(encode(small, "JPEG", exif=exif)), np.rot90(only(encode(small, "JPEG")), -1))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")  # Pillow says so; it is no error in production
def test_broken_exif_does_not_stop_a_picture(small, encode):
    content = encode(small, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff broken")
    assert np.array_equal(only(content), only(encode(small, "JPEG")))


def test_cmyk_gives_what_its_rgb_copy_gives(small, encode):
    seen = only(encode(small.convert("CMYK"), "JPEG", quality=100, subsampling=0)).astype(int)
    assert np.abs(seen - np.asarray(small)).mean() < 2


def test_transparency_is_laid_over_white(small, encode):
    clear = small.convert("RGBA")
    clear.paste((255, 0, 0, 0), (0, 0, 100, 160))
    seen = only(encode(clear, "PNG"))
    assert (seen[:, :100] == 255).all()
    assert np.array_equal(seen[:, 100:], np.asarray(small)[:, 100:])


def test_half_transparent_grey_is_laid_over_white(encode):
    seen = only(encode(Image.new("LA", (8, 8), (0, 127)), "PNG"))
    assert (seen == 128).all()


def test_a_transparent_palette_colour_is_laid_over_white(small, encode):
    indexed = small.quantize(16)
    corner = indexed.getpixel((0, 0))
    seen = only(encode(indexed, "PNG", transparency=corner))
    assert (seen[np.asarray(indexed) == corner] == 255).all()


def test_a_palette_gives_what_its_rgb_copy_gives(small, encode):
    indexed = small.quantize(64)
    assert np.array_equal(only(encode(indexed, "PNG")), np.asarray(indexed.convert("RGB")))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
def test_grey_gives_three_equal_channels(small, encode, form):
    grey = encode(small.convert("L"), form)
    seen = only(grey)
    assert (seen == seen[..., :1]).all()
    assert np.abs(seen[..., 0].astype(int) - np.asarray(small.convert("L"))).mean() < 4


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_give_what_their_eight_bit_copy_gives(small, encode, form):
    grey = np.asarray(small.convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    assert np.array_equal(only(encode(deep, form))[..., 0], grey)


def test_floating_point_greys_span_black_to_white(small, encode):
    grey = np.asarray(small.convert("L"))
    assert np.array_equal(only(encode(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"))[..., 1], grey)


EVEN = [1, 3, 6, 8, 11, 13, 16, 18]  # shown in the middle of each eighth of the time


@pytest.mark.parametrize(("form", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_an_animation_is_sampled_from_first_to_last(encode, form, options):
    film = [Image.new("RGB", (60, 40), (12 * index,) * 3) for index in range(20)]
    content = encode(film[0], form, save_all=True, append_images=film[1:], **options)
    assert [frame.index for frame in pixels.decode(content)] == list(range(20))
    frames = list(pixels.decode(content, most_frames=8))
    assert [frame.index for frame in frames] == ([0, 3, 5, 8, 11, 14, 16, 19] if form == "TIFF" else EVEN)
    assert [int(frame.pixels[20, 30, 0]) for frame in frames] == [12 * frame.index for frame in frames]


@pytest.mark.parametrize(("form", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_an_animation_is_sampled_by_the_time_that_its_frames_are_shown(encode, form, options):
    film = [Image.new("RGB", (60, 40), (12 * index,) * 3) for index in range(20)]
    long = [1000 if index == 5 else 100 for index in range(20)]
    content = encode(film[0], form, save_all=True, append_images=film[1:], duration=long, **options)
    frames = list(pixels.decode(content, most_frames=8))
    assert [frame.index for frame in frames] == [1, 5, 7, 10, 14, 18]
    assert [frame.time for frame in frames] == pytest.approx([0.1, 0.5, 1.6, 1.9, 2.3, 2.7])


def test_of_a_cameras_picture_with_previews_only_the_first_is_seen(small, encode):
    content = encode(small, "MPO", save_all=True, append_images=[Image.new("RGB", (20, 20))])
    assert only(content).shape == (160, 200, 3)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_torn_file_is_called_torn(small, encode, form, kept):
    content = encode(small, form)
    assert isinstance(refusal(content[: int(len(content) * kept)]), TornFile)


def test_an_empty_file_is_called_empty():
    assert isinstance(refusal(b""), EmptyFile)


@pytest.mark.parametrize(
    "content", [b"hello", b"%PDF-1.7\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0" * 4096, b"\0\0\0\x18ftypisom"]
)
def test_what_is_no_image_is_unsupported(content):
    assert isinstance(refusal(content), UnsupportedMedia)


def test_a_known_format_that_cannot_be_read_is_undecodable():
    assert refusal(b"\xff\xd8\xff" + b"\x11" * 400).slug == "undecodable"


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (100_000, 1_001), (20_000, 9_000)])
def test_a_claim_of_too_many_pixels_is_refused_by_the_header(width, height):
    assert isinstance(refusal(header_of_png(width, height)), TooManyPixels)


def test_the_limit_is_the_callers(small, encode):
    content = encode(small, "PNG")
    assert isinstance(refusal(content, max_pixels=200 * 160 - 1), TooManyPixels)
    assert only(content, max_pixels=200 * 160).shape == (160, 200, 3)


def test_a_limit_above_pillows_own_is_heeded():
    assert isinstance(refusal(header_of_png(20_000, 10_000), max_pixels=400_000_000), TornFile)


def test_an_animation_may_not_hide_a_flood_of_pixels_in_frames(encode):
    film = [Image.new("L", (100, 100), index % 255) for index in range(30)]
    content = encode(film[0], "GIF", save_all=True, append_images=film[1:])
    assert isinstance(refusal(content, max_pixels=10_000), TooManyPixels)
