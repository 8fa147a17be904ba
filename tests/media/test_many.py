"""Large pictures and many faces: nothing is judged in silence by a part of it."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from model import bands, pixels
from model.detector import Detector, Vote
from model.errors import TooManyPixels
from model.faces import FoundFace
from moderation import media
from moderation.errors import BadMedia
from tests.media.cards import CARD, card, corners, encoded

SIDE = 20  # pixels of a face in the crowd


class Crowd:
    """Finds as many faces as fit, row by row."""

    def find(self, image):
        rows, columns = (side // SIDE for side in image.shape[:2])
        return [FoundFace((SIDE * x, SIDE * y, SIDE, SIDE), None, 0.9) for y in range(rows) for x in range(columns)]


@pytest.fixture
def crowd(monkeypatch):
    """A detector that finds a crowd, and takes blue for forged."""

    def votes(self, cuts, *_):
        blue = [np.median(cut.crops[0].reshape(-1, 3), axis=0).argmax() == 2 for cut in cuts]
        return [Vote(cut, 0.97 if is_blue else 0.05, "x", {}, ()) for cut, is_blue in zip(cuts, blue, strict=True)]

    monkeypatch.setattr(Detector, "_votes", votes)

    def made(**options):
        detector = Detector.load(device="cpu", threads=1, **options)
        detector._finder = Crowd()
        return detector

    return made


def crowded(faces, forged=()):
    """A picture of so many faces in rows of ten, those of some numbers forged."""
    picture = np.zeros((SIDE * -(-faces // 10), SIDE * 10, 3), np.uint8) + np.uint8((200, 60, 40))
    for number in forged:
        top, left = SIDE * (number // 10), SIDE * (number % 10)
        picture[top : top + SIDE, left : left + SIDE] = (40, 60, 200)
    return encoded(picture, "PNG")


@pytest.mark.parametrize("faces", [10, 40, 60])
def test_every_face_of_a_group_is_judged(crowd, faces):
    (answer,) = crowd().score([crowded(faces)])
    assert (len(answer.faces), answer.faces_not_judged, answer.band) == (faces, 0, bands.CLEAR)


@pytest.mark.parametrize("forged", [0, 17, 32, 59])
def test_a_forged_face_anywhere_in_a_group_makes_it_fake(crowd, forged):
    (answer,) = crowd().score([crowded(60, [forged])])
    assert answer.band == bands.FAKE


@pytest.mark.parametrize("forged", [None, 33])
def test_forty_faces_of_a_group_photo_are_found_and_judged(monkeypatch, forged):
    cell = Image.fromarray(astronaut()).crop((120, 0, 320, 200)).resize((160, 160), Image.Resampling.LANCZOS)
    group = Image.new("RGB", (1280, 800))
    for number in range(40):
        group.paste(cell, (160 * (number % 8), 160 * (number // 8)))
    left, top = 160 * (33 % 8), 160 * (33 // 8)

    def votes(self, cuts, *_):
        inside = [left <= cut.box[0] < left + 160 and top <= cut.box[1] < top + 160 for cut in cuts]
        return [
            Vote(cut, 0.97 if forged and here else 0.05, "x", {}, ()) for cut, here in zip(cuts, inside, strict=True)
        ]

    monkeypatch.setattr(Detector, "_votes", votes)
    (answer,) = Detector.load(device="cpu", threads=1).score([encoded(group, "JPEG", quality=92)])
    assert (len(answer.faces), answer.faces_not_judged) == (40, 0)
    assert answer.band == (bands.FAKE if forged else bands.CLEAR)


def test_above_the_bound_the_verdict_counts_the_others_and_is_not_clear(crowd):
    (answer,) = crowd().score([crowded(70)])
    assert (len(answer.faces), answer.faces_not_judged) == (64, 6)
    assert (answer.band, answer.reasons) == (bands.INCONCLUSIVE, ("faces_not_judged",))
    assert answer.as_dict()["faces_not_judged"] == 6


def test_a_forgery_among_those_that_are_judged_counts_above_the_bound_too(crowd):
    (answer,) = crowd().score([crowded(70, [3])])
    assert (answer.band, answer.faces_not_judged) == (bands.FAKE, 6)


def test_the_bound_is_a_setting(crowd):
    (answer,) = crowd(most_faces=5).score([crowded(10)])
    assert (len(answer.faces), answer.faces_not_judged, answer.band) == (5, 5, bands.INCONCLUSIVE)
    (answer,) = crowd(most_faces=200).score([crowded(100)])
    assert (len(answer.faces), answer.faces_not_judged, answer.band) == (100, 0, bands.CLEAR)


@pytest.mark.parametrize(("most", "shrunk"), [(64 * 48, 1), (64 * 48 - 1, 2), (800, 2), (767, 4), (100, 8)])
def test_a_jpeg_above_the_limit_is_decoded_at_a_smaller_size(most, shrunk):
    (frame,) = pixels.decode(encoded(card((64, 48)), "JPEG", quality=95), most)
    assert frame.shrunk == shrunk
    assert frame.size == (64, 48)
    assert frame.pixels.shape == (48 // shrunk, 64 // shrunk, 3)
    assert corners(frame.pixels) == CARD


def test_of_other_formats_none_is_and_a_jpeg_has_a_limit_of_its_own():
    with pytest.raises(TooManyPixels):
        list(pixels.decode(encoded(card((64, 48)), "PNG"), 64 * 48 - 1))
    with pytest.raises(TooManyPixels):
        list(pixels.decode(encoded(card((64, 48)), "JPEG"), 1_000, max_jpeg_pixels=64 * 48 - 1))


def test_faces_of_a_shrunk_picture_lie_where_they_lie_in_the_file():
    content = encoded(Image.fromarray(astronaut()), "JPEG", quality=95)
    (whole,), (shrunk,) = (
        Detector.load(device="cpu", threads=1, max_pixels=most).score([content]) for most in (10**6, 512 * 512 - 1)
    )
    assert (shrunk.width, shrunk.height) == (whole.width, whole.height) == (512, 512)
    assert shrunk.faces[0].box == pytest.approx(whole.faces[0].box, abs=20)
    assert shrunk.faces[0].quality["size_px"] == pytest.approx(whole.faces[0].quality["size_px"] / 2, rel=0.15)


@pytest.fixture(scope="module")
def phone_photo():
    """A JPEG of 108 megapixels."""
    small = Image.fromarray(card((120, 90)))
    return encoded(small.resize((12_000, 9_000), Image.Resampling.NEAREST), "JPEG", quality=80)


LIMITS = {"max_pixels": pixels.MAX_PIXELS, "max_jpeg_pixels": pixels.MAX_JPEG_PIXELS, "max_frames": 10}
WEIGHED = """
import resource, sys
from model import pixels
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(frame,) = pixels.decode(open(sys.argv[1], "rb").read())
print(*frame.size, *frame.pixels.shape, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_phones_photo_of_108_megapixels_is_taken_in_bounded_memory(phone_photo, tmp_path):
    facts = media.inspect(io.BytesIO(phone_photo), **LIMITS)
    assert (facts.format, facts.width, facts.height) == ("JPEG", 12_000, 9_000)
    path = tmp_path / "photo.jpg"
    path.write_bytes(phone_photo)
    done = subprocess.run([sys.executable, "-c", WEIGHED, path], capture_output=True, text=True, check=True)
    *sizes, kilobytes = map(int, done.stdout.split())
    assert sizes == [12_000, 9_000, 4_500, 6_000, 3]
    assert kilobytes < 700_000  # decoded whole it takes 1.3 GB


def test_above_the_limit_for_jpegs_it_is_refused_at_the_door(phone_photo):
    with pytest.raises(BadMedia) as refusal:
        media.inspect(io.BytesIO(phone_photo), **{**LIMITS, "max_jpeg_pixels": 10**8})
    assert refusal.value.slug == "too-many-pixels"
