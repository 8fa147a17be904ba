"""Which images a detector learns from, is tuned on, and is tested on: by group, for ever the same.

A group's place follows from its name alone, so adding images moves none that were there. Where duplicates tie groups
together, their component goes where its group with the smallest position goes: training wins, so that a cluster never
tests what it taught, and what was once trained on is never tested on later. It refuses to part a group, whatever the
sizes that result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from model.sources import Item

TRAIN, VALIDATION, TEST, UNSEEN = "train", "validation", "test", "unseen"
Shares = tuple[float, float, float]
SHARES: Shares = (0.8, 0.1, 0.1)  # of training, validation and test


def position(key: str) -> float:
    """Where a group stands between 0 and 1, evenly and by its key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64


def split_at(place: float, shares: Shares = SHARES) -> str:
    """The split of a position: training first, then validation, then test."""
    train, validation, _ = shares
    return TRAIN if place < train else VALIDATION if place < train + validation else TEST


def split_of(item: Item, held_out: Collection[str] = ()) -> str:
    """The split of the item's component, or of its group where no dataset was built: `train` (80 %), `validation`
    (10 %) or `test` (10 %); `unseen` for a source in `held_out`.
    """
    return UNSEEN if item.source in held_out else split_at(position(item.component or item.key))


def calibrates(item: Item) -> bool:
    """Whether calibration may look at this image of a held-out source: half of its groups, which then are no test."""
    return position(item.component or item.key) < 0.5


def divide(items: Iterable[Item], held_out: Collection[str] = ()) -> dict[str, list[Item]]:
    """The items of every split, in their order."""
    divided: dict[str, list[Item]] = {name: [] for name in (TRAIN, VALIDATION, TEST, UNSEEN)}
    for item in items:
        divided[split_of(item, held_out)].append(item)
    return divided
