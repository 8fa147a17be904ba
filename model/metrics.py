"""Figures of a set of scores, each with its 95 % interval: polarity 0 real, 1 fake, a score is P(fake).

Every figure is computed from weighted files and for many weightings at once, so that the figure itself (all weights
one) and its cluster bootstrap (whole groups drawn with replacement; Field and Welsh, "Bootstrapping clustered data",
2007) are the same formula. It refuses to average over sources, and to give an interval to a single group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15  # of equal mass, for the calibration error
EVEN = 0.5  # where the per-class report and the confusion matrix cut
DRAWS = 1000
FALSE_RATES = (0.001, 0.01, 0.05)
RARE = 0.01  # prevalence of fakes on a platform that is not under attack
_AT_ONCE = 4_000_000  # weights held in memory: 32 MB an array

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores float64 (n,), labels int (n,) and the group of each file, which intervals keep together."""

    scores: Floats
    labels: Labels
    groups: Sequence[str]

    @property
    def both_classes(self) -> bool:
        return bool(0 < self.labels.sum() < len(self.labels))


def summary(scored: Scored, cuts: Mapping[str, float], draws: int = DRAWS) -> dict[str, Any]:
    """Every figure that this set of scores allows, as JSON can carry it: rates at the `cuts` always, ranking figures
    for two classes, and under `intervals` the 95 % interval of each by its dotted name.
    """
    figures: dict[str, Any] = {"files": len(scored.labels), "fakes": int(scored.labels.sum())}
    if not len(scored.labels):
        return figures
    figures |= per_class(scored.scores, scored.labels)
    values = statistics(scored.scores, scored.labels, np.ones((1, len(scored.labels))), cuts)
    for name, value in values.items():
        parent, _, leaf = name.partition(".")
        if leaf:
            figures.setdefault(parent, {})[leaf] = float(value[0])
        else:
            figures[parent] = float(value[0])
    figures["intervals"] = intervals(scored, cuts, draws)
    return figures


def auc(scores: Floats, labels: Labels) -> float:
    """Area under the ROC curve, ties counted half; NaN for one class."""
    if not 0 < labels.sum() < len(labels):
        return float("nan")
    return float(statistics(scores, labels, np.ones((1, len(labels))), {})["auc"][0])


def calibration_error(scores: Floats, labels: Labels) -> float:
    """Expected calibration error over `BINS` bins of equal mass."""
    order = np.argsort(-scores, kind="stable")
    return float(_calibration_error(scores[order], labels[order], np.ones((1, len(labels))))[0])


def statistics(scores: Floats, labels: Labels, weights: Floats, cuts: Mapping[str, float]) -> dict[str, Floats]:
    """Float64 (draws,) of each figure by its dotted name, for `weights` (draws, n) of the n files.

    `false_positive_rate.CUT` and `recall.CUT` are shares of the class at or above a cut, and `brier` needs no second
    class either; the rest is there for two classes only. A draw without one of the two gives NaN.
    """
    order = np.argsort(-scores, kind="stable")
    s, y, w = scores[order], labels[order], weights[:, order]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {"brier": w @ (s - y) ** 2 / w.sum(1)}
        for label, name in enumerate(("false_positive_rate", "recall")):
            if (y == label).any():
                mine = w[:, y == label]
                found |= {f"{name}.{cut}": mine @ (s[y == label] >= at) / mine.sum(1) for cut, at in cuts.items()}
        if 0 < y.sum() < len(y):
            found |= _ranking(s, y, w)
            found["calibration_error"] = _calibration_error(s, y, w)
            right = w @ ((s >= EVEN) == (y == 1))
            found["accuracy"] = right / w.sum(1)
            found["balanced_accuracy"] = _balanced_accuracy(s, y, w)
    return found


def per_class(scores: Floats, labels: Labels, cut: float = EVEN) -> dict[str, Any]:
    """Confusion matrix [[real as real, real as fake], [fake as real, fake as fake]], accuracies, and precision,
    recall, F1 and support of each class at `cut`; None where there is nothing to divide by.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    said = (scores >= cut).astype(int)
    table = precision_recall_fscore_support(labels, said, labels=[0, 1], zero_division=np.nan)
    names = ("precision", "recall", "f1")
    recalls = table[1]
    return {
        "confusion": confusion_matrix(labels, said, labels=[0, 1]).tolist(),
        "accuracy": float((said == labels).mean()),
        "balanced_accuracy": None if np.isnan(recalls).any() else float(recalls.mean()),
        "classes": {
            kind: {name: _or_none(table[row][label]) for row, name in enumerate(names)}
            | {"support": int(table[3][label])}
            for label, kind in enumerate(("real", "fake"))
        },
    }


def intervals(scored: Scored, cuts: Mapping[str, float], draws: int = DRAWS) -> dict[str, list[float]]:
    """The 95 % interval of each figure by its dotted name, resampling whole groups; empty for a single group."""
    parts: dict[str, list[Floats]] = {}
    for weights in resampled(scored.groups, draws):
        for name, values in statistics(scored.scores, scored.labels, weights, cuts).items():
            parts.setdefault(name, []).append(values)
    ends = {name: bounds(np.concatenate(values)) for name, values in parts.items()}
    return {name: pair for name, pair in ends.items() if pair}


def interval(scored: Scored, figure: str, draws: int = DRAWS) -> list[float]:
    """The 95 % interval of one figure that needs no cut, by its dotted name; empty where there is none."""
    return intervals(scored, {}, draws).get(figure, [])


def resampled(groups: Sequence[str], draws: int = DRAWS, seed: int = 0) -> Iterator[Floats]:
    """How often each file occurs when as many groups as there are get drawn with replacement: float64 (some, n), in
    blocks that together make `draws` rows. Nothing for a single group.
    """
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < 2:
        return
    chance = np.random.default_rng(seed)
    block = max(1, _AT_ONCE // max(len(member), len(names)))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = chance.integers(0, len(names), (rows, len(names))) + len(names) * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * len(names)).reshape(rows, len(names))
        yield times[:, member].astype(np.float64)


def bounds(values: Floats) -> list[float]:
    """The middle 95 % of `values` as [low, high]; empty where all are NaN."""
    known = values[~np.isnan(values)]
    return [float(end) for end in np.percentile(known, [2.5, 97.5])] if len(known) else []


def _ranking(s: Floats, y: Labels, w: Floats) -> dict[str, Floats]:
    """Figures of the order alone; `s` descending. Files of equal score are one step of every curve."""
    ends = np.flatnonzero(np.append(np.diff(s) != 0, True))
    hits, misses = (np.cumsum(w * (y == label), axis=1)[:, ends] for label in (1, 0))
    recall, false_rate = (_from_zero(count / count[:, -1:]) for count in (hits, misses))
    gained = np.diff(recall, axis=1)
    found = {"auc": (np.diff(false_rate, axis=1) * (recall[:, 1:] + recall[:, :-1]) / 2).sum(1)}
    for name, share in (("average_precision", 0.5), ("average_precision_at_1_percent", RARE)):
        claimed = share * recall[:, 1:] + (1 - share) * false_rate[:, 1:]
        precision = np.divide(share * recall[:, 1:], claimed, out=np.zeros_like(claimed), where=claimed > 0)
        found[name] = (gained * precision).sum(1) + 0 * found["auc"]  # NaN where the draw lacks a class
    for rate in FALSE_RATES:
        reached = np.where(false_rate <= rate, recall, 0.0).max(1)
        found[f"recall_at_false_positive_rate.{rate:g}"] = reached + 0 * found["auc"]
    return found


def _from_zero(curve: Floats) -> Floats:
    return np.concatenate([np.zeros((len(curve), 1)), curve], axis=1)


def _balanced_accuracy(s: Floats, y: Labels, w: Floats) -> Floats:
    fakes, reals = w[:, y == 1], w[:, y == 0]
    return np.asarray(
        (fakes @ (s[y == 1] >= EVEN) / fakes.sum(1) + reals @ (s[y == 0] < EVEN) / reals.sum(1)) / 2, np.float64
    )


def _calibration_error(s: Floats, y: Labels, w: Floats) -> Floats:
    """Mean gap between score and share of fakes over bins of equal weight (Naeini et al., AAAI 2015, with bins of
    equal mass). A bootstrap of it leans upward, as noise in a bin only ever widens its gap.
    """
    total = w.sum(1, keepdims=True)
    middle = np.cumsum(w, axis=1) - w / 2
    bins = np.minimum((middle / total * BINS).astype(np.int64), BINS - 1) + BINS * np.arange(len(w))[:, None]
    gaps = np.bincount(bins.ravel(), (w * (s - y)).ravel(), minlength=BINS * len(w))
    return np.asarray(np.abs(gaps.reshape(len(w), BINS)).sum(1) / total[:, 0], np.float64)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
