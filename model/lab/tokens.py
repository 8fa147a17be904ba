"""A cache of what a tower's first blocks make of crops, so that a processor need only tune the last ones.

Per crop float16 tokens (some 300 kB for the usual encoder) and what is read of the first blocks. As with features, a
run that was killed goes on to the same bytes: crops come in fixed batches, and the record says how many are whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from model.crops import Cutting
from model.errors import DatasetError
from model.lab import views
from model.lab.gathering import Material
from model.lab.listing import Crop
from model.lab.tower import Tower

BATCH = 8  # crops at once
CHUNK = 4 * BATCH  # crops between two records of progress
MOST = 20_000_000_000  # bytes of a cache

Halves = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Cached:
    """float16 `tokens` (n, t, w) and `fixed` (n, k), and whether each crop is `there`: some views cannot be made."""

    tokens: Halves
    fixed: Halves
    there: NDArray[np.bool_]


def extract(
    folder: Path, material: Material, crops: Sequence[Crop], cutting: Cutting, tower: Tower, digest: str, seed: int = 0,
    done: Callable[[int], object] = lambda _: None,
) -> Cached:  # fmt: skip
    """The tokens of `crops`, computed as far as the cache in `folder` lacks them; `digest` names the tower's weights.
    Raises DatasetError where they would take more than `MOST` bytes.
    """
    if (size := 2 * len(crops) * tower.tokens * tower.width) > MOST:
        raise DatasetError(f"tokens of {len(crops)} crops take {size / 1e9:.0f} GB: ask for fewer crops")
    home = folder / f"tokens-{_key(material, crops, cutting, tower, digest, seed)}"
    whole = _begun(home, len(crops), tower)
    done(whole)
    found = _opened(home, "r+")
    for start in range(whole, len(crops), CHUNK):
        chunk = crops[start : start + CHUNK]
        made = [views.make(crop.view, material.album, crop.row, cutting, seed) for crop in chunk]
        there = [(start + place, crop) for place, crop in enumerate(made) if crop is not None]
        for first in range(0, len(there), BATCH):
            some = there[first : first + BATCH]
            rows = [at for at, _ in some]
            with torch.no_grad():
                tokens, fixed = tower.below(torch.from_numpy(np.stack([crop for _, crop in some])))
            found.tokens[rows], found.fixed[rows] = tokens.cpu().numpy(), fixed.cpu().numpy()
        found.there[start : start + len(chunk)] = [crop is not None for crop in made]
        arrays: tuple[Any, ...] = (found.tokens, found.fixed, found.there)
        for array in arrays:
            array.flush()
        _record(home, start + len(chunk))
        done(len(chunk))
    return _opened(home, "r")


def _key(
    material: Material, crops: Sequence[Crop], cutting: Cutting, tower: Tower, digest: str, seed: int
) -> str:  # fmt: skip
    total = hashlib.sha256(f"1 {digest} {tower.first} {tower.blocks} {tuple(cutting)} {seed}\n".encode())
    for crop in crops:
        total.update(f"{crop.view} {material.album.items[crop.row].name}\n".encode())
    return total.hexdigest()[:16]


def _begun(home: Path, count: int, tower: Tower) -> int:
    """How many crops the cache holds whole; a new cache where there is none."""
    if (home / "progress.json").exists():
        return int(json.loads((home / "progress.json").read_text())["whole"])
    home.mkdir(parents=True, exist_ok=True)
    read = tower.read * sum(block <= tower.first for block in tower.blocks)
    sizes = {"tokens": (count, tower.tokens, tower.width), "fixed": (count, read)}
    for name, shape in sizes.items():
        np.lib.format.open_memmap(home / f"{name}.npy", "w+", np.float16, shape)
    np.lib.format.open_memmap(home / "there.npy", "w+", np.bool_, (count,))
    _record(home, 0)
    return 0


def _opened(home: Path, mode: Literal["r", "r+"]) -> Cached:
    return Cached(*(np.load(home / f"{name}.npy", mmap_mode=mode) for name in Cached.__dataclass_fields__))


def _record(home: Path, whole: int) -> None:
    part = home / "progress.part"
    part.write_text(json.dumps({"whole": whole}))
    part.replace(home / "progress.json")
