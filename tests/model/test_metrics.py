"""Figures agree with scikit-learn's, and thresholds keep their promise on scores they were not chosen on."""

import numpy as np
import pytest
from sklearn import metrics as peer

from model import bands, calibration, metrics
from model.bands import Thresholds
from model.metrics import Scored


@pytest.fixture(scope="module")
def noisy():
    chance = np.random.default_rng(3)
    labels = chance.integers(0, 2, 900)
    scores = 1 / (1 + np.exp(-(chance.normal(0, 1.2, 900) + 1.5 * labels - 0.7)))
    return scores.round(2), labels  # rounding makes ties


def test_ranking_figures_are_scikit_learns(noisy):
    scores, labels = noisy
    assert metrics.auc(scores, labels) == pytest.approx(peer.roc_auc_score(labels, scores))
    untied = scores + np.arange(len(scores)) * 1e-9
    share = labels.mean()
    assert metrics.average_precision(untied, labels, share) == pytest.approx(
        peer.average_precision_score(labels, untied)
    )


def test_the_per_class_report_is_scikit_learns(noisy):
    scores, labels = noisy
    mine = metrics.per_class(scores, labels)
    precision, recall, f1, support = peer.precision_recall_fscore_support(labels, scores >= 0.5)
    for index, name in enumerate(("real", "fake")):
        expected = {"precision": precision[index], "recall": recall[index], "f1": f1[index], "support": support[index]}
        assert mine["classes"][name] == pytest.approx(expected)
    assert mine["confusion"] == peer.confusion_matrix(labels, scores >= 0.5).tolist()
    assert mine["balanced_accuracy"] == pytest.approx(peer.balanced_accuracy_score(labels, scores >= 0.5))


def test_a_higher_score_means_fake():
    assert metrics.auc(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])) == 1.0
    assert metrics.auc(np.array([0.9, 0.8, 0.2, 0.1]), np.array([0, 0, 1, 1])) == 0.0


def test_recall_at_a_rate_lets_no_more_reals_through(noisy):
    scores, labels = noisy
    cut = np.sort(scores[labels == 0])[::-1][int(0.05 * (labels == 0).sum())]
    assert (scores[labels == 0] > cut).mean() <= 0.05
    assert metrics.recall_at(scores, labels, 0.05) == (scores[labels == 1] > cut).mean()


def test_intervals_over_groups_are_wider_than_over_their_copies(noisy):
    scores, labels = noisy
    copied = Scored(np.tile(scores, 4), np.tile(labels, 4), [str(k % 900) for k in range(3600)])
    parted = Scored(copied.scores, copied.labels, [str(k) for k in range(3600)])
    grouped, single = (np.diff(metrics.interval(scored, metrics.auc, 200))[0] for scored in (copied, parted))
    assert grouped > 1.5 * single


def test_one_class_gives_rates_and_no_ranking():
    figures = metrics.summary(Scored(np.array([0.1, 0.6, 0.9]), np.zeros(3, int), ["a", "b", "c"]), 0.5, 0.8)
    assert figures["false_positive_rate"] == pytest.approx({"even": 2 / 3, "review": 2 / 3, "fake": 1 / 3})
    assert "auc" not in figures
    assert figures["balanced_accuracy"] is None


def test_calibration_finds_the_temperature_and_bias_of_distorted_logits():
    chance = np.random.default_rng(0)
    true = chance.normal(0, 2, 20_000)
    labels = (chance.random(20_000) < 1 / (1 + np.exp(-true))).astype(int)
    fitted = calibration.fit(true * 3 + 1.5, labels)
    assert (fitted.temperature, fitted.bias) == pytest.approx((3, -0.5), abs=0.15)
    assert metrics.calibration_error(fitted.apply(true * 3 + 1.5), labels) < 0.02


def test_a_threshold_keeps_its_budget_on_fresh_reals_nine_times_in_ten():
    chance = np.random.default_rng(1)
    kept = [
        (chance.random(100_000) >= calibration.threshold(chance.random(500), 0.02)).mean() <= 0.02 for _ in range(100)
    ]
    assert np.mean(kept) >= 0.9


def test_too_few_reals_promise_nothing():
    assert calibration.threshold(np.linspace(0, 1, 50), 0.01) == 1.0


def test_bands_follow_the_thresholds_and_doubts_come_first():
    thresholds = Thresholds(review=0.4, fake=0.8)
    assert [bands.band(score, thresholds) for score in (0.39, 0.4, 0.79, 0.8)] == ["clear", "review", "review", "fake"]
    assert bands.band(0.99, thresholds, (bands.NO_FACE,)) == "inconclusive"
