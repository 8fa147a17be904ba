"""Which samples go into a release's rehearsal: some of every source and class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.lab.samples import Samples

ROWS = 8_400  # of 512 numbers: below 10 MB
SHARE = 0.7  # of them training rows, the rest frozen to measure on


def drawn(known: Samples, count: int, seed: int = 0) -> NDArray[np.int64]:
    """Which `count` samples stand for all, ascending: of each source and class a share by the root of its size."""
    chance = np.random.default_rng(seed)
    piles = [
        chance.permutation(np.flatnonzero((known.sources == source) & (known.classes == each)))
        for source in np.unique(known.sources)
        for each in np.unique(known.classes[known.sources == source])
    ]
    shares = np.array([len(pile) ** 0.5 for pile in piles])
    taken = np.zeros(len(piles), int)
    sizes = np.array([len(pile) for pile in piles])
    while (left := count - taken.sum()) > 0 and (taken < sizes).any():
        open_ = shares * (taken < sizes)
        taken = np.minimum(sizes, taken + np.maximum(1, np.floor(left * open_ / open_.sum())).astype(int))
    chosen = np.concatenate([pile[:most] for pile, most in zip(piles, taken, strict=True)])
    return np.sort(chosen[:count])
