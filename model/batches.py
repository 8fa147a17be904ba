"""Which faces a training step sees: by default pairs of a real and a fake of one source, so that no batch lets a source
stand for a class.

Where the fake's original is known, the pair is cut alike, and a map says which places were altered. Row i of step k is
a function of the seed, k and i alone: resuming is exact, and several devices share the very batch that one would see.
It refuses sources without reals: nothing could be learnt from them but where an image is from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from model import augmentations, networks
from model.albums import Album
from model.crops import VIEW
from model.errors import DatasetError
from model.forgeries import MANIPULATED, SYNTHETIC, Forger, Shown
from model.recipes import Recipe

# Draws of a source grow with its size to this power: 1 treats every image alike, 0 every source.
SIZE_POWER = 0.6

Row = tuple[NDArray[np.uint8], int, NDArray[np.uint8], bool, NDArray[np.uint8]]


class Batch(NamedTuple):
    """uint8 (n, size, size, 3) `crops`; int64 (n,) `classes`; uint8 (n, cells, cells) `maps` of what was altered, 0 to
    255, a cell every 8 pixels; bool (n,) whether that is `known`; and `degraded` copies of the crops, none (0 rows) in
    steps that want no consistency.
    """

    crops: torch.Tensor
    classes: torch.Tensor
    maps: torch.Tensor
    known: torch.Tensor
    degraded: torch.Tensor


@dataclass(frozen=True, slots=True)
class Family:
    """One source, or two one-class sources that are each other's mates: rows of the album by class."""

    reals: list[int]
    fakes: list[int]
    partners: Mapping[int, list[int]]  # a real's fakes of the same group
    fake_class: int

    @property
    def size(self) -> int:
        return len(self.reals) + len(self.fakes)


def families(album: Album, synthetic: Collection[str], mates: Mapping[str, str]) -> dict[str, Family]:
    """The album's families by name. `mates` joins a source of fakes to a source of reals; sources in `synthetic`
    have wholly generated fakes, all others manipulated ones. A source without reals is left out; raises DatasetError
    when nothing is left.
    """
    reals: dict[str, list[int]] = defaultdict(list)
    fakes: dict[str, list[int]] = defaultdict(list)
    by_group: dict[str, list[int]] = defaultdict(list)
    generated: set[str] = set()
    for row, item in enumerate(album.items):
        name = mates.get(item.source, item.source)
        (fakes if item.label else reals)[name].append(row)
        if item.label:
            by_group[item.key].append(row)
            if item.source in synthetic:
                generated.add(name)
    found = {
        name: Family(
            rows,
            fakes[name],
            {row: by_group[album.items[row].key] for row in rows if album.items[row].key in by_group},
            SYNTHETIC if name in generated else MANIPULATED,
        )
        for name, rows in sorted(reals.items())
    }
    if not found:
        raise DatasetError("no source has real faces to train on")
    return found


class Batches(Dataset[Batch]):
    """Item k is step k's batch, or the share of it that device `rank` of `devices` works on."""

    def __init__(
        self, album: Album, kin: Mapping[str, Family], recipe: Recipe, sizes: NDArray[np.int64], *,
        rank: int = 0, devices: int = 1,
    ) -> None:  # fmt: skip
        """`sizes[k]` is the crop's side at step k. Raises DatasetError when the devices cannot share a batch evenly, or
        the sampling lacks a class.
        """
        self._album, self._kin, self._recipe, self._sizes = album, list(kin.values()), recipe, sizes
        weights = np.array([family.size for family in self._kin], float) ** SIZE_POWER
        self._weights = weights / weights.sum()
        pairs = recipe.schedule.batch // 2
        if pairs % devices:
            raise DatasetError(f"{devices} devices cannot share the {pairs} pairs of a batch evenly")
        self._share = range(rank, pairs, devices)
        generated = [row for family in self._kin if family.fake_class == SYNTHETIC for row in family.fakes]
        self._forger = Forger(album, recipe.forgeries, generated)
        self._reals = [row for family in self._kin for row in family.reals]
        self._fakes = [row for family in self._kin for row in family.fakes]
        self._class = {row: family.fake_class for family in self._kin for row in family.fakes}
        if recipe.data.sampling != "balanced" and not self._fakes:
            raise DatasetError(f"sampling = {recipe.data.sampling} needs fakes, and there are none")
        self._consistent = int(recipe.loss.consistency_from * len(sizes)) if recipe.loss.consistency else len(sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, step: int) -> Batch:
        rows = [
            row
            for pair in self._share
            for row in self._pair(step, np.random.default_rng((self._recipe.seed, step, pair)))
        ]
        crops, classes, maps, known, degraded = zip(*rows, strict=True)
        return Batch(
            torch.from_numpy(np.stack(crops)),
            torch.tensor(classes),
            torch.from_numpy(np.stack(maps)),
            torch.tensor(known),
            torch.from_numpy(np.stack(degraded)) if step >= self._consistent else torch.empty((0,), dtype=torch.uint8),
        )

    def _pair(self, step: int, chance: np.random.Generator) -> list[Row]:
        shown = self._drawn(chance)
        # Half of the pairs that lie pixel on pixel are placed and treated alike: only the forgery is left to see.
        alike = shown[0].frame == shown[1].frame and chance.random() < 0.5
        seeds = chance.integers(2**32, size=2)
        seeds = seeds[[0, 0]] if alike else seeds
        return [self._row(one, step, np.random.default_rng(seed)) for one, seed in zip(shown, seeds, strict=True)]

    def _drawn(self, chance: np.random.Generator) -> tuple[Shown, Shown]:
        match self._recipe.data.sampling:
            case "balanced":
                family = self._kin[chance.choice(len(self._kin), p=self._weights)]
                real = int(chance.choice(family.reals))
                partners = family.partners.get(real, ())
                return self._forger.pair(real, family.fakes, partners, family.fake_class, chance)
            case "oversample":
                real, fake = int(chance.choice(self._reals)), int(chance.choice(self._fakes))
                return self._forger.pair(real, [fake], (), self._class[fake], chance)
            case _:
                one, other = chance.integers(len(self._reals) + len(self._fakes), size=2)
                return self._as_it_is(int(one)), self._as_it_is(int(other))

    def _as_it_is(self, place: int) -> Shown:
        reals = len(self._reals)
        row = self._reals[place] if place < reals else self._fakes[place - reals]
        return self._forger.alone(row, self._class.get(row, MANIPULATED))

    def _row(self, shown: Shown, step: int, chance: np.random.Generator) -> Row:
        size, odds = int(self._sizes[step]), self._recipe.augmentations
        cells = networks.map_cells(size)
        placed = augmentations.place(shown.box, shown.landmarks, self._recipe.data.margin, chance, odds)
        crop = augmentations.equalise(augmentations.alter(placed.cut(shown.view), chance, odds), size, chance, odds)
        altered = None if shown.altered is None else placed.cut_map(shown.altered, VIEW, cells)
        kind = shown.kind if self._recipe.network.heads == "two" else min(shown.kind, 1)
        degraded = augmentations.degrade(crop, chance) if step >= self._consistent else crop
        return (
            crop,
            kind,
            np.zeros((cells, cells), np.uint8) if altered is None else altered,
            altered is not None,
            degraded,
        )
