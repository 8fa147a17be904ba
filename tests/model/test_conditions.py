"""Conditions are measured in the units they name, and what cannot be measured is not guessed."""

import numpy as np
import pytest
from skimage.color import rgb2lab

from model.evaluation import conditions

FACE = (10, 20, 100, 120)


def painted(colour):
    return np.full((200, 200, 3), colour, np.uint8)


@pytest.mark.parametrize("colour", [(230, 190, 170), (141, 85, 36), (60, 40, 30), (255, 219, 172)])
def test_the_angle_is_that_of_the_colour_in_cielab(colour):
    light, _, b = rgb2lab(np.array(colour, np.uint8)[None, None])[0, 0]
    expected = np.degrees(np.arctan2(light - 50, b))
    assert conditions.tone_angle(painted(colour), FACE) == pytest.approx(expected, abs=0.5)


def test_only_the_cheeks_count():
    image = painted((230, 190, 170))
    whole = conditions.tone_angle(image, FACE)
    image[20:75] = 0  # forehead and eyes
    image[110:] = 255  # chin and neck
    assert conditions.tone_angle(image, FACE) == whole


def test_darker_skin_has_a_lower_angle():
    shades = [(255, 219, 172), (224, 172, 105), (198, 134, 66), (141, 85, 36), (80, 50, 30)]
    angles = [conditions.tone_angle(painted(shade), FACE) for shade in shades]
    assert angles == sorted(angles, reverse=True)
    assert len({conditions.bin_of(conditions.TONE, angle) for angle in angles}) >= 4


def test_grey_pictures_and_faces_outside_have_none():
    assert conditions.tone_angle(painted((120, 120, 120)), FACE) is None
    assert conditions.tone_angle(painted((230, 190, 170)), (300, 300, 10, 10)) is None


@pytest.mark.parametrize(
    ("condition", "value", "name"),
    [
        (conditions.SIZE, 10, "below 96 px"),
        (conditions.SIZE, 96, "96 to 128 px"),
        (conditions.SIZE, 5000, "256 px and more"),
        (conditions.QUALITY, 49.9, "below 50"),
        (conditions.QUALITY, 75, "75 to 84"),
        (conditions.TONE, -60, "dark"),
        (conditions.TONE, 60, "very light"),
        (conditions.TONE, None, "not measured"),
        (conditions.SHARPNESS, float("nan"), "not measured"),
    ],
)
def test_bins_begin_at_their_lower_end(condition, value, name):
    assert conditions.bin_of(condition, value) == name
