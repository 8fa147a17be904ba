"""Whether two scorers differ on the same files, by more than chance.

DeLong's test of two areas under correlated ROC curves (DeLong, DeLong and Clarke-Pearson, Biometrics 1988, with the
midranks of Sun and Xu, IEEE Signal Processing Letters 2014), McNemar's exact test of two accuracies (Biometrika 1947),
and, since both take files for independent, the interval of the AUC's difference over whole groups. It refuses unequal
lists of files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model import metrics
from model.metrics import Floats, Labels, Scored


@dataclass(frozen=True, slots=True)
class Test:
    """A `difference` (first minus second) with its two-sided `p`, 0 to 1."""

    difference: float
    p: float


def delong(first: Floats, second: Floats, labels: Labels) -> Test:
    """Whether the AUCs of two score lists (n,) of the same files differ. Raises ValueError for fewer than two files
    of a class. Equal lists, and others without any variance of the difference, give p 1.
    """
    from scipy.stats import norm  # type: ignore[import-untyped]

    fakes, reals = int((labels == 1).sum()), int((labels == 0).sum())
    if min(fakes, reals) < 2:
        raise ValueError("two AUCs are compared on at least two files of each class")
    placed = [_placements(scores, labels) for scores in (first, second)]
    over_fakes, over_reals = (np.stack([part[side] for part in placed]) for side in (0, 1))
    covariance = np.cov(over_fakes) / fakes + np.cov(over_reals) / reals
    contrast = np.array([1.0, -1.0])
    variance = float(contrast @ covariance @ contrast)
    difference = float(contrast @ over_fakes.mean(axis=1))
    if variance <= 1e-18:
        return Test(difference, 1.0)
    return Test(difference, float(2 * norm.sf(abs(difference) / np.sqrt(variance))))


def mcnemar(first: Floats, second: Floats) -> Test:
    """Whether two lists of rights (1) and wrongs (0) on the same files differ in their mean: the exact test on the
    files that one of them alone got right.
    """
    from scipy.stats import binomtest

    only_first, only_second = (int((one > other).sum()) for one, other in ((first, second), (second, first)))
    apart = only_first + only_second
    p = float(binomtest(only_first, apart).pvalue) if apart else 1.0
    return Test((only_first - only_second) / len(first), p)


def auc_difference(first: Scored, second: Scored, draws: int = metrics.DRAWS) -> list[float]:
    """The 95 % interval of the AUC of `first` less that of `second`, drawing whole groups of the files that they
    share; empty for a single group. Raises ValueError where labels or groups differ.
    """
    if not np.array_equal(first.labels, second.labels) or list(first.groups) != list(second.groups):
        raise ValueError("two scorers are compared on the same files in the same order")
    found = [
        metrics.statistics(first.scores, first.labels, weights, {})["auc"]
        - metrics.statistics(second.scores, second.labels, weights, {})["auc"]
        for weights in metrics.resampled(first.groups, draws)
    ]
    return metrics.bounds(np.concatenate(found)) if found else []


def _placements(scores: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """For every fake the share of reals below it, and for every real the share of fakes above it; ties count half."""
    from scipy.stats import rankdata

    fakes, reals = scores[labels == 1], scores[labels == 0]
    together = rankdata(np.concatenate([fakes, reals]))
    below = (together[: len(fakes)] - rankdata(fakes)) / len(reals)
    above = 1 - (together[len(fakes) :] - rankdata(reals)) / len(fakes)
    return np.asarray(below, np.float64), np.asarray(above, np.float64)
