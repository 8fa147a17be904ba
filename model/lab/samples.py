"""Features with what is known of them: source, label, kind and split, and how much each counts.

A source counts by the root of its size, so that neither the largest source nor every tiny one decides; the classes of
a head count alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model import probes
from model.lab import balance
from model.lab.kinds import Kinds
from model.sources import Item

REAL, MANIPULATED, SYNTHETIC = balance.REAL, balance.MANIPULATED, balance.SYNTHETIC
MADE, weights = balance.MADE, balance.weights

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Samples:
    """n crops: `values` (n, d) are features or projected ones; `sources`, `views` and `components` are words (n,);
    `classes` (n,) is 0 for real, 1 manipulated, 2 synthetic; `rows` the rows of the album they come from.
    """

    values: NDArray[np.floating]
    sources: NDArray[np.str_]
    views: NDArray[np.str_]
    components: NDArray[np.str_]
    classes: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.classes)

    def where(self, chosen: Bools) -> Samples:
        """Those that are `chosen`."""
        return Samples(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def with_values(self, values: NDArray[np.floating]) -> Samples:
        """The same crops with other values (n, k)."""
        return replace(self, values=values)

    @property
    def fake(self) -> NDArray[np.int64]:
        """0 or 1, (n,)."""
        return (self.classes > REAL).astype(np.int64)


def of(
    values: NDArray[np.floating], items: Sequence[Item], rows: NDArray[np.int64], view: str, kinds: Kinds
) -> Samples:
    """Samples of album `rows` (n,), whose `items` are all the album's, in one view."""
    chosen = [items[int(row)] for row in rows]
    made = MADE.get(view)
    return Samples(
        values,
        np.array([item.source if made is None else view for item in chosen], np.str_),
        np.full(len(chosen), view),
        np.array([item.component or item.key for item in chosen], np.str_),
        np.array([_class(item, kinds) if made is None else made for item in chosen], np.int64),
        np.asarray(rows, np.int64),
    )


def joined(parts: Sequence[Samples]) -> Samples:
    """All of several, in order."""
    return Samples(*(np.concatenate([getattr(part, name) for part in parts]) for name in Samples.__dataclass_fields__))


def _class(item: Item, kinds: Kinds) -> int:
    if not item.label:
        return REAL
    head = kinds[item.source].head if item.source in kinds else None
    return SYNTHETIC if head is not None and probes.group_of(head) == 1 else MANIPULATED
