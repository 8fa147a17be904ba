"""Evidence shows the face as it was sent and where its score comes from; nothing in a file's name becomes markup."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.predict import predict
from model import evidence
from model.bands import Thresholds
from model.calibration import Calibration
from model.crops import Cutting
from model.detector import Failure
from model.errors import ModelError
from model.evidence import context, deletion, folders, heatmaps
from model.panels import PLAIN, Panel, Seat
from model.releases import Limits, Preprocessing, Release

SIDE = 64
SPOT = (slice(8, 24), slice(32, 52))  # where the made-up network below looks


class Spotted:
    """A network whose logit is how rough one place is: what a heatmap must find."""

    device = "cpu"
    outputs = frozenset({"logits"})

    def look(self, crops, names):
        rough = np.abs(np.diff(crops[:, *SPOT, 0].astype(np.float32), axis=2)).mean(axis=(1, 2)) / 10
        return {"logits": np.stack([rough, np.full(len(crops), -20.0)], axis=1).astype(np.float32)}


class Mapped(Spotted):
    """The same, and it says so itself on a coarse grid."""

    outputs = frozenset({"logits", "map"})

    def look(self, crops, names):
        cells = np.full((len(crops), 8, 8), -6.0, np.float32)
        cells[:, 1:3, 4:7] = 6
        return super().look(crops, names) | {"map": cells}


def seat(tmp_path, backend, margin=1.15, view=0):
    steps = Preprocessing(SIDE, margin, (0, 0, 0), (1, 1, 1))
    release = Release(tmp_path, "spotted", "1", "none", steps, Calibration(), Thresholds(0.5, 0.9), Limits())
    return Seat(release, backend, 1.0, PLAIN, None, view)


@pytest.fixture
def crop():
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


KINDS = {"occlusion": heatmaps.from_occlusion, "map": heatmaps.from_map}


@pytest.mark.parametrize("kind", KINDS)
def test_heat_lies_where_the_network_looks(tmp_path, crop, kind):
    heat = KINDS[kind](seat(tmp_path, Mapped()), crop)
    assert heat.values.shape == (SIDE, SIDE)
    assert 0 <= heat.values.min() <= heat.values.max() <= 1
    assert heat.values[SPOT].mean() > 3 * heat.values.mean()
    assert heat.kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_true_heat_passes_the_deletion_test_and_other_heat_fails_it(tmp_path, crop, kind):
    chance = np.random.default_rng(1)
    one = seat(tmp_path, Mapped())
    smooth = (crop // 4 + 96).astype(np.uint8)  # a score that is not at its end
    heat = KINDS[kind](one, smooth).values
    assert all(each.gain > 0 for each in deletion.measure(one, smooth, heat, chance))
    assert all(each.gain < 0 for each in deletion.measure(one, smooth, 1 - heat, chance)[:2])


def test_what_moves_nothing_is_black(tmp_path, crop):
    flat = np.full_like(crop, 90)
    heat = heatmaps.from_occlusion(seat(tmp_path, Spotted()), flat)
    assert heat.strength == 0
    assert heat.values.max() == 0


def test_blurring_takes_away_as_much_as_is_asked_for(crop):
    mask = deletion.hottest(deletion.blobs(SIDE, np.random.default_rng(0)), 0.2)
    assert mask.mean() == pytest.approx(0.2, abs=0.02)
    hidden = heatmaps.blurred(crop, mask)
    assert np.array_equal(hidden[mask == 0], crop[mask == 0])
    assert np.abs(hidden[mask > 0.9].astype(int) - crop[mask > 0.9]).mean() > 20


def test_an_interval_holds_its_mean():
    mean, low, high = deletion.interval([0.1, 0.2, 0.4, 0.3] * 10)
    assert mean == pytest.approx(0.25)
    assert low < mean < high


def test_members_heat_lies_on_the_widest_square(tmp_path, crop):
    narrow, wide = seat(tmp_path, Mapped(), 1.0, 0), seat(tmp_path, Mapped(), 2.0, 1)
    panel = Panel(narrow.release, [narrow, wide], [Cutting(SIDE, 1.0), Cutting(SIDE, 2.0)])
    _, heat = heatmaps.of_face(panel, (crop, crop))
    assert heat.values.shape == (SIDE, SIDE)
    assert heat.values[:16].max() <= 0.6  # beyond the narrow square only the wide one speaks
    assert heat.kind == "map"


def test_only_a_network_with_a_map_has_one(tmp_path, crop):
    one = seat(tmp_path, Spotted())
    found = heatmaps.of_face(Panel(one.release, [one], [Cutting(SIDE, 1.15)]), (crop,))
    assert [heat.kind for heat in found] == ["occlusion"]


@pytest.mark.parametrize("name", ["error_level", "noise", "spectrum"])
def test_context_maps_are_pictures(name, portrait):
    seen = getattr(context, name)(np.asarray(portrait.crop((0, 0, 200, 260))))
    assert seen.dtype == np.uint8
    assert seen.shape[2] == 3
    assert seen.std() > 1


def test_error_levels_show_what_was_saved_less_often(portrait, encode):
    import io

    saved = Image.open(io.BytesIO(encode(portrait, "JPEG", quality=60))).convert("RGB")
    noise = np.random.default_rng(0).integers(-40, 40, (64, 64, 3))
    pasted = np.asarray(saved).astype(int)
    pasted[64:128, 64:128] += noise
    level = context.error_level(pasted.clip(0, 255).astype(np.uint8)).mean(axis=2)
    assert level[64:128, 64:128].mean() > 2 * level.mean()


def test_the_native_face_is_what_was_sent(detector, portrait, encode):
    found = evidence.gather(detector, encode(portrait, "PNG"))
    assert found.judgement == detector.score([encode(portrait, "PNG")])[0]
    (face,) = found.faces
    side = face.native.shape[0]
    x, y, width, height = face.face.box
    assert side == pytest.approx(1.15 * max(width, height), abs=2)
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    inner = np.asarray(portrait)[max(top, 0) + 8 : top + side - 8, left + 8 : left + side - 8]
    shift = face.native[max(-top, 0) + 8 : side - 8, 8 : side - 8]
    assert np.abs(inner.astype(int) - shift).mean() < 12  # the box told is rounded: a pixel off at most
    assert found.faceless is None


def test_a_picture_without_a_face_is_shown_whole(detector, landscape, encode):
    found = evidence.gather(detector, encode(landscape, "PNG"))
    assert found.faces == ()
    assert found.faceless.shape == (240, 320, 3)


def test_a_torn_file_stays_a_failure(detector, portrait, encode):
    assert isinstance(evidence.gather(detector, encode(portrait, "PNG")[:500]), Failure)


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        ({"size_px": 40.0}, "too small"),
        ({"sharpness": 0.5}, "too soft"),
        ({"jpeg_quality": 5}, "too coarse"),
        ({"distance": 1.6}, "1.6 times"),
        ({"spread": 0.9}, "disagreement"),
    ],
)
def test_notes_say_what_speaks_against_judging(quality, words):
    (note,) = evidence.notes(quality, Limits(sharpness=2.0, spread=0.6))
    assert words in note


def test_good_quality_is_no_reproach():
    said = " ".join(evidence.notes({"size_px": 200.0, "sharpness": 40.0, "jpeg_quality": 92}, Limits(sharpness=2.0)))
    assert "too" not in said


@pytest.fixture
def folder(tmp_path, portrait, landscape):
    images = tmp_path / "images"
    images.mkdir()
    portrait.save(images / "a <b>&'c.png")
    landscape.save(images / "empty.png")
    (images / "torn.jpg").write_bytes(b"no image")
    return images


def test_people_get_a_page_pictures_and_json(folder, tmp_path):
    out = tmp_path / "evidence"
    done = CliRunner().invoke(
        predict, ["--device", "cpu", "--json", "--evidence", str(out), "--context", str(folder)], env={"TERM": "dumb"}
    )
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 3
    told = json.loads((out / "evidence.json").read_text())["files"]
    assert [entry["file"].rpartition("/")[2] for entry in told] == ["a <b>&'c.png", "empty.png", "torn.jpg"]
    (face,) = told[0]["evidence"]
    assert [heat["kind"] for heat in face["heatmaps"]] == ["occlusion", "map"]
    heats = [heat[form] for heat in face["heatmaps"] for form in ("overlay", "values")]
    named = [face["picture"], *heats, *face["context"].values(), *told[1]["context"].values()]
    for name in named:
        with Image.open(out / name) as picture:
            assert min(picture.size) > 50
    assert told[2]["failure"]["slug"] == "unsupported-media-type"
    page = (out / "index.html").read_text()
    assert "a &lt;b&gt;&amp;&#x27;c.png" in page
    assert "<b>" not in page
    assert all(name in page for name in face["context"].values())
    assert page.count("<figcaption>context, not scored") == 6


def test_a_folder_in_use_is_left_alone(folder, tmp_path, detector):
    with pytest.raises(ModelError, match="not empty"):
        folders.Folder(folder, detector.release)


def test_context_without_evidence_is_wrong_usage(folder):
    assert CliRunner().invoke(predict, ["--context", str(folder)]).exit_code == 2
