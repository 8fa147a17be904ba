"""Figures of a set of scores: polarity 0 real, 1 fake, a score is P(fake). It refuses to average over sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15  # of equal mass, for the calibration error
EVEN = 0.5  # where the per-class report and the confusion matrix cut

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores float64 (n,), labels int (n,) and the group of each file, which intervals keep together."""

    scores: Floats
    labels: NDArray[np.int64]
    groups: Sequence[str]

    @property
    def both_classes(self) -> bool:
        return bool(0 < self.labels.sum() < len(self.labels))


def auc(scores: Floats, labels: NDArray[np.int64]) -> float:
    """Area under the ROC curve, ties counted half; NaN for one class."""
    fakes = int(labels.sum())
    reals = len(labels) - fakes
    if not fakes or not reals:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels == 1].sum() - fakes * (fakes + 1) / 2) / (fakes * reals))


def average_precision(scores: Floats, labels: NDArray[np.int64], prevalence: float = 0.5) -> float:
    """Mean precision over the fakes, were the share of fakes `prevalence`."""
    order = np.argsort(-scores, kind="stable")
    hits = labels[order] == 1
    recall, false_rate = np.cumsum(hits) / hits.sum(), np.cumsum(~hits) / (~hits).sum()
    precision = prevalence * recall / (prevalence * recall + (1 - prevalence) * false_rate)
    return float(precision[hits].mean())


def recall_at(scores: Floats, labels: NDArray[np.int64], false_rate: float) -> float:
    """The share of fakes above the score that lets at most `false_rate` of these reals through."""
    reals = np.sort(scores[labels == 0])[::-1]
    cut = reals[min(int(false_rate * len(reals)), len(reals) - 1)]
    return float((scores[labels == 1] > cut).mean())


def calibration_error(scores: Floats, labels: NDArray[np.int64]) -> float:
    """Expected calibration error over bins of equal mass."""
    order = np.argsort(scores)
    parts = [part for part in np.array_split(order, min(BINS, len(order))) if len(part)]
    gaps = [abs(scores[part].mean() - labels[part].mean()) * len(part) for part in parts]
    return float(sum(gaps) / len(order))


def per_class(scores: Floats, labels: NDArray[np.int64], cut: float = EVEN) -> dict[str, Any]:
    """Confusion matrix [[real as real, real as fake], [fake as real, fake as fake]], accuracies, and precision,
    recall, F1 and support of each class at `cut`.
    """
    said = (scores >= cut).astype(int)
    matrix = np.zeros((2, 2), int)
    np.add.at(matrix, (labels, said), 1)
    report = {}
    for label, name in enumerate(("real", "fake")):
        right, support, claimed = matrix[label, label], matrix[label].sum(), matrix[:, label].sum()
        recall, precision = (float(right / total) if total else None for total in (support, claimed))
        f1 = 2 * recall * precision / (recall + precision) if recall and precision else 0.0
        report[name] = {"precision": precision, "recall": recall, "f1": f1, "support": int(support)}
    recalls = [row["recall"] for row in report.values() if row["recall"] is not None]
    return {
        "confusion": matrix.tolist(),
        "accuracy": float(np.trace(matrix) / max(1, matrix.sum())),
        "balanced_accuracy": float(np.mean(recalls)) if len(recalls) == 2 else None,
        "classes": report,
    }


def interval(
    scored: Scored, figure: Callable[[Floats, NDArray[np.int64]], float], draws: int = 500, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of `figure` by resampling whole groups."""
    names, member = np.unique(np.asarray(scored.groups), return_inverse=True)
    rows = [np.flatnonzero(member == index) for index in range(len(names))]
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = np.concatenate([rows[index] for index in chance.integers(0, len(rows), len(rows))])
        found.append(figure(scored.scores[drawn], scored.labels[drawn]))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def summary(scored: Scored, review: float, fake: float) -> dict[str, Any]:
    """Every figure that this set of scores allows: rates of both bands always, ranking figures for two classes."""
    scores, labels = scored.scores, scored.labels
    figures: dict[str, Any] = {"files": len(labels), "fakes": int(labels.sum())}
    for label, name in enumerate(("false_positive_rate", "recall")):
        mine = scores[labels == label]
        if len(mine):
            cuts = {"even": EVEN, "review": review, "fake": fake}
            figures[name] = {band: float((mine >= cut).mean()) for band, cut in cuts.items()}
    if len(labels):
        figures["brier"] = float(((scores - labels) ** 2).mean())
        figures |= per_class(scores, labels)
    if scored.both_classes:
        figures["auc"] = auc(scores, labels)
        figures["auc_interval"] = interval(scored, auc)
        figures["average_precision"] = average_precision(scores, labels)
        figures["average_precision_at_1_percent"] = average_precision(scores, labels, 0.01)
        figures["recall_at_false_positive_rate"] = {
            f"{rate:g}": recall_at(scores, labels, rate) for rate in (0.001, 0.01, 0.05)
        }
        figures["calibration_error"] = calibration_error(scores, labels)
    return figures
