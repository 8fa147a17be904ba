"""Cuts of a release: what they promise of all reals together and of the worst source."""

from pathlib import Path

import numpy as np
import pytest

from model import fitting, splits
from model.calibration import Calibration
from model.errors import ReleaseError
from model.fitting import Answer
from model.sources import Item


def answers(source, label, logits):
    return [
        Answer(Item(Path(), f"{source}/{k}", source, label, str(k)), float(logit), [], [])
        for k, logit in enumerate(logits)
    ]


def test_calibration_takes_validation_and_half_of_what_was_held_out():
    listed = [Item(Path(), f"{s}/{k}", s, 0, str(k)) for k in range(200) for s in ("seen", "away")]
    divided = splits.divide(listed, {"away"})
    chosen = fitting.chosen(divided)
    assert [item for item in chosen if item.source == "seen"] == divided[splits.VALIDATION]
    away = [item for item in chosen if item.source == "away"]
    assert 70 < len(away) < 130
    assert all(splits.calibrates(item) for item in away)


def test_the_fake_cut_is_kept_by_the_worst_source():
    chance = np.random.default_rng(0)
    tame, wild = chance.normal(-3, 1, 2000), chance.normal(1, 1, 200)
    found = answers("tame", 0, tame) + answers("wild", 0, wild)
    cuts, promise = fitting._thresholds(found, Calibration())
    scores = Calibration().apply(wild)
    assert (scores >= cuts.fake).mean() <= fitting.WORST_BUDGET
    assert (scores >= cuts.review).mean() > 0.5  # a review costs a look, not an accusation
    assert "tame, wild" in promise
    alone, _ = fitting._thresholds(answers("tame", 0, tame), Calibration())
    assert alone.fake < cuts.fake


def test_calibration_wants_both_classes():
    with pytest.raises(ReleaseError, match="both classes"):
        fitting._fitted(answers("s", 0, [0.0, 1.0]))
