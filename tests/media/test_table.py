"""Every file of the table is what the table says: at intake, and in the detector's hands."""

import io
from itertools import groupby

import pytest

from model import presentations
from model.errors import BadImage
from model.pixels import MAX_JPEG_PIXELS, MAX_PIXELS
from model.videos import Budget
from moderation import media
from moderation.errors import BadMedia
from tests.media.cards import corners
from tests.media.cases import Refused, alike
from tests.media.table import CASES

LIMITS = {"max_pixels": MAX_PIXELS, "max_jpeg_pixels": MAX_JPEG_PIXELS, "max_frames": 2_000}
REFUSED = {name: case for name, case in CASES.items() if isinstance(case.says, Refused)}
TAKEN = {name: case for name, case in CASES.items() if name not in REFUSED}


def seen(body):
    """The frames that the detector looks at, part by part."""
    frames = presentations.frames(body, MAX_PIXELS, MAX_JPEG_PIXELS, Budget())
    return [list(part) for _, part in groupby(frames, lambda frame: frame.part)]


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_is_told_and_seen_as_people_see_it(name):
    body, says = TAKEN[name].body(), TAKEN[name].says
    facts = media.inspect(io.BytesIO(body), **LIMITS)
    parts = seen(body)
    first = parts[0]
    assert (facts.format, facts.width, facts.height, facts.frames) == (says.format, *says.size, says.frames)
    assert facts.seconds == (None if says.seconds is None else pytest.approx(says.seconds, abs=0.15))
    assert (first[0].size, corners(first[0].pixels)) == (says.size, says.corners)
    assert len(parts) == says.parts
    if says.colour:
        height, width = first[0].pixels.shape[:2]
        assert alike(first[0].pixels[height // 4, width // 4], says.colour)
    if says.times:
        assert (first[0].time, first[-1].time) == pytest.approx(says.times, abs=0.02)
    indices = [frame.index for part in parts for frame in part]
    assert indices == sorted(set(indices))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_has_its_slug_here_and_there(name):
    body, says = REFUSED[name].body(), REFUSED[name].says
    if says.door:
        with pytest.raises(BadMedia) as refusal:
            media.inspect(io.BytesIO(body), **LIMITS)
        assert refusal.value.slug == says.door
    else:
        media.inspect(io.BytesIO(body), **LIMITS)
    with pytest.raises(BadImage) as failure:
        seen(body)
    assert failure.value.slug == (says.detector or says.door)


def test_there_are_as_many_as_were_promised():
    assert len(CASES) >= 150
