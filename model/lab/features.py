"""A cache of encoder features: each view of each face once, resumable to the byte.

One array a view, float16 (faces, d), beside a record of how many rows are whole. Rows are computed in fixed batches of
fixed rows, so a run that was killed and resumed writes what an unbroken run would have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.albums import Album
from model.crops import Cutting
from model.lab import views

BATCH = 16  # crops a run of the encoder
CHUNK = 4 * BATCH  # rows between two records of progress

Halves = NDArray[np.float16]


class Encoder(Protocol):
    """What turns crops into features."""

    digest: str
    width: int

    def features(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 (n, width) of uint8 (n, size, size, 3) RGB crops."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the rows of a cache depend on besides the album: the encoder's `digest`, how faces are cut, and the seed."""

    digest: str
    cutting: Cutting
    seed: int = 0

    def home(self, folder: Path, album: Album, view: str) -> Path:
        """Where this plan's features of a view lie."""
        listed = [f"1 {self.digest} {tuple(self.cutting)} {self.seed} {view}", *(item.name for item in album.items)]
        return folder / f"{view}-{hashlib.sha256(chr(10).join(listed).encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Features:
    """Of the album's `rows`, in order: float16 `values` (n, d). Rows whose view could not be made are left out."""

    rows: NDArray[np.int64]
    values: Halves


def extract(
    folder: Path, plan: Plan, album: Album, view: str, rows: Sequence[int], encoder: Encoder,
    done: Callable[[int], object] = lambda _: None,
) -> Features:  # fmt: skip
    """The features of `rows` in a view, computed as far as the cache in `folder` does not hold them yet. `done` is
    called with the number of rows that were finished. The cache is for one list of rows: another list starts afresh.
    """
    home = plan.home(folder, album, view)
    home.mkdir(parents=True, exist_ok=True)
    wanted = np.asarray(rows, np.int64)
    whole = _begun(home, wanted, encoder.width)
    done(whole)
    values = np.lib.format.open_memmap(home / "values.npy", "r+")
    made = np.lib.format.open_memmap(home / "made.npy", "r+")
    for start in range(whole, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        crops = [views.make(view, album, int(row), plan.cutting, plan.seed) for row in chunk]
        there = [(start + place, crop) for place, crop in enumerate(crops) if crop is not None]
        for first in range(0, len(there), BATCH):
            some = there[first : first + BATCH]
            values[[at for at, _ in some]] = encoder.features(np.stack([crop for _, crop in some]))
        made[start : start + len(chunk)] = [crop is not None for crop in crops]
        values.flush()
        made.flush()
        _record(home, wanted, start + len(chunk))
        done(len(chunk))
    return opened(home)


def opened(home: Path) -> Features:
    """The whole rows of the cache in `home`, read from disk as they are used."""
    whole = int(json.loads((home / "progress.json").read_text())["whole"])
    made = np.load(home / "made.npy", mmap_mode="r")[:whole]
    rows = np.load(home / "rows.npy")[:whole]
    values = np.load(home / "values.npy", mmap_mode="r")[:whole]
    return Features(rows, values) if made.all() else Features(rows[made], values[np.flatnonzero(made)])


def _begun(home: Path, wanted: NDArray[np.int64], width: int) -> int:
    """How many rows the cache holds whole; a new cache where it is of other rows."""
    record = home / "progress.json"
    if record.exists():
        progress: dict[str, Any] = json.loads(record.read_text())
        if progress["rows"] == _digest(wanted) and progress["width"] == width:
            return int(progress["whole"])
    np.save(home / "rows.npy", wanted)
    np.lib.format.open_memmap(home / "values.npy", "w+", np.float16, (len(wanted), width)).flush()
    np.lib.format.open_memmap(home / "made.npy", "w+", np.bool_, (len(wanted),)).flush()
    _record(home, wanted, 0, width)
    return 0


def _record(home: Path, wanted: NDArray[np.int64], whole: int, width: int | None = None) -> None:
    record = home / "progress.json"
    width = json.loads(record.read_text())["width"] if width is None else width
    written = home / "progress.part"
    written.write_text(json.dumps({"rows": _digest(wanted), "width": width, "whole": whole}))
    written.replace(record)


def _digest(rows: NDArray[np.int64]) -> str:
    return hashlib.sha256(rows.tobytes()).hexdigest()
