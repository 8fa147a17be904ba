"""What can be kept of a judged face: raw features and the small network's answer, from the pass that judged it."""

import numpy as np
import pytest

from model import releases
from model.backends import FEATURES, LOGITS, OnnxBackend
from model.detector import Detector
from model.encoder import running, store
from model.traits import network_of
from tests.model import full

FILES = [full.file(full.REAL, 600), full.file(full.STRIPED, 601), b"no picture"]


@pytest.fixture(scope="module")
def detector(full_release):
    return Detector.load(full_release.release.directory, "cpu", threads=2, cache=full_release.cache)


@pytest.fixture(scope="module")
def encoder(full_release):
    release = full_release.release
    path = store.graph(release.encoder, release.file(releases.ENCODER), full_release.cache)
    return running.OnnxEncoder(path, 2)


def judged(detector, **options):
    return detector.judge(detector.prepare(FILES), **options)


def test_each_judged_face_carries_raw_features_of_its_own_crop(detector, encoder, full_release):
    prepared = detector.prepare(FILES)
    for sheet, answer in zip(prepared.sheets[:2], detector.judge(prepared, keep_features=True), strict=False):
        (face,) = answer.faces
        crop = sheet.cuts[0].crops[-1]
        assert face.traits.features.dtype == np.float16
        assert face.traits.features == pytest.approx(encoder.features(crop[None])[0].astype(np.float16), abs=0.01)
        assert face.traits.encoder == full_release.release.encoder.graph == encoder.digest


def test_features_are_those_before_the_release_projects_them(detector):
    seat, answer = detector.panel.seats[0], judged(detector, keep_features=True)[0]
    raw = answer.faces[0].traits.features.astype(np.float32)
    crop = detector.prepare(FILES[:1]).sheets[0].cuts[0].crops[-1]
    read = seat.look([crop], [FEATURES])[FEATURES][0]
    assert raw.shape != read.shape
    assert seat.backend.probe.projection(raw[None])[0] == pytest.approx(read, abs=0.05)


def test_the_small_networks_answer_is_kept_with_its_name(detector, full_release):
    small = OnnxBackend(full_release.release, 2)
    sheet = detector.prepare(FILES).sheets[1]
    traits = judged(detector, keep_features=True)[1].faces[0].traits
    assert traits.logits == pytest.approx(small.look(sheet.cuts[0].crops[0][None], [LOGITS])[LOGITS][0], abs=1e-3)
    assert traits.network == network_of(full_release.release) == releases.digest(full.NETWORK / releases.WEIGHTS)


def test_nothing_is_kept_where_nobody_asked_and_answers_are_the_same(detector):
    plain, asked = judged(detector), judged(detector, keep_features=True)
    assert [face.traits for answer in plain[:2] for face in answer.faces] == [None, None]
    assert plain == asked
    assert [answer.as_dict() for answer in asked[:2]] == [answer.as_dict() for answer in plain[:2]]


def test_features_take_no_second_pass(detector, monkeypatch):
    encoder, runs = detector.panel.seats[0].backend._encoder, []
    features = type(encoder).features
    monkeypatch.setattr(type(encoder), "features", lambda self, crops: runs.append(len(crops)) or features(self, crops))
    judged(detector, keep_features=True)
    assert runs == [2]


def test_a_release_without_an_encoder_has_nothing_to_keep():
    lite = Detector.load(full.NETWORK, "cpu", threads=2)
    (face,) = judged(lite, keep_features=True)[0].faces
    assert face.traits is None
    assert 0 <= face.score <= 1


def test_the_tiny_release_is_the_same_every_time(full_release, tmp_path):
    again = full.build(tmp_path / "again", tmp_path / "cache")
    assert again.files == full_release.release.files
    assert (again.thresholds, again.fusion) == (full_release.release.thresholds, full_release.release.fusion)
