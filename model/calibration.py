"""From a logit to a probability, and from probabilities to the two thresholds of the bands.

Temperature and bias are fitted on the validation split (Guo et al., "On Calibration of Modern Neural Networks", ICML
2017, with a bias for the class balance); a threshold is the lowest whose false-positive rate is within its budget by
the Clopper-Pearson bound. It refuses to promise that either holds for a source that it has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95  # of the one-sided bound


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(fake) = sigmoid(logit / temperature + bias)."""

    temperature: float = 1.0
    bias: float = 0.0

    def apply(self, logits: ArrayLike) -> NDArray[np.float64]:
        """float64 probabilities 0 to 1, the shape of `logits`."""
        scaled = np.asarray(logits, np.float64) / self.temperature + self.bias
        return np.asarray(1 / (1 + np.exp(-np.clip(scaled, -60, 60))), np.float64)


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


def threshold(real_scores: ArrayLike, budget: float) -> float:
    """The lowest score at which the 95 % upper bound of the false-positive rate on `real_scores` is at most
    `budget`; 1.0 when there are too few to promise that at any score.
    """
    from scipy.stats import beta  # type: ignore[import-untyped]

    ordered = np.sort(np.asarray(real_scores, np.float64))[::-1]
    count = len(ordered)
    allowed = -1
    for false_positives in range(count):
        if beta.ppf(CONFIDENCE, false_positives + 1, count - false_positives) > budget:
            break
        allowed = false_positives
    if allowed < 0:
        return 1.0
    return float(np.nextafter(ordered[allowed], 1.0))  # just above the next real, which would be one too many
