"""A release with an encoder, as it serves: joined with its small network, refused without its encoder."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from model import bands, evidence, fitting, heads, probes, procedural, releases, selection, verification
from model.backends import FEATURES, KINDS, LOGITS, OnnxBackend, ProbedEncoder
from model.detector import Detector
from model.errors import EncoderError, ReleaseError
from model.evidence import heatmaps, neighbours
from tests.model import full


@pytest.fixture(scope="module")
def cache(full_release):
    return full_release.cache


@pytest.fixture(scope="module")
def release(full_release):
    return full_release.release


@pytest.fixture(scope="module")
def detector(release, cache):
    return Detector.load(release.directory, "cpu", threads=2, cache=cache)


@pytest.fixture
def copy(release, tmp_path):
    shutil.copytree(release.directory, tmp_path / "copy")
    return releases.read(tmp_path / "copy")


def files(kind, seeds=range(400, 406)):
    return [full.file(kind, seed) for seed in seeds]


def test_forgeries_of_known_kinds_score_higher_than_real_faces(detector):
    real, striped = ([answer.score for answer in detector.score(files(kind))] for kind in (full.REAL, full.STRIPED))
    assert np.mean(striped) > np.mean(real) + 0.2


def test_each_head_is_the_weighted_sum_of_encoder_and_network(detector, release, cache):
    sheet = detector.prepare(files(full.STRIPED, [400])).sheets[0]
    crops = sheet.cuts[0].crops
    encoder = ProbedEncoder(release, "cpu", 1, cache)
    network = OnnxBackend(release, 1)
    parts = [encoder.forward(crops[1][None]).astype(float), network.forward(crops[0][None]).astype(float)]
    weights = np.array(release.fusion)
    by_hand = parts[0] * weights[:, 0] + parts[1] * weights[:, 1] + weights[:, 2]

    said = detector.panel.opinions([crops])
    assert said.face[0] == pytest.approx(heads.fake_logit(by_hand)[0], abs=1e-4)
    assert probes.fused(parts, weights)[0] == pytest.approx(by_hand[0])
    assert [crop.shape[0] for crop in crops] == [release.preprocessing.size, 224]


def test_a_face_says_how_unfamiliar_it_is_and_nothing_of_members(detector):
    (answer,) = detector.score(files(full.REAL, [400]))
    assert "distance" in answer.faces[0].quality
    assert "spread" not in answer.faces[0].quality


def test_a_batch_of_any_size_gives_each_file_its_own_score(detector):
    contents = files(full.STRIPED) + files(full.REAL)
    together = [answer.score for answer in detector.score(contents)]
    alone = [detector.score([content])[0].score for content in contents]
    assert together == pytest.approx(alone, abs=1e-4)


def test_a_drawing_is_a_doubt_where_the_release_learnt_what_a_photograph_is(copy, cache):
    probe = probes.read(copy.file(releases.HEADS_FILE))
    width = probe.projection.directions.shape[1]
    never = probes.Linear(np.zeros((width, 1), np.float32), np.array([-3.0], np.float32))
    replace(probe, photograph=never).write(copy.directory / releases.HEADS_FILE)
    limits = replace(copy.limits, photograph=0.5)
    strict = fitting.finish(replace(copy, limits=limits), cache)

    (answer,) = Detector.load(strict.directory, "cpu", cache=cache).score(files(full.REAL, [400]))
    assert answer.band == bands.INCONCLUSIVE
    assert answer.reasons == (bands.NOT_A_PHOTOGRAPH,)
    assert answer.faces[0].quality["photograph"] == pytest.approx(0.047, abs=0.01)


def test_without_its_encoder_it_says_in_one_line_what_to_run(release, tmp_path):
    with pytest.raises(EncoderError, match="unmask encoder fetch"):
        Detector.load(release.directory, "cpu", cache=tmp_path)
    with pytest.raises(EncoderError, match="unmask encoder fetch"):
        selection.check_encoder(release.directory, tmp_path)


def test_what_cannot_be_checked_without_the_encoder_is_not_called_passed(release, tmp_path, cache):
    states = {check.name: check.state for check in verification.verify(release.directory, tmp_path)}
    assert states["golden set"] == verification.UNCHECKED
    assert verification.sound(verification.verify(release.directory, cache))


@pytest.mark.parametrize("name", [releases.HEADS_FILE, releases.ENCODER, releases.REHEARSAL])
def test_a_changed_file_is_refused(copy, name):
    path = copy.directory / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ReleaseError, match="its SHA-256 differs"):
        releases.read(copy.directory)


@pytest.mark.parametrize("change", [{"fusion": ()}, {"fusion": ((1.0, 0.0),)}])
def test_a_release_that_does_not_say_how_its_parts_are_joined_is_refused(copy, cache, change):
    releases.seal(replace(copy, **change))
    with pytest.raises(ReleaseError, match="joined"):
        Detector.load(copy.directory, "cpu", cache=cache)


def test_the_record_is_read_as_it_was_written(copy):
    releases.seal(copy)
    assert releases.read(copy.directory) == copy


def test_the_encoder_tells_kinds_and_features_only_when_asked(release, cache):
    encoder = ProbedEncoder(release, "cpu", 1, cache)
    crop = procedural.portrait(224, 224, 160, 0)[0][None]
    assert set(encoder.look(crop, [LOGITS])) == {LOGITS}
    assert encoder.look(crop, [KINDS])[KINDS].shape == (1, 2)
    assert encoder.look(crop, [FEATURES])[FEATURES].shape == (1, full.DIRECTIONS)
    assert 0 < encoder.share <= 1


def test_evidence_is_asked_of_both_parts(detector):
    sheet = detector.prepare(files(full.STRIPED, [400])).sheets[0]
    (heat, *_) = heatmaps.of_face(detector.panel, sheet.cuts[0].crops)
    assert heat.kind == "occlusion"
    assert heat.values.shape[0] in {224, detector.release.preprocessing.size}


def test_evidence_says_which_known_kind_a_face_looks_most_like(detector):
    found = evidence.gather(detector, full.file(full.STRIPED, 401))
    (note,) = [line for line in found.faces[0].notes if "looks most like" in line]
    assert any(kind in note for kind in (full.STRIPED, full.TINTED, "real photographs"))
    assert "of the 40 nearest known faces" in note


def test_the_nearest_faces_are_those_at_the_smallest_angle():
    chance = np.random.default_rng(0)
    kinds = dict(zip(("stripes", "tints", "real photographs"), np.eye(8), strict=False))
    values = np.concatenate([direction + chance.normal(0, 0.1, (60, 8)) for direction in kinds.values()])
    known = neighbours.Neighbours(values.astype(np.float32), [name for name in kinds for _ in range(60)])

    for name, direction in kinds.items():
        found = known.nearest((7 * direction + 0.1).astype(np.float32))
        assert (found.kind, found.count, found.asked) == (name, 40, 40)
    assert known.nearest(np.zeros(8, np.float32)).asked == 40


def test_a_word_names_a_shipped_release_and_everything_else_is_a_directory(tmp_path, monkeypatch):
    for name in ("unmask-2.0.0", "unmask-10.0.0", "unmask-lite-2.0.0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / releases.RECORD).write_text("{}")
    monkeypatch.setattr(releases, "SHIPPED", tmp_path)

    assert selection.chosen(tmp_path / "full" / "..") == tmp_path / "full" / ".."
    assert selection.shipped(selection.FULL).name == "unmask-10.0.0"
    assert selection.shipped(selection.LITE).name == "unmask-lite-2.0.0"
    (tmp_path / "unmask-lite-2.0.0" / releases.RECORD).unlink()
    with pytest.raises(ReleaseError, match="no detector release unmask-lite"):
        selection.shipped(selection.LITE)


def test_the_lite_release_serves_where_the_encoder_is_missing(release, cache, tmp_path, monkeypatch):
    shipped = tmp_path / "shipped"
    shutil.copytree(release.directory, shipped / "unmask-1.0.0")
    shutil.copytree(full.NETWORK, shipped / "unmask-lite-1.0.0")
    monkeypatch.setattr(releases, "SHIPPED", shipped)

    assert selection.chosen(None, cache).name == "unmask-1.0.0"
    assert selection.chosen(None, tmp_path / "empty").name == "unmask-lite-1.0.0"
