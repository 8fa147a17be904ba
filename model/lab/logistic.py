"""Logistic regression for the heads: softmax against real, sample weights, and a prior that may be earlier weights.

With classes 0 (real) to h and the logit of real fixed at 0, it minimises the weighted mean log loss plus
|W - W_prior|^2 / (2 * strength * n), a Gaussian prior on the weights (the bias is free). The prior at earlier weights
is what lets heads learn a new kind without forgetting the old ones: where the new pictures say nothing, nothing moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.probes import Floats, Linear

ITERATIONS = 200
TOLERANCE = 1e-6  # relative, of the loss between two iterations

Classes = NDArray[np.int64]
Weights = NDArray[np.float64]


def fit(
    values: Floats, classes: Classes, weights: Weights, strength: float, heads: int = 1, prior: Linear | None = None
) -> Linear:
    """Weights (k, heads) and bias (heads,) for `values` (n, k) of `classes` (n,), 0 being real. `strength` above 0 is
    the variance of the prior: the larger, the further weights may go. It starts from `prior`, or from 0.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    count, width = values.shape
    start = prior or Linear(np.zeros((width, heads), np.float32), np.zeros(heads, np.float32))
    anchor = start.weights.astype(np.float64)
    shares = (weights / weights.sum()).astype(np.float32)
    rows = np.arange(count)
    logits = np.zeros((count, heads + 1), np.float32)
    stiff = 1 / (strength * count)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        matrix = parameters[:-heads].reshape(width, heads)
        logits[:, 1:] = values @ matrix.astype(np.float32) + parameters[-heads:].astype(np.float32)
        top = logits.max(axis=1, keepdims=True)
        odds = np.exp(logits - top)
        total = odds.sum(axis=1, keepdims=True)
        losses = np.log(total[:, 0]) + top[:, 0] - logits[rows, classes]
        push = odds / total
        push[rows, classes] -= 1
        push *= shares[:, None]
        away = matrix - anchor
        slope = (values.T @ push[:, 1:]).astype(np.float64) + stiff * away
        value = float(losses.astype(np.float64) @ shares) + 0.5 * stiff * float((away**2).sum())
        return value, np.concatenate([slope.ravel(), push[:, 1:].sum(axis=0, dtype=np.float64)])

    first = np.concatenate([anchor.ravel(), start.bias.astype(np.float64)])
    options = {"maxiter": ITERATIONS, "ftol": TOLERANCE}
    best = minimize(loss, first, jac=True, method="L-BFGS-B", options=options).x
    return Linear(best[:-heads].reshape(width, heads).astype(np.float32), best[-heads:].astype(np.float32))
