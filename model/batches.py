"""Which faces a training step sees: pairs of a real and a fake of one source, so that no batch lets a source stand
for a class.

Where the fake's original is known, the pair is cut alike, and a map says which places were altered. Step k's batch is
a function of the seed and k alone, which makes resuming exact. It refuses sources without reals: nothing could be
learnt from them but where an image is from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from model import augmentations, networks
from model.albums import SIDE, Album
from model.errors import DatasetError
from model.forgeries import MANIPULATED, SYNTHETIC, Forger, Shares, Shown

# Draws of a source grow with its size to this power: 1 treats every image alike, 0 every source.
SIZE_POWER = 0.6

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


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
    """Item k is step k's batch: uint8 (batch, size, size, 3) crops, int64 (batch,) classes, uint8 (batch, size / 8,
    size / 8) maps of what was altered, 0 to 255, and bool (batch,) whether that is known.
    """

    def __init__(
        self, album: Album, kin: Mapping[str, Family], *, sizes: NDArray[np.int64], batch: int, margin: float,
        shares: Shares, seed: int,
    ) -> None:  # fmt: skip
        """`sizes[k]` is the crop's side at step k."""
        self._album, self._kin = album, list(kin.values())
        weights = np.array([family.size for family in self._kin], float) ** SIZE_POWER
        self._weights = weights / weights.sum()
        self._sizes, self._pairs, self._margin, self._seed = sizes, batch // 2, margin, seed
        self._forger = Forger(album, shares)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, step: int) -> Batch:
        chance = np.random.default_rng((self._seed, step))
        size = int(self._sizes[step])
        rows = [
            row
            for family in chance.choice(len(self._kin), self._pairs, p=self._weights)
            for row in self._pair(self._kin[family], size, chance)
        ]
        crops, classes, maps, known = zip(*rows, strict=True)
        return (
            torch.from_numpy(np.stack(crops)),
            torch.tensor(classes),
            torch.from_numpy(np.stack(maps)),
            torch.tensor(known),
        )

    def _pair(
        self, family: Family, size: int, chance: np.random.Generator
    ) -> list[tuple[NDArray[np.uint8], int, NDArray[np.uint8], bool]]:
        real = int(chance.choice(family.reals))
        shown = self._forger.pair(real, family.fakes, family.partners.get(real, ()), family.fake_class, chance)
        # Half of the pairs that lie pixel on pixel are placed and treated alike: only the forgery is left to see.
        alike = shown[0].frame == shown[1].frame and chance.random() < 0.5
        seeds = chance.integers(2**32, size=2)
        seeds = seeds[[0, 0]] if alike else seeds
        return [self._row(one, size, np.random.default_rng(seed)) for one, seed in zip(shown, seeds, strict=True)]

    def _row(
        self, shown: Shown, size: int, chance: np.random.Generator
    ) -> tuple[NDArray[np.uint8], int, NDArray[np.uint8], bool]:
        cells = size // networks.MAP_STRIDE
        placed = augmentations.place(shown.box, shown.landmarks, self._margin, chance)
        crop = augmentations.equalise(augmentations.alter(placed.cut(shown.view), chance), size, chance)
        known = shown.altered is not None
        altered = placed.cut_map(shown.altered, SIDE, cells) if shown.altered is not None else None
        return crop, shown.kind, np.zeros((cells, cells), np.uint8) if altered is None else altered, known
