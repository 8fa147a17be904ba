"""A file that may show several things gets the answer of the worst of them."""

import io
from itertools import pairwise

import numpy as np
import pytest

from model import bands
from model.datasets import videos as training
from model.detector import Detector, Judgement, Vote
from moderation import media
from tests.media import isobmff as iso
from tests.media.cards import COLOURS, card, corners, encoded
from tests.media.table import CASES
from tests.movies import clip

SIZE = (96, 96)
RED, BLUE = [card(SIZE, "R")] * 10, [card((128, 96), "B")] * 10
PHOTO = encoded(card(SIZE, "R"), "JPEG", quality=92)
SCORES = {"R": 0.1, "B": 0.97, "G": 0.6}


@pytest.fixture
def detector(monkeypatch):
    """The shipped detector, except that its networks judge by colour: blue is forged, green is odd, red is real."""

    def votes(self, cuts, *_):
        return [Vote(cut, _score(cut), bands.MANIPULATED, {}, _doubts(cut)) for cut in cuts]

    monkeypatch.setattr(Detector, "_votes", votes)
    return Detector.load(device="cpu", threads=1, onlooker=lambda frame: frame.index)


def _letter(cut):
    colour = np.median(cut.crops[0].reshape(-1, 3), axis=0)
    return min(COLOURS, key=lambda letter: np.abs(colour - COLOURS[letter]).sum())


def _score(cut):
    return SCORES.get(_letter(cut), 0.0)


def _doubts(cut):
    return (bands.NO_FACE,) if _letter(cut) == "K" else ()


def on(body, *flags):
    def change(moov):
        for trak, value in zip(iso.videos(moov), flags, strict=True):
            iso.flags(trak, value)

    return iso.altered(body, change)


def judged(detector, body):
    prepared = detector.prepare([body])
    (answer,) = detector.judge(prepared)
    assert isinstance(answer, Judgement)
    shown = set(prepared.sheets[0].seen)
    assert {frame.index for frame in answer.frames} <= shown
    return answer


def test_a_forgery_in_a_clips_second_track_is_what_the_clip_gets(detector):
    answer = judged(detector, iso.two_tracks(RED, BLUE))
    assert (answer.band, answer.part, answer.score) == ("fake", 1, pytest.approx(0.97))
    assert (answer.width, answer.height) == (128, 96)
    assert [frame.time for frame in answer.frames] == pytest.approx([n / 10 for n in range(10)])
    assert min(frame.index for frame in answer.frames) == 10  # they go on where those of the first track end


def test_a_forgery_in_a_track_that_is_switched_off_is_not_what_people_see(detector):
    both = iso.two_tracks(RED, BLUE)
    assert judged(detector, on(both, 3, 2)).band == "clear"
    assert judged(detector, on(both, 2, 3)).band == "fake"


def test_a_forgery_behind_a_motion_photo_is_found(detector):
    answer = judged(detector, PHOTO + clip(BLUE))
    assert (answer.band, answer.part) == ("fake", 1)
    assert all(0 <= frame.time < 1 for frame in answer.frames)
    assert judged(detector, PHOTO + clip(RED)).band == "clear"


def test_a_forged_photo_before_a_harmless_clip_stays_forged(detector):
    answer = judged(detector, encoded(card(SIZE, "B"), "JPEG", quality=92) + clip(RED))
    assert (answer.band, answer.part, answer.frames) == ("fake", 0, ())


def test_a_doubt_about_a_motion_photos_clip_is_none_about_the_photo(detector):
    answer = judged(detector, PHOTO + clip([card(SIZE, "K")] * 10))
    assert (answer.band, answer.part) == ("clear", 0)


def test_the_budget_is_shared_by_the_tracks(detector):
    body = iso.many_tracks([[card(SIZE, "R")] * 60] * 3)
    frames = list(detector.frames(body))
    assert len(frames) <= detector.budget.frames
    assert {frame.part for frame in frames} == {0, 1, 2}
    assert all(one.index < other.index for one, other in pairwise(frames))


def test_a_track_that_cannot_be_decoded_leaves_the_other_to_be_judged(detector):
    body = bytearray(iso.two_tracks(RED, BLUE))
    first = media.inspect(io.BytesIO(bytes(body)), max_pixels=10**8, max_frames=9)
    assert first.frames == 10
    place = body.index(b"mdat") + 4
    body[place : place + 600] = bytes(600)  # the first track's pictures lie first
    assert judged(detector, bytes(body)).band == "fake"


def test_evidence_is_of_the_part_that_was_judged(detector, portrait):
    from model import evidence

    face = np.asarray(portrait.resize((256, 256)))
    found = evidence.gather(detector, encoded(face, "JPEG", quality=92) + clip(BLUE))
    assert found.judgement.part == 1
    assert found.faceless.shape == (96, 128, 3)


@pytest.fixture(scope="session")
def portrait():
    from PIL import Image
    from skimage.data import astronaut

    return Image.fromarray(astronaut())


@pytest.mark.parametrize(
    "name", ["two tracks, the first switched off", "a matrix transposed", "pixels of 64:45", "a cover before the film"]
)
def test_frames_for_training_are_those_that_are_judged(tmp_path, name):
    path = tmp_path / "clip.mp4"
    path.write_bytes(CASES[name].body())
    says = CASES[name].says
    for _, pixels in training.sampled(path, 3):
        assert pixels.shape[1::-1] == says.size
        assert corners(pixels) == says.corners
