"""Which crops the encoder is tuned on: what is known of each, what a fold may learn from, and the pairs of a step.

A step holds as many real as fake crops. The fakes are drawn alike from both kinds of forgery, in a kind by the root of
a source's size. Beside each stands a real crop: half of the time one of the same source (the very face it was made of,
where that is known), so that the source gives nothing away, and half of the time one of any source, so that the real
class is as wide as it can be. Both have been worn, or neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import DatasetError
from model.lab import balance
from model.lab.balance import MADE, REAL

PLAIN = "plain"
BROAD = 0.5  # how often the real crop of a pair comes from any source

Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of n crops: words (n,) for their `sources`, `components` and `views`; `classes` (n,), see
    `balance`; `half` (n,), whether folds may learn from a real crop; `train` (n,), whether its split is for training;
    and `places` (n,), where the crop lies in its store.
    """

    sources: NDArray[np.str_]
    components: NDArray[np.str_]
    views: NDArray[np.str_]
    classes: NDArray[np.int64]
    half: Bools
    train: Bools
    places: Rows

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def plain(self) -> Bools:
        """(n,): whether a crop is as serving would cut it."""
        return np.asarray(self.views == PLAIN, np.bool_)

    def taught(self, away: Sequence[str]) -> Bools:
        """(n,): what is learnt from. Nothing of the forgeries of the sources that are `away`; if there are such, only
        half of the real faces, and of the forgeries made of real faces those of that half.
        """
        if not away:
            return self.train
        fakes, made = self.classes != REAL, np.isin(self.views, list(MADE))
        return np.asarray(self.train & ~(fakes & np.isin(self.sources, away)) & (self.half | (fakes & ~made)), np.bool_)


class Pairs:
    """Steps of pairs of the table's `chosen` crops; a step follows from `seed` and its number alone.

    `mates` names, by source of fakes, the sources whose reals stand beside them. Raises DatasetError where a class is
    missing.
    """

    def __init__(self, table: Table, chosen: Bools, mates: Mapping[str, Sequence[str]], seed: int = 0) -> None:
        self._table, self._seed = table, seed
        weights = np.zeros(len(table))
        weights[chosen] = balance.weights(table.sources[chosen], table.classes[chosen])
        reals, fakes = chosen & (table.classes == REAL), chosen & (table.classes != REAL)
        if not reals.any() or not fakes.any():
            raise DatasetError("tuning needs real faces and forgeries, and one of them is missing")
        self._fakes, worn = _Draw(np.flatnonzero(fakes), weights), ~table.plain
        self._reals = {state: _Draw(np.flatnonzero(reals & (worn == state)), weights) for state in (False, True)}
        self._faces: dict[tuple[str, bool], list[int]] = {}
        self._source: dict[tuple[str, bool], list[int]] = {}
        for row in np.flatnonzero(reals).tolist():
            self._faces.setdefault((str(table.components[row]), bool(worn[row])), []).append(row)
            self._source.setdefault((str(table.sources[row]), bool(worn[row])), []).append(row)
        self._mates = mates

    def step(self, number: int, batch: int) -> Rows:
        """(batch,) rows of the table: a fake, its real, a fake, its real, ..."""
        chance = np.random.default_rng((self._seed, number))
        found = []
        for _ in range(batch // 2):
            fake = self._fakes(chance)
            found += [fake, self._mate(fake, chance)]
        return np.array(found, np.int64)

    def _mate(self, fake: int, chance: np.random.Generator) -> int:
        source, worn = str(self._table.sources[fake]), bool(self._table.views[fake] != PLAIN)
        if chance.random() >= BROAD:
            near = self._faces.get((str(self._table.components[fake]), worn))
            names = self._mates.get(source, (source,))
            pool = near or [row for name in names for row in self._source.get((name, worn), ())]
            if pool:
                return int(pool[chance.integers(len(pool))])
        draw = self._reals[worn] if len(self._reals[worn]) else self._reals[not worn]
        return draw(chance)


class _Draw:
    """One of `rows`, by the weight of each."""

    def __init__(self, rows: Rows, weights: NDArray[np.float64]) -> None:
        self._rows, self._ends = rows, np.cumsum(weights[rows])

    def __len__(self) -> int:
        return len(self._rows)

    def __call__(self, chance: np.random.Generator) -> int:
        at = int(np.searchsorted(self._ends, chance.random() * self._ends[-1], side="right"))
        return int(self._rows[min(at, len(self._rows) - 1)])
