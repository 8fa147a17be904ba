"""A release's rehearsal: projected features of what it learnt from and was calibrated on, to learn on from.

Half-precision numbers, not pictures: nobody can be recognised in a few hundred projected features, and nobody's picture
is needed to fit the heads again. It is what lets a site that has none of our pictures teach a release a new kind of
forgery and see at once what the old kinds lose.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import ReleaseError


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """`values` float16 (n, k) projected features; `sources` (n,) words; `classes` (n,) 0 real, 1 manipulated, 2
    synthetic; `frozen` (n,): whether a row only measures. `network` float16 (n, 2) is what the small network said.
    """

    values: NDArray[np.float16]
    sources: NDArray[np.str_]
    classes: NDArray[np.int64]
    frozen: NDArray[np.bool_]
    network: NDArray[np.float16]

    def write(self, path: Path) -> None:
        """As arrays without a pickle."""
        np.savez_compressed(
            path, values=self.values, sources=self.sources, classes=self.classes, frozen=self.frozen,
            network=self.network,
        )  # fmt: skip


def read(path: Path) -> Rehearsal:
    """What `Rehearsal.write` wrote. Raises ReleaseError for anything else."""
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
            found = Rehearsal(*(arrays[name] for name in Rehearsal.__dataclass_fields__))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ReleaseError(f"{path} holds no rehearsal: {error}") from error
    if len({len(getattr(found, name)) for name in Rehearsal.__dataclass_fields__}) != 1:
        raise ReleaseError(f"{path} holds no rehearsal: its arrays are of several lengths")
    return found
