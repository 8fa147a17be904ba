"""Which crops a tuning sees, and what is known of them: rows of an album, each in several views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model import splits
from model.errors import DatasetError
from model.lab import gathering, samples
from model.lab import kinds as tables
from model.lab.balance import MADE, REAL
from model.lab.gathering import Material
from model.lab.kinds import Kinds
from model.lab.pairing import Bools, Table

VIEWS = ("plain", "varied", "varied2", "blended", "covered")


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop to be made: a row of the album in a view."""

    row: int
    view: str


def listed(material: Material, views: Sequence[str], kinds: Kinds, most: int, at_most: int | None = None) -> list[Crop]:
    """The crops of all views, of a source at most `most` faces, drawings left out. Of more than `at_most` crops those
    of some faces: as many of each source, and of each all its views.
    """
    items = material.album.items
    drawn = {source for source, kind in kinds.items() if kind.drawn}
    found = [
        Crop(row, view)
        for view in views
        for row in gathering.rows_of(material, view, most)
        if items[row].source not in drawn
    ]
    if at_most is None or len(found) <= at_most:
        return found
    piles: dict[tuple[str, int], list[int]] = {}
    for row in sorted({crop.row for crop in found}, key=lambda row: splits.position(f"tune {items[row].name}")):
        piles.setdefault((items[row].source, items[row].label), []).append(row)
    each: dict[int, list[Crop]] = {}
    for crop in found:
        each.setdefault(crop.row, []).append(crop)
    chosen: list[Crop] = []
    for turn in range(max(map(len, piles.values()))):
        for _, rows in sorted(piles.items()):
            if turn < len(rows) and len(chosen) + len(each[rows[turn]]) <= at_most:
                chosen += each[rows[turn]]
    return sorted(chosen, key=lambda crop: (views.index(crop.view), crop.row))


def table(material: Material, crops: Sequence[Crop], there: Bools, kinds: Kinds) -> Table:
    """What is known of those crops that are `there`; their places are those in `crops`."""
    places = np.flatnonzero(there)
    parts = []
    for place in places.tolist():
        row = np.array([crops[place].row], np.int64)
        parts.append(samples.of(np.zeros((1, 0)), material.album.items, row, crops[place].view, kinds))
    known = samples.joined(parts)
    halves = [splits.position(f"half {name}") < 0.5 for name in known.components.tolist()]
    return Table(
        known.sources, known.components, known.views, known.classes, np.array(halves, bool),
        np.asarray(material.split[known.rows] == splits.TRAIN, np.bool_), places,
    )  # fmt: skip


def folds(known: Table, kinds: Kinds, names: Sequence[str]) -> dict[str, list[str]]:
    """The sources with forgeries of each kind or family in `names`; of all kinds where there are no names. Raises
    DatasetError for a name that no source has.
    """
    with_fakes = set(known.sources[known.classes != REAL].tolist()) - set(MADE)
    by_kind, by_family = (tables.folds(kinds, by) for by in ("kind", "family"))
    found = {}
    for name in names or by_kind:
        sources = [source for source in by_kind.get(name, by_family.get(name, [])) if source in with_fakes]
        if sources:
            found[name] = sources
        elif names:
            raise DatasetError(f"no source here holds forgeries of the kind or family {name!r}")
    return found


def mates(known: Table, kinds: Kinds) -> dict[str, list[str]]:
    """For each source of forgeries, the sources whose reals it is held against."""
    with_reals = sorted(set(known.sources[known.classes == REAL].tolist()))
    with_fakes = sorted(set(known.sources[known.classes != REAL].tolist()) - set(MADE))
    return {source: tables.mates(kinds, source, with_reals) if source in kinds else [source] for source in with_fakes}
