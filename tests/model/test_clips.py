"""One odd frame does not condemn a clip, and a swap of a few seconds is not averaged away."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import clips

FRAMES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(FRAMES)
def test_a_clip_lies_between_its_frames(frames):
    assert min(frames) <= clips.score(frames) <= max(frames)


@given(FRAMES)
def test_a_clip_played_backwards_scores_the_same(frames):
    assert clips.score(frames[::-1]) == clips.score(frames)


def test_frames_that_look_forged_are_believed_where_they_follow_each_other():
    apart = [0.95 if number % 4 == 0 else 0.05 for number in range(32)]
    together = sorted(apart)
    assert clips.score(apart) == pytest.approx(0.05)
    assert clips.score(together) == pytest.approx(0.95)


@given(FRAMES, st.data())
def test_no_frame_that_rises_lowers_the_clip(frames, data):
    at = data.draw(st.integers(0, len(frames) - 1))
    raised = [*frames[:at], data.draw(st.floats(frames[at], 1)), *frames[at + 1 :]]
    assert clips.score(raised) >= clips.score(frames) or math.isclose(clips.score(raised), clips.score(frames))


@given(st.lists(st.floats(0, 1), min_size=4, max_size=40))
def test_the_best_frame_alone_moves_nothing(frames):
    odd = list(frames)
    odd[frames.index(max(frames))] = 1.0
    assert clips.score(odd) == clips.score(frames)


@pytest.mark.parametrize("count", [4, 8, 16, 32])
def test_one_odd_frame_does_not_condemn(count):
    for place in range(count):
        assert clips.score([0.99 if number == place else 0.05 for number in range(count)]) == pytest.approx(0.05)


@pytest.mark.parametrize(("count", "swapped"), [(8, 3), (16, 3), (32, 3), (256, 3)])
def test_a_swap_of_a_few_seconds_is_not_averaged_away(count, swapped):
    for start in (0, count // 2, count - swapped):
        frames = [0.05] * start + [0.95] * swapped + [0.05] * (count - swapped - start)
        assert clips.score(frames) == pytest.approx(0.95)


def test_one_frame_stands_for_itself_and_two_for_their_mean():
    assert clips.score([0.3]) == 0.3
    assert clips.score([0.2, 0.6]) == pytest.approx(0.4)


def test_no_frames_have_no_score():
    with pytest.raises(ValueError, match="at least one frame"):
        clips.score([])
