"""A JPEG's tables tell how hard it was pressed."""

import io

import pytest
from PIL import Image

from model import compression, pixels


@pytest.mark.parametrize("quality", [1, 8, 20, 37, 50, 75, 90, 99])
def test_the_quality_that_a_file_was_written_with_is_read_back(portrait, encode, quality):
    (frame,) = pixels.decode(encode(portrait, "JPEG", quality=quality))
    assert frame.jpeg_quality == quality


def test_tables_of_another_family_get_the_nearest_equivalent(portrait, encode):
    softer = [[max(1, value // 2) for value in table] for table in Image.open(
        io.BytesIO(encode(portrait, "JPEG", quality=50))).quantization.values()]  # fmt: skip
    (frame,) = pixels.decode(encode(portrait, "JPEG", qtables=softer))
    assert 70 <= frame.jpeg_quality <= 80


def test_what_is_no_jpeg_has_no_quality(portrait, encode):
    (frame,) = pixels.decode(encode(portrait, "PNG"))
    assert frame.jpeg_quality is None
    assert compression.quality({}) is None
