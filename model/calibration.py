"""From a logit to a probability, and from probabilities to the two thresholds of the bands.

Temperature and bias are fitted on sources that the network did not learn from (Guo et al., "On Calibration of Modern
Neural Networks", ICML 2017, with a bias for the class balance), each source and each class in it weighing the same. A
threshold is the lowest whose false-positive rate is within its budget by the Clopper-Pearson bound (Biometrika 1934),
of all reals together or of every source by itself. It refuses to promise that either holds for a source that it has
not seen: `held_out_rates` measures what happens there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.errors import DatasetError

CONFIDENCE = 0.95  # of the one-sided bound of a threshold, and of the two-sided interval of a rate


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(fake) = sigmoid(logit / temperature + bias)."""

    temperature: float = 1.0
    bias: float = 0.0

    def apply(self, logits: ArrayLike) -> NDArray[np.float64]:
        """float64 probabilities 0 to 1, the shape of `logits`."""
        scaled = np.asarray(logits, np.float64) / self.temperature + self.bias
        return np.asarray(1 / (1 + np.exp(-np.clip(scaled, -60, 60))), np.float64)

    def undo(self, scores: ArrayLike) -> NDArray[np.float64]:
        """float64 logits whose probabilities `scores` are; of 0 and 1 the furthest that a double can tell."""
        known = np.clip(np.asarray(scores, np.float64), 1e-15, 1 - 1e-15)
        return np.asarray((np.log(known) - np.log1p(-known) - self.bias) * self.temperature, np.float64)


def fit(logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Calibration:
    """The calibration with the lowest (weighted) log loss. `labels` are 0 and 1, shape (n,) like `logits`."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # for training only: serving does not need SciPy

    z, y = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    w = np.ones_like(z) if weights is None else np.asarray(weights, np.float64)

    def loss(parameters: NDArray[np.float64]) -> float:
        scaled = z * np.exp(parameters[0]) + parameters[1]
        return float(np.average(np.logaddexp(0, scaled) - y * scaled, weights=w))

    best = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return Calibration(float(np.exp(-best[0])), float(best[1]))


def fit_on_sources(sources: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Calibration:
    """The calibration with the lowest log loss on `sources`: name to logits and labels (0, 1), both of shape (n,).

    Every source weighs the same, and in it both classes do: neither a large source nor its share of fakes sets the
    prior. Two one-class sources that belong together are to be given as one. Raises DatasetError where there is no
    source, or one lacks a class.
    """
    if not sources:
        raise DatasetError("calibration needs at least one source")
    logits, labels, weights = [], [], []
    for name, (z, y) in sources.items():
        truth = np.asarray(y, np.int64)
        counts = np.bincount(truth, minlength=2)
        if not counts.all():
            raise DatasetError(f"calibration needs both classes of {name}: give one-class sources as a pair")
        logits.append(np.asarray(z, np.float64))
        labels.append(truth)
        weights.append(0.5 / counts[truth])
    return fit(np.concatenate(logits), np.concatenate(labels), np.concatenate(weights))


def held_out_fits(sources: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> dict[str, Calibration]:
    """For each source the calibration that the others alone give (see `fit_on_sources`): what a source that nobody
    calibrated on would meet. Empty for fewer than two.
    """
    if len(sources) < 2:
        return {}
    return {name: fit_on_sources({other: pair for other, pair in sources.items() if other != name}) for name in sources}


def threshold(real_scores: ArrayLike, budget: float) -> float:
    """The lowest score at which the 95 % upper bound of the false-positive rate on `real_scores` is at most
    `budget`; 1.0 when there are too few to promise that at any score.
    """
    from scipy.stats import beta  # type: ignore[import-untyped]

    ordered = np.sort(np.asarray(real_scores, np.float64))[::-1]
    count = len(ordered)
    bound = beta.ppf(CONFIDENCE, np.arange(count) + 1, count - np.arange(count))  # for 0, 1, ... false positives
    allowed = int(np.searchsorted(bound, budget, side="right")) - 1
    if allowed < 0:
        return 1.0
    return float(np.nextafter(ordered[allowed], 1.0))  # just above the next real, which would be one too many


def threshold_on_sources(reals: Mapping[str, ArrayLike], budget: float, worst: bool = False, least: int = 0) -> float:
    """As `threshold`, of the real scores of several sources together; where `worst`, also of each by itself, so that
    the promise holds for the worst of them. Sources with fewer than `fewest(budget)` reals, or than `least`, can
    promise nothing alone and stand together as one.
    """
    known = {name: np.asarray(scores, np.float64) for name, scores in reals.items()}
    asked: list[Iterable[NDArray[np.float64]]] = [known.values()]
    if worst:
        enough = max(fewest(budget), least)
        asked += [[scores] for scores in known.values() if len(scores) >= enough]
        small = [scores for scores in known.values() if len(scores) < enough]
        asked += [small] if sum(map(len, small)) >= enough else []
    return max(threshold(np.concatenate([np.empty(0), *parts]), budget) for parts in asked)


def fewest(budget: float) -> int:
    """How many reals, none of them above a threshold, it takes to promise a false-positive rate of `budget`."""
    return int(np.ceil(np.log(1 - CONFIDENCE) / np.log(1 - budget)))


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `files`, with the Clopper-Pearson interval of their share at 95 %."""

    hits: int
    files: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.hits / self.files


def rate(hits: int, files: int) -> Rate:
    """The rate with its exact two-sided interval. Raises ValueError for no files."""
    from scipy.stats import binomtest

    ends = binomtest(hits, files).proportion_ci(CONFIDENCE, "exact")
    return Rate(hits, files, float(ends.low), float(ends.high))


def held_out_rates(
    reals: Mapping[str, ArrayLike], held_out: Collection[str], budget: float, worst: bool = False
) -> dict[str, tuple[float, Rate]]:
    """For each source of `held_out` in turn: the threshold at `budget` from all other `reals` (name to the scores of
    its reals, under any one calibration), and the rate of its own reals at or above that. A source without another to
    take the threshold from is left out.
    """
    found = {}
    for name in held_out:
        others = {other: scores for other, scores in reals.items() if other != name}
        mine = np.asarray(reals[name], np.float64)
        if others and len(mine):
            at = threshold_on_sources(others, budget, worst)
            found[name] = (at, rate(int((mine >= at).sum()), len(mine)))
    return found
