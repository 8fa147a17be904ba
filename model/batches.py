"""Which faces a training step sees: pairs of a real and a fake of one source, so that no batch lets a source stand
for a class.

Step k's batch is a function of the seed and k alone, which makes resuming exact. It refuses sources without reals:
nothing could be learnt from them but where an image is from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from model import augmentations, selfblending
from model.albums import Album
from model.errors import DatasetError

REAL, MANIPULATED, SYNTHETIC = 0, 1, 2
# Draws of a source grow with its size to this power: 1 treats every image alike, 0 every source.
SIZE_POWER = 0.6


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


class Batches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Item k is step k's batch: uint8 (batch, size, size, 3) crops and int64 (batch,) classes."""

    def __init__(
        self,
        album: Album,
        kin: Mapping[str, Family],
        *,
        sizes: NDArray[np.int64],
        batch: int,
        margin: float,
        blended: float,
        seed: int,
    ) -> None:
        """`sizes[k]` is the crop's side at step k, `blended` the share of fakes that are self-blended."""
        self._album, self._kin = album, list(kin.values())
        weights = np.array([family.size for family in self._kin], float) ** SIZE_POWER
        self._weights = weights / weights.sum()
        self._sizes, self._pairs, self._margin, self._blended, self._seed = sizes, batch // 2, margin, blended, seed

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        chance = np.random.default_rng((self._seed, step))
        size = int(self._sizes[step])
        crops, classes = [], []
        for family in chance.choice(len(self._kin), self._pairs, p=self._weights):
            for view, row, kind in self._pair(self._kin[family], chance):
                box, marks = self._album.boxes[row], self._album.landmarks[row]
                varied = augmentations.vary(view, box, marks, self._margin, chance)
                crops.append(augmentations.equalise(varied, size, chance))
                classes.append(kind)
        return torch.from_numpy(np.stack(crops)), torch.tensor(classes)

    def _pair(
        self, family: Family, chance: np.random.Generator
    ) -> tuple[tuple[NDArray[np.uint8], int, int], tuple[NDArray[np.uint8], int, int]]:
        real = int(chance.choice(family.reals))
        if not family.fakes or chance.random() < self._blended:
            row = int(chance.choice(family.reals))
            box, marks = self._album.boxes[row], self._album.landmarks[row]
            fake = (selfblending.blend(self._album.views[row], box, marks, chance), row, MANIPULATED)
        else:
            row = int(chance.choice(family.partners.get(real, family.fakes)))
            fake = (self._album.views[row], row, family.fake_class)
        return (self._album.views[real], real, REAL), fake
