"""The cache of features: a run that is killed goes on to the same bytes."""

import numpy as np
import pytest

from model import pixels
from model.crops import Cutting
from model.lab import features, views
from model.lab.features import Plan
from tests.model.learning import WholePicture

CUTTING = Cutting(64, 1.15, True)


class Encoder:
    """Some numbers of each crop; it can be told to fail after so many runs."""

    digest, width = "made up", 6

    def __init__(self, runs=None):
        self.runs, self.asked = runs, 0

    def features(self, crops):
        if self.runs is not None and self.asked == self.runs:
            raise KeyboardInterrupt
        self.asked += 1
        return crops.reshape(len(crops), -1)[:, :: crops[0].size // 5][:, :6].astype(np.float32)


def bytes_of(folder, plan, album, view):
    home = plan.home(folder, album, view)
    return [(home / name).read_bytes() for name in ("values.npy", "made.npy", "rows.npy", "progress.json")]


@pytest.mark.parametrize("view", ["plain", "varied", "blended", "covered"])
def test_a_killed_run_resumes_to_the_same_bytes(tmp_path, album, view, monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 16)
    plan, rows = Plan("made up", CUTTING), list(range(len(album.items)))
    features.extract(tmp_path / "whole", plan, album, view, rows, Encoder())
    with pytest.raises(KeyboardInterrupt):
        features.extract(tmp_path / "killed", plan, album, view, rows, Encoder(runs=2))
    assert len(features.opened(plan.home(tmp_path / "killed", album, view)).rows) == 32

    done = []
    again = Encoder()
    found = features.extract(tmp_path / "killed", plan, album, view, rows, again, done.append)
    assert bytes_of(tmp_path / "killed", plan, album, view) == bytes_of(tmp_path / "whole", plan, album, view)
    assert sum(done) == len(rows)
    assert again.asked < len(rows) / features.BATCH
    assert found.values.shape == (len(rows), 6)


def test_what_is_there_is_not_computed_again(tmp_path, album):
    plan, rows = Plan("made up", CUTTING), [3, 1, 2]
    features.extract(tmp_path, plan, album, "plain", rows, Encoder())
    never = Encoder(runs=0)
    assert features.extract(tmp_path, plan, album, "plain", rows, never).rows.tolist() == rows


def test_other_rows_or_another_encoder_start_afresh(tmp_path, album):
    plan = Plan("made up", CUTTING)
    features.extract(tmp_path, plan, album, "plain", [1, 2], Encoder())
    assert features.extract(tmp_path, plan, album, "plain", [2, 3], Encoder()).rows.tolist() == [2, 3]
    assert Plan("another", CUTTING).home(tmp_path, album, "plain") != plan.home(tmp_path, album, "plain")


def test_a_view_that_cannot_be_made_is_left_out(tmp_path, album, monkeypatch):
    never = {**views.MAKERS, "spliced": lambda *_: None}
    monkeypatch.setattr(views, "MAKERS", never)
    found = features.extract(tmp_path, Plan("made up", CUTTING), album, "spliced", [0, 1], Encoder())
    assert found.rows.tolist() == []
    assert found.values.shape == (0, 6)


def test_a_plain_view_is_what_serving_cuts(album):
    image = next(pixels.decode(album.items[0].path.read_bytes())).pixels
    (face,) = WholePicture().find(image)
    assert np.array_equal(views.make("plain", album, 0, CUTTING), CUTTING.face(image, face.box))


def test_a_varied_view_follows_from_seed_and_name_alone(album):
    once, again, other = (views.make("varied", album, 4, CUTTING, seed) for seed in (0, 0, 1))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


@pytest.mark.parametrize("row", range(4))
def test_a_cover_hides_part_of_the_face_and_not_all_of_the_view(album, row):
    from model.lab import covers

    view = np.asarray(album.views[row])
    seen = [
        (covers.cover(view, album.boxes[row], album.landmarks[row], np.random.default_rng(seed)) != view)
        .any(axis=2)
        .mean()
        for seed in range(12)
    ]
    assert max(seen) < 0.6
    assert np.mean([share > 0.005 for share in seen]) > 0.8
