import io
import struct
import zlib

import pytest
from PIL import Image

from moderation import media
from moderation.errors import BadMedia
from tests.conftest import jpeg

LIMITS = {"max_pixels": 1_000_000, "max_frames": 20}


def encoded(format, *, mode="RGB", size=(30, 20), frames=1, **options):
    file = io.BytesIO()
    pictures = [Image.new(mode, size, n * 9) for n in range(frames)]
    more = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(file, format, **more, **options)
    return file.getvalue()


def png_claiming(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def inspect(body):
    return media.inspect(io.BytesIO(body), **LIMITS)


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("JPEG", "JPEG"),
        ("PNG", "PNG"),
        ("GIF", "GIF"),
        ("WEBP", "WebP"),
        ("TIFF", "TIFF"),
        ("BMP", "BMP"),
        ("AVIF", "AVIF"),
        ("HEIF", "HEIC"),
    ],
)
def test_each_accepted_format_is_recognised_by_its_bytes(format, name):
    facts = inspect(encoded(format, size=(64, 48)))
    assert (facts.format, facts.width, facts.height, facts.frames) == (name, 64, 48, 1)
    assert facts.content_type == f"image/{name.lower()}"


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_frames_are_counted_without_decoding(format):
    assert inspect(encoded(format, frames=7)).frames == 7


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_too_many_frames_are_refused(format):
    with pytest.raises(BadMedia) as refusal:
        inspect(encoded(format, frames=25))
    assert refusal.value.slug == "too-many-frames"


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (b"", "empty-file"),
        (b"hello, I am a text", "unsupported-media-type"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "unsupported-media-type"),
        (b"%PDF-1.7 ...", "unsupported-media-type"),
        (b"PK\x03\x04" + b"\0" * 60, "unsupported-media-type"),
        (b"\xff\xd8\xff\xe0", "torn-file"),
        (jpeg()[:30], "torn-file"),
        (b"\x89PNG\r\n\x1a\n", "torn-file"),
        (b"GIF89a", "torn-file"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, "torn-file"),
        (png_claiming(50_000, 50_000), "too-many-pixels"),
        (png_claiming(2**31 - 1, 2**31 - 1), "too-many-pixels"),
        (png_claiming(0, 10), "torn-file"),
    ],
)
def test_what_cannot_be_an_image_is_refused_with_its_slug(body, slug):
    with pytest.raises(BadMedia) as refusal:
        inspect(body)
    assert refusal.value.slug == slug


def test_one_pixel_over_the_limit_is_too_many():
    assert inspect(png_claiming(1000, 1000)).width == 1000
    with pytest.raises(BadMedia):
        inspect(png_claiming(1000, 1001))


def test_a_gif_of_endless_tiny_frames_is_given_up_early():
    frame = b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0"

    class Counting(io.BytesIO):
        reads = 0

        def read(self, size=-1):
            self.reads += 1
            return super().read(size)

    file = Counting(b"GIF89a\x01\0\x01\0\x80\0\0" + b"\0\0\0\xff\xff\xff" + frame * 40_000 + b";")
    with pytest.raises(BadMedia) as refusal:
        media.inspect(file, **LIMITS)
    assert refusal.value.slug == "too-many-frames"
    assert file.reads < 1000


@pytest.mark.parametrize("cut", range(0, 100, 5))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_file_torn_anywhere_is_read_or_refused_but_never_breaks(format, cut):
    whole = encoded(format, size=(80, 60))
    try:
        facts = inspect(whole[: len(whole) * cut // 100])
    except BadMedia as refusal:
        assert refusal.slug in {"empty-file", "torn-file", "unsupported-media-type"}  # noqa: PT017 - either outcome is right
    else:
        assert (facts.width, facts.height) == (80, 60)


def test_the_digest_and_size_are_those_of_the_bytes():
    facts = inspect(jpeg())
    assert facts.bytes == len(jpeg())
    assert len(facts.sha256) == 64
