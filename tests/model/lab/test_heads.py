"""The heads: fitted, joined, written and read again."""

import numpy as np
import pytest

from model import probes
from model.errors import DatasetError, ReleaseError
from model.heads import HEADS
from model.lab import fusing, kinds, logistic
from model.lab import heads as fits
from model.lab import samples as sampling
from model.metrics import auc
from tests.model.lab.made import CONFIG, KINDS, WIDTH, probe, samples


def fitted(known, config=CONFIG):
    onto = fits.projection(known.values, config)
    return fits.fit(known.with_values(fits.projected(onto, known.values)), onto, config)


def judged(made, known):
    return made.heads(fits.projected(made.projection, known.values))


def test_heads_tell_the_forgeries_they_learnt_apart_and_which_head_they_belong_to():
    made, fresh = fitted(samples()), samples(seed=1)
    heads = judged(made, fresh)

    assert auc(np.logaddexp.reduce(heads, axis=1), fresh.fake) > 0.95
    fakes = fresh.classes > 0
    assert (heads[fakes].argmax(axis=1) + 1 == fresh.classes[fakes]).mean() > 0.9


def test_a_fit_is_the_same_twice():
    first, second = fitted(samples()), fitted(samples())

    assert np.array_equal(first.kinds.weights, second.kinds.weights)
    assert np.array_equal(first.projection.directions, second.projection.directions)


def test_a_prior_holds_weights_where_the_new_pictures_say_nothing():
    known = samples()
    weights = sampling.weights(known.sources, known.classes)
    before = logistic.fit(known.values, known.classes, weights, 1.0, 2)
    only = known.where(known.sources == "gamma")
    said = sampling.weights(only.sources, only.classes)
    anchored = logistic.fit(only.values, only.classes, said, 0.01, 2, before)
    free = logistic.fit(only.values, only.classes, said, 0.01, 2)

    synthetic = known.where((known.sources == "alpha") | (known.sources == "beta"))
    kept, lost = (auc(each(synthetic.values)[:, 1], synthetic.fake) for each in (anchored, free))
    assert kept > 0.95 > lost


def test_a_stronger_prior_moves_weights_less():
    known = samples()
    weights = sampling.weights(known.sources, known.fake)
    far, near = (np.abs(logistic.fit(known.values, known.fake, weights, size).weights).sum() for size in (1.0, 1e-4))
    assert near < far


def test_sources_count_by_the_root_of_their_size_and_classes_alike():
    sources = np.array(["large"] * 100 + ["small"] * 4 + ["large"] * 16)
    classes = np.array([0] * 104 + [1] * 16)
    found = sampling.weights(sources, classes)

    assert found[classes == 0].sum() == pytest.approx(found[classes == 1].sum())
    reals = classes == 0
    assert found[reals & (sources == "large")].sum() == pytest.approx(5 * found[reals & (sources == "small")].sum())


def test_the_share_of_the_head_of_any_kind_decides_the_sum_of_odds():
    values = np.random.default_rng(3).normal(size=(20, 4)).astype(np.float32)
    alone, never = probe(share=1.0), probe(share=0.0)

    overall = alone.overall(values)[:, 0]
    assert np.logaddexp.reduce(alone.heads(values), axis=1) == pytest.approx(overall, abs=1e-5)
    assert np.logaddexp.reduce(never.heads(values), axis=1) == pytest.approx(
        np.logaddexp.reduce(never.kinds(values), axis=1), abs=1e-5
    )
    # whatever the share, which head is the likelier one stays
    assert (np.diff(alone.heads(values)) > 0).tolist() == (np.diff(never.heads(values)) > 0).tolist()


@pytest.mark.parametrize("photograph", [False, True])
def test_a_probe_is_read_as_it_was_written(tmp_path, photograph):
    made = probe(photograph=photograph)
    made.write(tmp_path / "heads.npz")
    found = probes.read(tmp_path / "heads.npz")
    values = np.random.default_rng(1).normal(size=(3, WIDTH)).astype(np.float32)

    assert found.names == HEADS
    assert np.array_equal(found.heads(found.projection(values)), made.heads(made.projection(values)))
    assert (found.photograph is None) is not photograph


def broken(**changes):
    def write(path):
        made = probe()
        made.write(path)
        with np.load(path) as arrays:
            kept = {name: arrays[name] for name in arrays.files} | changes
        np.savez(path, **{name: value for name, value in kept.items() if value is not None})

    return write


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"no arrays"),
        lambda path: path.write_bytes(b""),
        broken(centre=None),
        broken(centre=np.zeros(3, np.float32)),
        broken(groups=np.array([0, 0])),
        broken(**{"kinds.weights": np.full((4, 2), np.nan, np.float32)}),
        broken(**{"kinds.bias": np.zeros(3, np.float32)}),
        broken(names=np.array([{}], object)),
    ],
)
def test_heads_that_do_not_fit_together_are_refused(tmp_path, write):
    path = tmp_path / "heads.npz"
    write(path)
    with pytest.raises(ReleaseError, match="holds no heads"):
        probes.read(path)


def test_fusion_leaves_a_part_out_that_is_wrong_and_keeps_one_that_is_right():
    chance = np.random.default_rng(0)
    classes = chance.integers(0, 3, 600)
    right = np.stack([(classes == head) * 4.0 - 2 for head in (1, 2)], axis=1) + chance.normal(size=(600, 2))
    for parts, place in (([right, -right], 0), ([-right, right], 1)):
        found = fusing.fit(parts, classes, np.ones(600))
        assert (found[:, :-1] >= 0).all()
        assert found[:, place].min() > 0.5
        assert found[:, 1 - place].max() < 0.1
        assert auc(np.logaddexp.reduce(probes.fused(parts, found), axis=1), (classes > 0).astype(int)) > 0.95


def test_the_table_of_kinds_says_what_is_left_out_together():
    assert kinds.folds(KINDS, "family") == {"one": ["alpha", "beta"], "two": ["gamma"]}
    assert kinds.mates(KINDS, "alpha", ["alpha"]) == ["alpha"]


@pytest.mark.parametrize(
    "text",
    [
        "[a]\nkind = 'x'",
        "[a]\nkind = 'x'\nfamily = 'y'\nhead = 'other'",
        "[a]\nfamily = 'y'",
        "a = 1",
        "[",
        "[a]\nkind='x'\nfoo=1",
    ],
)
def test_a_wrong_table_of_kinds_is_refused_by_name(tmp_path, text):
    (tmp_path / "kinds.toml").write_text(text)
    with pytest.raises(DatasetError, match=r"kinds\.toml"):
        kinds.read(tmp_path / "kinds.toml")
