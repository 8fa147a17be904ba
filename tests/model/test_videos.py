"""Clips are sampled by time and scene within a budget, and whatever is wrong with one has a slug."""

import numpy as np
import pytest

from model import videos
from model.detector import Failure
from model.errors import BadImage, TooLong, TooManyPixels, TornFile, UnsupportedMedia
from model.videos import Budget
from tests.model.pictures import pattern
from tests.movies import clip, fast_start, shades

CODINGS = [
    ("mp4", "libx264"),
    ("mp4", "libx265"),
    ("mp4", "mpeg4"),
    ("mp4", "libsvtav1"),
    ("mov", "libx264"),
    ("webm", "libvpx"),
    ("webm", "libvpx-vp9"),
    ("webm", "libsvtav1"),
]


def shade(frame):
    return float(frame.pixels.mean())


def refusal(content, **budget):
    with pytest.raises(BadImage) as caught:
        list(videos.decode(content, Budget(**budget)))
    return caught.value


@pytest.mark.parametrize(("form", "codec"), CODINGS)
def test_each_container_and_codec_is_read_in_the_order_of_time(form, codec):
    frames = list(videos.decode(clip(shades(20), form=form, codec=codec)))
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx([n / 10 for n in range(20)], abs=0.002)
    assert [shade(frame) for frame in frames] == pytest.approx([30 + 10 * n for n in range(20)], abs=4)


def test_a_long_clip_is_sampled_at_even_distances_in_time():
    frames = list(videos.decode(clip(shades(300), coding={"sc_threshold": "0"})))
    assert len(frames) == 30
    gaps = np.diff([frame.time for frame in frames])
    assert gaps.min() >= 0.8
    assert gaps.max() <= 1.2
    assert frames[0].time < 1
    assert frames[-1].time > 28.5


def test_a_scene_between_two_looks_is_seen_once():
    day, night = pattern(1), 255 - pattern(1)
    film = [day] * 100 + [night] * 2 + [day] * 298
    dark = [
        frame
        for frame in videos.decode(clip(film), Budget(frames=16))
        if np.abs(frame.pixels.astype(int) - night).mean() < 20
    ]
    assert [round(frame.time, 1) for frame in dark] == [10.0]


def test_what_is_dear_to_decode_is_looked_at_beside_its_key_frames():
    content = clip(shades(400), every=50)
    budget = Budget(decoded_pixels=160 * 120 * 100)
    frames = list(videos.decode(content, budget))
    assert 16 <= len(frames) <= 32
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] > 33
    assert [shade(frame) for frame in frames] == pytest.approx([30 + 190 * t / 39.9 for t in times], abs=5)


def test_the_cost_of_a_clip_does_not_grow_with_its_length(monkeypatch):
    decoded = []
    counted = videos._decoded

    def counting(*given):
        for frame in counted(*given):
            decoded.append(frame)
            yield frame

    monkeypatch.setattr(videos, "_decoded", counting)
    for length in (100, 2000):
        decoded.clear()
        list(videos.decode(clip(shades(length), every=25), Budget(decoded_pixels=160 * 120 * 120)))
        assert len(decoded) <= 121


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_clip_that_was_filmed_sideways_is_upright(turned):
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[:60, :80] = 255
    plain, upright = (next(videos.decode(clip([picture] * 3, turned=by))) for by in (0, turned))
    expected = np.rot90(plain.pixels, turned // 90)
    assert upright.pixels.shape == expected.shape
    assert np.abs(upright.pixels.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.9])
def test_a_torn_tail_does_not_lose_the_good_part(kept):
    film = [pattern(n, 128) for n in range(60)]
    content = fast_start(film)
    frames = list(videos.decode(content[: int(len(content) * kept)]))
    assert len(frames) >= 10
    assert np.abs(frames[0].pixels.astype(int) - film[frames[0].index]).mean() < 20
    assert frames[-1].time < 6 * kept + 0.5


def test_a_hole_in_the_middle_costs_only_what_lies_in_it():
    film = [pattern(n, 128) for n in range(60)]
    content = bytearray(fast_start(film, every=10))
    middle = len(content) // 2
    content[middle : middle + len(content) // 10] = bytes(len(content) // 10)
    frames = list(videos.decode(bytes(content)))
    assert len(frames) >= 20
    assert frames[-1].time > 5


@pytest.mark.parametrize("at", range(5, 100, 5))
@pytest.mark.parametrize(("form", "codec"), [("mp4", "libx264"), ("webm", "libvpx-vp9")])
def test_a_clip_torn_anywhere_gives_frames_or_a_slug(form, codec, at):
    content = clip(shades(30), form=form, codec=codec)
    try:
        frames = list(videos.decode(content[: len(content) * at // 100]))
    except BadImage as error:
        assert error.slug in {"torn-file", "undecodable", "unsupported-media-type"}  # noqa: PT017 - either is right
    else:
        assert frames


@pytest.mark.parametrize("seed", range(20))
def test_noise_anywhere_in_a_clip_breaks_nothing(seed):
    chance = np.random.default_rng(seed)
    content = bytearray(fast_start(shades(30)))
    for at in chance.integers(40, len(content), 30):
        content[at] = chance.integers(0, 256)
    try:
        list(videos.decode(bytes(content)))
    except BadImage as error:
        assert error.slug  # noqa: PT017 - frames are right, too


def test_limits_are_told_from_each_other():
    content = clip(shades(30))
    assert isinstance(refusal(content, seconds=2), TooLong)
    assert isinstance(refusal(content, frame_pixels=160 * 120 - 1), TooManyPixels)
    assert len(list(videos.decode(content, Budget(seconds=3, frame_pixels=160 * 120)))) == 30


def test_what_has_no_pictures_says_so():
    assert isinstance(refusal(clip([], sound=True)), UnsupportedMedia)
    assert isinstance(refusal(b"\0\0\0\x18ftypisom" + bytes(40)), TornFile)
    assert isinstance(refusal(clip(shades(5))[:200]), TornFile)
    assert isinstance(refusal(b"#EXTM3U\nhttp://127.0.0.1/x.ts\n"), UnsupportedMedia)
    assert isinstance(refusal(b"ffconcat version 1.0\nfile /etc/passwd\n"), UnsupportedMedia)


def test_sound_beside_the_pictures_is_no_matter():
    assert len(list(videos.decode(clip(shades(10), sound=True)))) == 10


def test_when_the_time_is_up_what_was_seen_must_do():
    assert refusal(clip(shades(30)), wall_seconds=0).slug == "undecodable"


def test_a_clip_has_a_timeline_and_faces_that_say_their_frame(detector, portrait):
    still = np.asarray(portrait.crop((60, 0, 400, 340)).resize((320, 320)))
    film = [np.roll(still, shift, axis=1) for shift in range(40)]
    (answer,) = detector.score([clip(film)])
    assert [frame.index for frame in answer.frames] == sorted({face.frame for face in answer.faces})
    assert [frame.time for frame in answer.frames] == sorted(frame.time for frame in answer.frames)
    assert (answer.width, answer.height) == (320, 320)
    assert answer.as_dict()["frames"][0].keys() == {"index", "time", "score"}


def test_a_broken_clip_among_others_fails_alone(detector, portrait, encode):
    faced = encode(portrait, "PNG")
    good = detector.score([faced])[0]
    answers = detector.score([faced, clip(shades(5))[:200], clip([], sound=True), faced])
    assert [answer.slug for answer in answers if isinstance(answer, Failure)] == ["torn-file", "unsupported-media-type"]
    assert answers[0].score == answers[3].score == pytest.approx(good.score, abs=1e-6)


def test_an_onlooker_sees_every_frame_that_is_looked_at(portrait):
    from model.detector import Detector

    watched = Detector.load(device="cpu", threads=1, budget=Budget(frames=4), onlooker=lambda frame: frame.index)
    prepared = watched.prepare([clip([np.asarray(portrait.resize((160, 160)))] * 9)])
    assert len(prepared.sheets[0].seen) in {3, 4}
    assert {cut.frame for cut in prepared.sheets[0].cuts} == set(prepared.sheets[0].seen)
