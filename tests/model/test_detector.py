"""Bytes in, one answer each, in order; what is wrong with one file stays with it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from model import bands, clips, metrics, pixels, releases, sources, splits
from model.detector import Detector, Failure, Judgement
from model.errors import DeviceError

ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def faced(portrait, encode):
    return encode(portrait, "PNG")


def test_one_answer_a_file_in_order(detector, portrait, landscape, encode):
    files = [
        encode(portrait, "PNG"),
        b"",
        encode(landscape, "JPEG"),
        b"no image",
        encode(portrait.resize((300, 300)), "JPEG"),
    ]
    answers = detector.score(files)
    assert [type(answer) for answer in answers] == [Judgement, Failure, Judgement, Failure, Judgement]
    assert [answer.slug for answer in answers if isinstance(answer, Failure)] == [
        "empty-file",
        "unsupported-media-type",
    ]
    assert [answer.width for answer in answers if isinstance(answer, Judgement)] == [512, 320, 300]


def test_no_files_give_no_answers(detector):
    assert detector.score([]) == []


def test_a_bad_file_among_thirty_two_changes_no_other_score(detector, portrait, encode):
    files = [encode(portrait.crop((k, k, 400 + k, 400 + k)), "JPEG", quality=60 + k) for k in range(32)]
    alone = [detector.score([file])[0].score for file in files]
    files[17] = files[17][:900]
    together = detector.score(files)
    assert together[17] == Failure("torn-file", together[17].detail)
    others = [k for k in range(32) if k != 17]
    assert [together[k].score for k in others] == pytest.approx([alone[k] for k in others], abs=1e-6)


def test_preparing_ahead_changes_nothing(detector, faced, landscape, encode):
    first, second = detector.prepare([faced]), detector.prepare([encode(landscape, "PNG"), b""])
    assert detector.judge(second) + detector.judge(first) == detector.score([encode(landscape, "PNG"), b"", faced])


def test_a_face_is_boxed_where_it_is(detector, faced):
    (answer,) = detector.score([faced])
    x, y, width, height = answer.faces[0].box
    assert x < 225 < x + width  # the nose of this portrait
    assert y < 115 < y + height
    assert set(answer.faces[0].quality) == {"size_px", "sharpness", "confidence", "distance", "covered"}


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_picture_scores_as_its_upright_copy(detector, portrait, encode, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turns = {3: 2, 6: 1, 8: 3}
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(np.asarray(portrait), turns[orientation])))
    assert detector.score([encode(stored, "PNG", exif=exif)]) == detector.score([encode(portrait, "PNG")])


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "1", "LA", "CMYK"])
def test_every_mode_scores_as_its_rgb_copy(detector, portrait, encode, mode):
    stored = portrait.quantize(256) if mode == "P" else portrait.convert(mode)
    form = "TIFF" if mode == "CMYK" else "PNG"
    copy = stored.convert("RGB")
    assert detector.score([encode(stored, form)]) == detector.score([encode(copy, form)])


def test_sixteen_bits_score_as_their_eight_bit_copy(detector, portrait, encode):
    grey = portrait.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert detector.score([encode(deep, "PNG")]) == detector.score([encode(grey.convert("RGB"), "PNG")])


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_an_unusual_jpeg_scores_as_its_pixels_do(detector, portrait, encode, mode):
    content = encode(portrait.convert(mode), "JPEG", quality=95)
    (frame,) = pixels.decode(content)
    (seen,), (copy,) = detector.score([content]), detector.score([encode(Image.fromarray(frame.pixels), "PNG")])
    assert (seen.score, seen.band, seen.reasons) == (copy.score, copy.band, copy.reasons)


def test_a_jpeg_pressed_to_rubble_is_inconclusive(detector, portrait, encode):
    (answer,) = detector.score([encode(portrait, "JPEG", quality=8)])
    assert (answer.band, answer.reasons) == (bands.INCONCLUSIVE, (bands.LOW_QUALITY,))
    assert answer.faces[0].quality["jpeg_quality"] == 8


def test_without_a_face_it_is_inconclusive_and_scored_whole(detector, landscape, encode):
    (answer,) = detector.score([encode(landscape, "PNG")])
    assert (answer.band, answer.reasons, answer.faces) == (bands.INCONCLUSIVE, (bands.NO_FACE,), ())
    assert 0 <= answer.score <= 1


def test_a_small_face_is_scored_but_inconclusive(detector, portrait, encode):
    (answer,) = detector.score([encode(portrait.resize((200, 200), Image.Resampling.LANCZOS), "PNG")])
    assert (answer.band, answer.reasons) == (bands.INCONCLUSIVE, (bands.FACE_TOO_SMALL,))
    assert len(answer.faces) == 1


def test_one_face_of_two_decides(detector, portrait, encode):
    left, right = (
        portrait.crop((60, 0, 400, 340)),
        portrait.crop((60, 0, 400, 340)).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    )
    pair = Image.new("RGB", (680, 340))
    pair.paste(left, (0, 0))
    pair.paste(right.resize((170, 170)).resize((340, 340)), (340, 0))
    (answer,) = detector.score([encode(pair, "PNG")])
    assert len(answer.faces) == 2
    assert answer.score == max(face.score for face in answer.faces)


def test_an_animation_has_a_score_for_each_frame_and_the_best_does_not_decide_alone(
    detector, portrait, landscape, encode
):
    film = [portrait.crop((60, 0, 400, 340)).rotate(3 * k) for k in range(4)]
    (answer,) = detector.score([encode(film[0], "PNG", save_all=True, append_images=film[1:])])
    assert [frame.index for frame in answer.frames] == [0, 1, 2, 3]
    assert answer.score == clips.score([frame.score for frame in answer.frames])
    assert {face.frame for face in answer.faces} == {0, 1, 2, 3}


def test_a_judgement_travels_as_json(detector, faced):
    (answer,) = detector.score([faced])
    told = json.loads(json.dumps(answer.as_dict()))
    assert told["score"] == answer.score
    assert told["faces"][0]["box"] == list(answer.faces[0].box)


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "cuda:x"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(DeviceError):
        Detector.load(device=device)


def test_fakes_score_higher_than_reals(detector, labelled):
    items = splits.divide(sources.read(labelled))[splits.TEST]
    chosen = [item for label in (0, 1) for item in [i for i in items if (i.source, i.label) == ("dfdc", label)][:60]]
    answers = detector.score([item.path.read_bytes() for item in chosen])
    scores = np.array([answer.score for answer in answers])
    assert metrics.auc(scores, np.array([item.label for item in chosen])) > 0.7


def test_a_face_that_is_mostly_covered_is_a_doubt_where_the_release_sets_a_limit(tmp_path, portrait, encode):
    shutil.copytree(releases.default_path(), tmp_path / "strict")
    found = releases.read(tmp_path / "strict")
    releases.seal(replace(found, limits=replace(found.limits, covered=0.3)))
    strict = Detector.load(tmp_path / "strict", "cpu")
    masked = portrait.copy()
    (face,) = strict.score([encode(portrait, "PNG")])[0].faces[:1]
    x, y, width, height = face.box
    ImageDraw.Draw(masked).rectangle((x, y + height * 0.3, x + width, y + height * 1.05), fill=(225, 235, 240))

    bare, covered = strict.score([encode(portrait, "PNG"), encode(masked, "PNG")])
    assert bare.faces[0].quality["covered"] < 0.3
    assert "face_covered" not in bare.reasons
    if covered.faces:  # a finder may not see it at all, which is a doubt of its own
        assert "face_covered" in covered.reasons
    assert covered.band == "inconclusive"


def test_nothing_is_measured_of_covers_where_no_limit_is_set(tmp_path, portrait, encode):
    shutil.copytree(releases.default_path(), tmp_path / "lenient")
    found = releases.read(tmp_path / "lenient")
    releases.seal(replace(found, limits=replace(found.limits, covered=1.0)))
    (answer,) = Detector.load(tmp_path / "lenient", "cpu").score([encode(portrait, "PNG")])
    assert "covered" not in answer.faces[0].quality
