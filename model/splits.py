"""Which images a detector learns from, is tuned on, and is tested on: by group, for ever the same.

A group's split is a function of its name alone, so adding images moves none that were there. It refuses to part a
group, whatever the sizes that result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from model.sources import Item

TRAIN, VALIDATION, TEST, UNSEEN = "train", "validation", "test", "unseen"
_SHARES = ((0.8, TRAIN), (0.9, VALIDATION), (1.0, TEST))


def split_of(item: Item, held_out: Collection[str] = ()) -> str:
    """`train` (80 % of groups), `validation` (10 %) or `test` (10 %); `unseen` for a source in `held_out`."""
    if item.source in held_out:
        return UNSEEN
    position = int.from_bytes(hashlib.sha256(item.key.encode()).digest()[:8]) / 2**64
    return next(name for share, name in _SHARES if position < share)


def divide(items: Iterable[Item], held_out: Collection[str] = ()) -> dict[str, list[Item]]:
    """The items of every split, in their order."""
    divided: dict[str, list[Item]] = {name: [] for name in (TRAIN, VALIDATION, TEST, UNSEEN)}
    for item in items:
        divided[split_of(item, held_out)].append(item)
    return divided
