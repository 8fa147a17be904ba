"""Calibration lets no source outweigh another, and thresholds keep their promise on scores they were not chosen on."""

import numpy as np
import pytest
from scipy.stats import beta

from model import bands, calibration, metrics
from model.bands import Thresholds
from model.errors import DatasetError


def distorted(chance, count, temperature=3.0, bias=1.5):
    """Logits that say the truth only after a temperature and a bias, and their labels."""
    true = chance.normal(0, 2, count)
    labels = (chance.random(count) < 1 / (1 + np.exp(-true))).astype(int)
    return true * temperature + bias, labels


def test_calibration_finds_the_temperature_and_bias_of_distorted_logits():
    logits, labels = distorted(np.random.default_rng(0), 20_000)
    fitted = calibration.fit(logits, labels)
    assert (fitted.temperature, fitted.bias) == pytest.approx((3, -0.5), abs=0.15)
    assert metrics.calibration_error(fitted.apply(logits), labels) < 0.02


def test_a_large_source_or_one_of_many_reals_does_not_set_the_prior():
    chance = np.random.default_rng(1)
    small = distorted(chance, 4000)
    logits, labels = small
    many = np.flatnonzero(labels == 0).repeat(20)
    lopsided = (np.concatenate([logits, logits[many]]), np.concatenate([labels, labels[many]]))
    even, skewed = (calibration.fit_on_sources(each) for each in ({"a": small}, {"a": small, "b": lopsided}))
    assert skewed.bias == pytest.approx(even.bias, abs=0.02)
    assert skewed.temperature == pytest.approx(even.temperature, abs=0.02)
    assert calibration.fit(*lopsided).bias < even.bias - 1


def test_a_probability_gives_its_logit_back():
    known = calibration.Calibration(1.7, -0.4)
    logits = np.array([-20.0, -1, 0, 3, 20])
    assert known.undo(known.apply(logits)) == pytest.approx(logits)
    assert np.isfinite(known.undo([0.0, 1.0])).all()


def test_each_source_is_left_out_of_its_own_fit():
    chance = np.random.default_rng(8)
    sources = {name: distorted(chance, 3000, temperature) for name, temperature in (("a", 1.0), ("b", 1.0), ("c", 4.0))}
    fits = calibration.held_out_fits(sources)
    assert fits["c"].temperature == pytest.approx(1, abs=0.1)
    assert fits["a"].temperature > 1.3
    assert calibration.held_out_fits({"a": sources["a"]}) == {}


@pytest.mark.parametrize("sources", [{}, {"reals": ([0.1, 0.2], [0, 0])}])
def test_a_source_without_both_classes_is_refused(sources):
    with pytest.raises(DatasetError):
        calibration.fit_on_sources(sources)


def test_a_threshold_keeps_its_budget_on_fresh_reals_nine_times_in_ten():
    chance = np.random.default_rng(1)
    kept = [
        (chance.random(100_000) >= calibration.threshold(chance.random(500), 0.02)).mean() <= 0.02 for _ in range(100)
    ]
    assert np.mean(kept) >= 0.9


@pytest.mark.parametrize(("count", "budget"), [(500, 0.02), (300, 0.01), (61, 0.05), (1000, 0.10)])
def test_a_threshold_is_the_lowest_that_keeps_the_bound(count, budget):
    reals = np.random.default_rng(2).random(count)
    over = int((reals >= calibration.threshold(reals, budget)).sum())
    assert beta.ppf(0.95, over + 1, count - over) <= budget < beta.ppf(0.95, over + 2, count - over - 1)


def test_too_few_reals_promise_nothing():
    assert calibration.threshold(np.linspace(0, 1, 50), 0.01) == 1.0
    assert calibration.threshold(np.empty(0), 0.01) == 1.0


@pytest.mark.parametrize("budget", [0.01, 0.05, 0.1])
def test_fewest_is_where_a_promise_begins(budget):
    count = calibration.fewest(budget)
    assert calibration.threshold(np.full(count, 0.5), budget) < 1
    assert calibration.threshold(np.full(count - 1, 0.5), budget) == 1


def test_the_worst_source_sets_the_threshold_where_that_is_asked():
    chance = np.random.default_rng(3)
    reals = {"calm": chance.random(2000) * 0.5, "wild": 0.4 + chance.random(200) * 0.6}
    pooled, worst = (calibration.threshold_on_sources(reals, 0.05, worst=each) for each in (False, True))
    assert (reals["wild"] >= pooled).mean() > 0.05
    assert (reals["wild"] >= worst).mean() <= 0.05
    assert worst == calibration.threshold(reals["wild"], 0.05)


def test_sources_too_small_to_promise_anything_stand_together():
    chance = np.random.default_rng(4)
    reals = {"calm": chance.random(500) * 0.5, "few": 0.5 + chance.random(40) / 2, "fewer": 0.5 + chance.random(30) / 2}
    together = np.concatenate([reals["few"], reals["fewer"]])
    assert calibration.threshold_on_sources(reals, 0.05, worst=True) == calibration.threshold(together, 0.05)
    alone = {"calm": reals["calm"], "few": reals["few"]}
    assert calibration.threshold_on_sources(alone, 0.05, worst=True) < 1


def test_a_held_out_source_is_measured_at_a_threshold_that_never_saw_it():
    chance = np.random.default_rng(5)
    reals = {"a": chance.random(400) * 0.6, "b": chance.random(400) * 0.6, "strange": 0.5 + chance.random(100) / 2}
    found = calibration.held_out_rates(reals, ["a", "strange"], 0.05)
    assert found["strange"][1].share > 0.7
    others = np.concatenate([reals["a"], reals["b"]])
    assert found["strange"][0] == calibration.threshold(others, 0.05)
    assert found["a"][0] > found["strange"][0]  # `strange` is among the sources that it is taken from
    assert found["a"][1].hits == 0


def test_an_exact_interval_is_clopper_and_pearsons():
    rate = calibration.rate(7, 100)
    assert (rate.low, rate.high) == pytest.approx((beta.ppf(0.025, 7, 94), beta.ppf(0.975, 8, 93)))
    assert calibration.rate(0, 50).low == 0
    assert calibration.rate(0, 50).high == pytest.approx(1 - 0.025 ** (1 / 50))


def test_bands_follow_the_thresholds_and_doubts_come_first():
    thresholds = Thresholds(review=0.4, fake=0.8)
    assert [bands.band(score, thresholds) for score in (0.39, 0.4, 0.79, 0.8)] == ["clear", "review", "review", "fake"]
    assert bands.band(0.99, thresholds, (bands.NO_FACE,)) == "inconclusive"
