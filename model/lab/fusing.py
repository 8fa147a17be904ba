"""How an encoder's heads and a network's are joined: six numbers, fitted on crops that neither learnt from.

Each head of the joined detector is a weighted sum of the two parts' logits for it and a bias. No weight is negative: a
part that is wrong on the validation crops is left out, not turned around.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.probes import fused

Floats = NDArray[np.float64]

PRIOR = 0.05  # how strongly weights are drawn to the prior's, against a mean log loss
START = (0.9, 0.5)  # of the encoder and of the network: log loss alone would forget the kind that the latter knows best


def fit(parts: Sequence[Floats], classes: NDArray[np.int64], weights: Floats) -> Floats:
    """(2, parts + 1): per head the weight of each part's logits, each (n, 2), and the bias last. It minimises the
    weighted mean log loss of `classes` (n,), 0 real, 1 manipulated, 2 synthetic, with a weak pull to `START`.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    count = len(parts)
    start = np.tile([*START[:count], 0.0] if count > 1 else [1.0, 0.0], (2, 1))
    shares, rows = weights / weights.sum(), np.arange(len(classes))

    def loss(flat: Floats) -> float:
        joined = flat.reshape(2, count + 1)
        logits = np.zeros((len(classes), 3))
        logits[:, 1:] = fused(parts, joined)
        losses = np.logaddexp.reduce(logits, axis=1) - logits[rows, classes]
        return float(shares @ losses) + PRIOR * float(((joined - start)[:, :-1] ** 2).sum())

    bounds = [(0.0, None)] * count + [(None, None)]
    best = minimize(loss, start.ravel(), method="L-BFGS-B", bounds=bounds * 2).x
    return np.asarray(best.reshape(2, count + 1), np.float64)
