"""The golden set pins everything between a file and a score: whatever moves there is told, and where."""

import json
import shutil

import cv2
import numpy as np
import pytest

from model import crops, faces, fitting, golden, pixels, releases, verification
from model.errors import ReleaseError


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """The shipped release with a golden set made here and now."""
    home = tmp_path_factory.mktemp("releases") / "unmask-9.9.9"
    shutil.copytree(releases.default_path(), home)
    return fitting.finish(releases.read(home))


def layers(release):
    return {difference.layer for difference in golden.differences(release)}


def test_nothing_differs_where_nothing_changed(release):
    assert golden.differences(release) == []
    checks = verification.verify(release.directory)
    assert {check.name for check in checks} >= {"golden crops", "golden faces", "golden files", "graph and weights"}
    assert {check.state for check in checks} == {verification.PASSED}


def test_faces_are_found_on_every_drawn_portrait(release):
    files = golden.read(release)["files"]
    assert [len(files[name]["boxes"]) for name in files] == [1, 1, 1, 1, 1, 1, 2, 0, 0]


def test_another_margin_is_told(release, monkeypatch):
    square = crops.square
    monkeypatch.setattr(crops, "square", lambda image, box, margin, size: square(image, box, margin * 1.05, size))
    assert layers(release) == {"cuts", "files"}


def test_another_resize_kernel_is_told(release, monkeypatch):
    monkeypatch.setattr(
        crops, "resized", lambda image, size: cv2.resize(image, (size, size), interpolation=cv2.INTER_NEAREST)
    )
    assert layers(release) == {"cuts", "files"}


def test_another_order_of_channels_is_told(release, monkeypatch):
    fast, upright = pixels._fast, pixels.upright
    monkeypatch.setattr(pixels, "_fast", lambda *arguments: np.ascontiguousarray(fast(*arguments)[..., ::-1]))
    monkeypatch.setattr(pixels, "upright", lambda image: np.ascontiguousarray(upright(image)[..., ::-1]))
    assert layers(release) == {"files"}


def test_a_finder_that_looks_elsewhere_is_told(release, monkeypatch):
    find = faces.NetworkFinder.find
    monkeypatch.setattr(faces.NetworkFinder, "find", lambda self, image: find(self, image)[1:])
    told = golden.differences(release)
    assert {(each.layer, each.detail) for each in told} >= {("files", "1 faces were found, now 0")}


def test_another_calibration_is_told(release, tmp_path):
    shutil.copytree(release.directory, tmp_path / "other-1.0.0")
    record = json.loads((tmp_path / "other-1.0.0" / releases.RECORD).read_text())
    record["calibration"]["bias"] += 0.5
    (tmp_path / "other-1.0.0" / releases.RECORD).write_text(json.dumps(record))
    assert layers(releases.read(tmp_path / "other-1.0.0")) == {"files"}


def test_a_release_of_the_new_format_without_a_golden_set_fails(release, tmp_path):
    shutil.copytree(release.directory, tmp_path / "other-1.0.0")
    (tmp_path / "other-1.0.0" / releases.GOLDEN).unlink()
    other = releases.Release(
        tmp_path / "other-1.0.0",
        *(getattr(release, name) for name in ("name", "version", "backbone", "preprocessing", "calibration")),
        release.thresholds,
    )
    releases.seal(other)
    states = {check.name: check.state for check in verification.verify(other.directory)}
    assert states["golden set"] == verification.FAILED


def test_a_golden_set_that_is_none_is_refused(release, tmp_path):
    shutil.copytree(release.directory, tmp_path / "other-1.0.0")
    (tmp_path / "other-1.0.0" / releases.GOLDEN).write_text("{}")
    releases.seal(releases.Release(tmp_path / "other-1.0.0", *(
        getattr(release, name) for name in ("name", "version", "backbone", "preprocessing", "calibration", "thresholds")
    )))  # fmt: skip
    with pytest.raises(ReleaseError, match="cannot be read"):
        golden.read(releases.read(tmp_path / "other-1.0.0"))
