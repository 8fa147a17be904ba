"""What lies far from familiar features is told from what does not; what cannot be told is not made up."""

import numpy as np
import pytest

from model import familiarity
from model.errors import ReleaseError


@pytest.fixture
def chance():
    return np.random.default_rng(0)


@pytest.fixture
def features(chance):
    """Faces along 40 directions of 200, with a little of everything else."""
    mix = chance.normal(size=(40, 200))
    return (3 + chance.normal(size=(1200, 40)) @ mix + 0.3 * chance.normal(size=(1200, 200))).astype(np.float32)


def test_familiar_features_stay_within_the_limit(features):
    known = familiarity.fit(features[:1000])
    assert (known.distance(features[1000:]) > 1).mean() < 0.05


def test_strange_features_lie_beyond_it(features, chance):
    known = familiarity.fit(features[:1000])
    assert (known.distance(chance.normal(size=(100, 200)).astype(np.float32)) > 1).mean() > 0.95


def test_a_small_source_of_its_own_kind_is_familiar_where_sources_weigh_by_the_root_of_their_size(features, chance):
    kind = 3 * chance.normal(size=200).astype(np.float32)
    small = kind + 0.3 * chance.normal(size=(60, 200)).astype(np.float32)
    order = chance.permutation(1010)
    every, weights = np.concatenate([features[:1000], small[:10]]), np.repeat([1000**-0.5, 10**-0.5], [1000, 10])
    assert (familiarity.fit(every[order]).distance(small[10:]) > 1).mean() > 0.9
    assert (familiarity.fit(every[order], weights[order]).distance(small[10:]) > 1).mean() < 0.1


def test_how_strong_a_feature_is_does_not_matter(features):
    known = familiarity.fit(features)
    assert known.distance(7 * features[:9]) == pytest.approx(known.distance(features[:9]), rel=1e-3, abs=1e-6)


def test_the_limit_leaves_out_one_in_a_hundred_of_the_faces_it_was_set_on(features):
    known = familiarity.fit(features)
    assert (known.distance(features[1::2]) > 1).mean() == pytest.approx(0.01, abs=0.003)


def test_of_few_faces_nothing_is_familiar(features):
    assert familiarity.fit(features[: familiarity.FEWEST - 1]) is None
    assert familiarity.fit(np.zeros((0,), np.float32)) is None


def test_what_is_written_is_read_back(features, tmp_path):
    known = familiarity.fit(features)
    known.write(tmp_path / "familiar.npz")
    again = familiarity.read(tmp_path / "familiar.npz")
    assert np.array_equal(again.distance(features), known.distance(features))


@pytest.mark.parametrize("content", [b"", b"no arrays", b"PK\x03\x04"])
def test_a_file_that_holds_no_arrays_is_refused(tmp_path, content):
    (tmp_path / "familiar.npz").write_bytes(content)
    with pytest.raises(ReleaseError):
        familiarity.read(tmp_path / "familiar.npz")


def test_pickles_are_never_opened(tmp_path):
    np.savez(tmp_path / "familiar.npz", centre=np.array([object()]), directions=np.zeros((1, 1)), limit=1.0)
    with pytest.raises(ReleaseError):
        familiarity.read(tmp_path / "familiar.npz")


def test_arrays_that_do_not_belong_together_are_refused(tmp_path):
    np.savez(tmp_path / "familiar.npz", centre=np.zeros(3), directions=np.zeros((2, 4)), limit=1.0)
    with pytest.raises(ReleaseError, match="belong together"):
        familiarity.read(tmp_path / "familiar.npz")
