"""A release says what it is, and is believed only where its files say the same."""

import json
import shutil

import pytest

from model import agreement, backends, releases, verification
from model.detector import Detector
from model.errors import ReleaseError


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(releases.default_path(), tmp_path / "unmask-9.9.9")
    return tmp_path / "unmask-9.9.9"


def test_the_shipped_release_is_whole_and_small():
    release = releases.read()
    assert release.name == "unmask-lite"
    assert 0 <= release.thresholds.review <= release.thresholds.fake <= 1
    assert {releases.WEIGHTS, releases.GRAPH, releases.LIST} <= set(release.files)
    assert sum(path.stat().st_size for path in release.directory.iterdir()) < 20_000_000


def test_what_is_sealed_is_read_back(copy):
    release = releases.read(copy)
    releases.seal(release)
    assert releases.read(copy) == release


def test_a_release_of_before_views_has_its_faces_cut_from_the_picture(copy):
    said = json.loads((copy / releases.RECORD).read_text())
    said["format"] = 2
    said["preprocessing"].pop("through", None)
    (copy / releases.RECORD).write_text(json.dumps(said))
    assert not releases.read(copy).preprocessing.cutting.through


@pytest.mark.parametrize("name", [releases.WEIGHTS, releases.GRAPH, releases.LIST])
def test_a_changed_file_is_refused(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ReleaseError, match="SHA-256"):
        Detector.load(copy)


def test_a_missing_file_is_refused(copy):
    (copy / releases.GRAPH).unlink()
    with pytest.raises(ReleaseError, match="missing"):
        releases.read(copy)


def test_a_file_outside_the_directory_is_refused(copy):
    said = json.loads((copy / releases.RECORD).read_text())
    said["files"]["../secret"] = "0" * 64
    (copy / releases.RECORD).write_text(json.dumps(said))
    with pytest.raises(ReleaseError):
        releases.read(copy)


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"format": 1}', '{"format": 99}', "\0"])
def test_a_record_that_is_none_is_refused_in_one_line(tmp_path, record):
    (tmp_path / releases.RECORD).write_text(record)
    with pytest.raises(ReleaseError) as refused:
        releases.read(tmp_path)
    assert "\n" not in str(refused.value)


def test_an_empty_directory_is_no_release(tmp_path):
    with pytest.raises(ReleaseError, match="no detector release"):
        Detector.load(tmp_path)


def test_the_newest_version_is_the_default(tmp_path, monkeypatch):
    for version in ("0.9.0", "0.10.0", "0.2.7"):
        (tmp_path / f"unmask-lite-{version}").mkdir()
        (tmp_path / f"unmask-lite-{version}" / releases.RECORD).write_text("{}")
    monkeypatch.setattr(releases, "SHIPPED", tmp_path)
    assert releases.default_path().name == "unmask-lite-0.10.0"


def test_torch_and_onnx_say_the_same():
    assert agreement.gap(releases.read()) <= verification.AGREEMENT


def test_a_batch_of_any_size_gives_each_crop_its_own_logits(detector):
    import numpy as np

    size = detector.release.preprocessing.size
    stack = np.random.default_rng(0).integers(0, 256, (5, size, size, 3), np.uint8)
    backend = backends.start(detector.release, "cpu", 1)
    alone = np.concatenate([backend.forward(crop[None]) for crop in stack])
    assert backend.forward(stack) == pytest.approx(alone, abs=1e-5)
