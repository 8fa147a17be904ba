"""What heads say of kinds, families and real sources that they never saw."""

import numpy as np
import pytest

from model.lab import heads as fits
from model.lab import leaving
from model.lab.samples import Samples
from tests.model.lab.made import CONFIG, KINDS, samples


def test_a_kind_with_a_relative_in_training_is_told_better_than_one_without():
    left = {each.source: each for each in leaving.scored(samples(count=200), KINDS, "kind", CONFIG)}

    assert left["alpha"].auc > 0.75  # beta shares a clue with it
    assert abs(left["gamma"].auc - 0.5) < 0.25  # nothing shares gamma's
    assert left["alpha"].fold == "alpha"
    assert left["alpha"].mates == ("alpha",)


def test_leaving_out_the_family_leaves_out_the_relative_too():
    by_kind = leaving.scored(samples(), KINDS, "kind", CONFIG)
    by_family = leaving.scored(samples(), KINDS, "family", CONFIG)

    assert {each.source: each.fold for each in by_family} == {"alpha": "one", "beta": "one", "gamma": "two"}
    assert leaving.macro(by_family) < leaving.macro(by_kind)


def test_forgeries_are_measured_against_reals_that_the_fold_did_not_learn_from():
    known = samples()
    half = leaving.first_half(known)
    for each in leaving.scored(known, KINDS, "kind", CONFIG):
        reals = each.rows[each.labels == 0]
        assert not half[reals].any()
        assert 0 < len(reals) < 60


def test_changing_what_is_left_out_changes_nothing_that_was_learnt():
    known = samples()
    changed = known.values.copy()
    theirs = (known.sources == "gamma") & (known.classes > 0)
    changed[theirs] += 100
    for before, after in zip(
        leaving.scored(known, KINDS, "kind", CONFIG),
        leaving.scored(known.with_values(changed), KINDS, "kind", CONFIG),
        strict=True,
    ):
        if before.source == "gamma":
            reals = before.labels == 0
            assert before.heads[reals] == pytest.approx(after.heads[reals])


def test_forgeries_made_of_a_real_face_are_left_out_with_it():
    known = samples()
    reals = known.where((known.sources == "alpha") & (known.classes == 0))
    made = Samples(
        reals.values + 3, np.full(len(reals), "blended"), np.full(len(reals), "blended"), reals.components,
        np.ones(len(reals), np.int64), reals.rows,
    )  # fmt: skip
    both = Samples(
        *(np.concatenate([getattr(known, name), getattr(made, name)]) for name in Samples.__dataclass_fields__)
    )
    onto = fits.projection(both.values, CONFIG)
    projected = both.with_values(fits.projected(onto, both.values))
    moved = projected.values.copy()
    moved[len(known) :] *= -5
    found, other = (
        leaving.reals_left_out(each, ["alpha"], onto, CONFIG)["alpha"]
        for each in (projected, projected.with_values(moved))
    )
    assert found == pytest.approx(other)
    assert found.shape == (60, 2)
