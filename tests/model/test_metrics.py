"""Figures agree with scikit-learn's, weights are as good as copies, and intervals keep groups together."""

import numpy as np
import pytest
from sklearn import metrics as peer

from model import metrics
from model.metrics import Scored

CUTS = {"even": 0.5, "review": 0.6, "fake": 0.9}


@pytest.fixture(scope="module")
def noisy():
    chance = np.random.default_rng(3)
    labels = chance.integers(0, 2, 900)
    scores = 1 / (1 + np.exp(-(chance.normal(0, 1.2, 900) + 1.5 * labels - 0.7)))
    return scores.round(2), labels  # rounding makes ties


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(4).integers(0, 4, (3, 900)).astype(float)


def test_ranking_figures_are_scikit_learns_for_any_weights(noisy, weights):
    scores, labels = noisy
    found = metrics.statistics(scores, labels, weights, CUTS)
    for row, weight in enumerate(weights):
        balance = weight * np.where(labels == 1, (weight * (1 - labels)).sum(), (weight * labels).sum())
        assert found["auc"][row] == pytest.approx(peer.roc_auc_score(labels, scores, sample_weight=weight))
        assert found["average_precision"][row] == pytest.approx(
            peer.average_precision_score(labels, scores, sample_weight=balance)
        )
        assert found["brier"][row] == pytest.approx(peer.brier_score_loss(labels, scores, sample_weight=weight))
        assert found["balanced_accuracy"][row] == pytest.approx(
            peer.balanced_accuracy_score(labels, scores >= 0.5, sample_weight=weight)
        )
        assert found["accuracy"][row] == pytest.approx(peer.accuracy_score(labels, scores >= 0.5, sample_weight=weight))


def test_average_precision_at_one_percent_is_that_of_reals_weighted_up(noisy):
    scores, labels = noisy
    up = np.where(labels == 1, 1.0, 99 * labels.sum() / (1 - labels).sum())
    found = metrics.statistics(scores, labels, np.ones((1, len(labels))), {})
    assert found["average_precision_at_1_percent"][0] == pytest.approx(
        peer.average_precision_score(labels, scores, sample_weight=up)
    )


def test_a_weight_is_as_good_as_copies(noisy, weights):
    scores, labels = noisy
    times = weights[0].astype(int)
    copied = metrics.statistics(scores.repeat(times), labels.repeat(times), np.ones((1, times.sum())), CUTS)
    weighted = metrics.statistics(scores, labels, weights[:1], CUTS)
    for name, value in copied.items():
        # Bins of equal mass may cut a heavy file's copies apart, which one weighted file cannot be.
        assert weighted[name][0] == pytest.approx(value[0], abs=0.01 if name == "calibration_error" else 1e-9), name


def test_the_per_class_report_is_scikit_learns(noisy):
    scores, labels = noisy
    mine = metrics.per_class(scores, labels)
    table = peer.classification_report(labels, scores >= 0.5, output_dict=True)
    for label, name in ((0, "real"), (1, "fake")):
        theirs = table[str(label)]
        assert mine["classes"][name] == pytest.approx({"precision": theirs["precision"], "recall": theirs["recall"], "f1": theirs["f1-score"], "support": theirs["support"]})  # fmt: skip
    assert mine["confusion"] == peer.confusion_matrix(labels, scores >= 0.5).tolist()


def test_a_higher_score_means_fake():
    assert metrics.auc(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])) == 1.0
    assert metrics.auc(np.array([0.9, 0.8, 0.2, 0.1]), np.array([0, 0, 1, 1])) == 0.0
    assert np.isnan(metrics.auc(np.array([0.9, 0.8]), np.array([1, 1])))


def test_recall_at_a_rate_lets_no_more_reals_through(noisy):
    scores, labels = noisy
    reals, fakes = scores[labels == 0], scores[labels == 1]
    figures = metrics.summary(Scored(scores, labels, [str(index) for index in range(900)]), CUTS, draws=2)
    allowed = [(fakes >= cut).mean() for cut in np.unique(scores) if (reals >= cut).mean() <= 0.05]
    assert figures["recall_at_false_positive_rate"]["0.05"] == pytest.approx(max(allowed))
    assert figures["recall_at_false_positive_rate"]["0.001"] <= figures["recall_at_false_positive_rate"]["0.01"]


def test_calibration_error_is_the_gap_between_score_and_share():
    assert metrics.calibration_error(np.full(100, 0.9), np.zeros(100, int)) == pytest.approx(0.9)
    assert metrics.calibration_error(np.repeat([0.0, 1.0], 50), np.repeat([0, 1], 50)) == 0


def test_intervals_over_groups_are_wider_than_over_their_copies(noisy):
    scores, labels = noisy
    copied = Scored(np.tile(scores, 4), np.tile(labels, 4), [str(k % 900) for k in range(3600)])
    parted = Scored(copied.scores, copied.labels, [str(k) for k in range(3600)])
    grouped, single = (np.diff(metrics.interval(scored, "auc", 200))[0] for scored in (copied, parted))
    assert grouped > 1.5 * single


def test_a_95_percent_interval_holds_the_truth_in_about_19_of_20_samples():
    chance = np.random.default_rng(5)
    held = 0
    for _ in range(100):
        labels = np.tile([0, 1], 100)
        mood = chance.normal(0, 0.7, 100).repeat(2)  # pairs of a group share it
        scores = chance.normal(labels * 1.0, 1) + mood
        low, high = metrics.interval(Scored(scores, labels, [str(k // 2) for k in range(200)]), "auc", 200)
        held += low <= 0.7188 <= high  # P(N(1, 2 * (1 + .49)) > 0)
    assert 88 <= held <= 100


def test_a_single_group_has_no_interval():
    assert metrics.interval(Scored(np.array([0.1, 0.9]), np.array([0, 1]), ["a", "a"]), "auc") == []


def test_one_class_gives_rates_and_no_ranking():
    figures = metrics.summary(Scored(np.array([0.1, 0.6, 0.9]), np.zeros(3, int), ["a", "b", "c"]), CUTS)
    assert figures["false_positive_rate"] == pytest.approx({"even": 2 / 3, "review": 2 / 3, "fake": 1 / 3})
    assert figures["intervals"].keys() == {
        "brier",
        "false_positive_rate.even",
        "false_positive_rate.review",
        "false_positive_rate.fake",
    }
    assert figures["balanced_accuracy"] is None
    assert figures["classes"]["fake"]["recall"] is None


def test_nothing_measured_is_no_figure():
    empty = Scored(np.empty(0), np.empty(0, np.int64), [])
    assert metrics.summary(empty, CUTS) == {"files": 0, "fakes": 0}
