"""A file of the table with noise in its head, or cut short, is read or refused with a slug, and breaks nothing."""

import io

import numpy as np
import pytest

from formats import embedded, heifs, pngs, signatures, tiffs
from model.errors import BadImage
from model.readable import readable
from moderation import media
from moderation.errors import BadMedia
from tests.media.table import CASES
from tests.media.test_table import LIMITS

NAMES = [
    "two tracks, both switched on", "pixels of 64:45", "a second of the end, and one of the beginning",
    "wide pixels in WebM", "AVIF cut to its left half", "HEIC that calls itself miaf", "DNG with two previews",
    "TIFF whose first picture is a smaller copy of one below", "Nikon's raw file", "Canon's raw file",
    "APNG whose first picture is none of its frames", "PNG of EXIF 6", "motion photo", "JPEG in Display P3",
    "MPO of two pictures", "a cover before the film",
]  # fmt: skip
HEAD = 2_000


def damaged(body, seed):
    """The file with noise in some places of its first and last bytes; every third one is cut short, too."""
    chance = np.random.default_rng(seed)
    changed = bytearray(body)
    for place in (
        *chance.integers(4, min(HEAD, len(body)), 6),
        *chance.integers(max(4, len(body) - HEAD), len(body), 4),
    ):
        changed[place] = chance.integers(0, 256)
    return bytes(changed[: chance.integers(8, len(body))] if seed % 3 == 0 else changed)


@pytest.mark.parametrize("name", NAMES)
def test_noise_ends_in_facts_or_a_slug(name):
    body = CASES[name].body()
    for seed in range(60):
        noisy = damaged(body, seed)
        try:
            facts = media.inspect(io.BytesIO(noisy), **LIMITS)
        except BadMedia as refusal:
            assert refusal.slug  # noqa: PT017 - either outcome is right
        else:
            assert facts.width > 0
            assert facts.height > 0
            assert facts.seconds is None or 0 < facts.seconds <= 600


@pytest.mark.parametrize("name", NAMES)
def test_noise_ends_in_something_to_decode_or_a_slug(name):
    body = CASES[name].body()
    for seed in range(60):
        noisy = damaged(body, seed)
        kind = signatures.kind(noisy[: signatures.HEAD])
        try:
            found = readable(noisy)
        except BadImage as refusal:
            assert refusal.slug  # noqa: PT017 - either outcome is right
        else:
            assert found.content
            assert found.crop is None or min(found.crop.width, found.crop.height) > 0
        if kind is not None:
            clip = embedded.clip(noisy, kind)
            assert clip is None or noisy.endswith(clip)


def test_tables_that_claim_everything_are_not_read_whole():
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size=-1):
            found = super().read(size)
            self.taken += len(found)
            return found

    head = b"II*\0\x08\0\0\0\xff\xff"
    rows = b"".join(tag.to_bytes(2, "little") + b"\x04\0" + b"\xff\xff\xff\x7f" + b"\x08\0\0\0" for tag in range(4_000))
    looping = Counting(head + rows + b"\x08\0\0\0" + bytes(5_000_000))
    assert tiffs.hidden(looping) is None
    assert looping.taken < 1_000_000
    many = Counting(pngs.SIGNATURE + b"\0\0\0\0tEXt\0\0\0\0" * 1_000_000)
    with pytest.raises(pngs.TooMuchMetadata):
        pngs.read(many)
    assert many.taken < 1_000_000
    assert heifs.crop(io.BytesIO(b"\0\0\0\x08free" * 100_000)) is None
