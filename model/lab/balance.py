"""How much each crop counts, so that neither the largest source nor every tiny one decides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POWER = 0.5  # a source of n crops counts n ** POWER
REAL, MANIPULATED, SYNTHETIC = 0, 1, 2
MADE = {"blended": MANIPULATED, "spliced": MANIPULATED}  # views that make forgeries of real faces


def weights(sources: NDArray[np.str_], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,): the real class weighs as much as all fake classes together, and those alike; in a class a source counts by
    the root of its size. They sum to n.
    """
    found = np.zeros(len(classes))
    fakes = max(1, len(set(classes.tolist()) - {REAL}))
    for each in np.unique(classes):
        mine = classes == each
        for source in np.unique(sources[mine]):
            members = mine & (sources == source)
            found[members] = members.sum() ** (POWER - 1)
        found[mine] /= found[mine].sum() * (1 if each == REAL else fakes)
    return np.asarray(found / found.sum() * len(found))
