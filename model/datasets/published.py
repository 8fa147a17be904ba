"""The published protocol on DFDC crops: balanced classes, split 80/10/10 at random, so that one figure can stand
beside those of student projects that split this way.

A file's place follows from the SHA-256 of its name and the seed, so the split is the same for everybody who holds the
same files. Actors and even pairs lie across its splits: it refuses to be read as a figure for unseen people.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from model import splits
from model.errors import DatasetError
from model.sources import LABELS, Item

NAME, SEED = "random-80-10-10", 0
SOURCE = "dfdc"
# `digest` of the split of the 16,000 balanced crops that our own figures are of.
KNOWN = "79d91d63e8a401ca3edea093d378aee29fbbcc8c2cceff6af7202cc1aaa0d3de"


def divide(items: Iterable[Item], source: str = SOURCE) -> dict[str, list[Item]]:
    """`train`, `validation` and `test` of `source`: equally many of both classes, the surplus of the larger left out.
    Raises DatasetError where the source lacks a class.
    """
    piles: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        if item.source == source:
            piles[item.label].append(item)
    if len(piles) < len(LABELS):
        raise DatasetError(f"the published protocol needs real and fake images of a source named {source}")
    count = min(map(len, piles.values()))
    ends = (0, count * 8 // 10, count * 9 // 10, count)
    names = (splits.TRAIN, splits.VALIDATION, splits.TEST)
    divided: dict[str, list[Item]] = {name: [] for name in names}
    for pile in piles.values():
        drawn = sorted(pile, key=_place)
        for name, low, high in zip(names, ends[:-1], ends[1:], strict=True):
            divided[name] += drawn[low:high]
    return {name: sorted(part, key=lambda item: item.name) for name, part in divided.items()}


def digest(divided: Mapping[str, Iterable[Item]]) -> str:
    """SHA-256 over the names of every split, sorted."""
    lines = sorted(f"{name} {item.name}\n" for name, part in divided.items() for item in part)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _place(item: Item) -> bytes:
    """By the file's own name, which is the same in a plain folder and in a built dataset."""
    return hashlib.sha256(f"{SEED} {item.label} {item.path.name}".encode()).digest()
