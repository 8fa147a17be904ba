"""Reading a pack: the folder in which everything for a tuning travels to a machine without a network.

`pack.json` names every file with its SHA-256, the folds, the mates and the blocks that are read. `crops-NNN.npy` hold
uint8 crops, `table.npz` what is known of them, `encoder-NN.part` are the pieces of `encoder.npz`, the encoder's weights
in float32. It needs numpy alone; `model.lab.packing` writes it.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from model.encoder.weights import Weights
from model.errors import DatasetError
from model.lab.pairing import Table

FORMAT = 1
RECORD, TABLE, CODE, RUN = "pack.json", "table.npz", "code.zip", "run.py"
CROPS, ENCODER = "crops-{:03}.npy", "encoder-{:02}.part"
PART = 56_000_000  # bytes of the largest file


@dataclass(frozen=True, slots=True)
class Pack:
    """A folder's `record`, as `pack.json` has it, and what it names."""

    folder: Path
    record: dict[str, Any]

    @property
    def table(self) -> Table:
        """What is known of the crops; `places` number the crops of all parts."""
        with np.load(self.folder / TABLE, allow_pickle=False) as arrays:
            return Table(**{name: arrays[name] for name in Table.__dataclass_fields__})

    @property
    def crops(self) -> list[NDArray[np.uint8]]:
        """The crops, part by part, read from disk as they are used."""
        names = sorted(name for name in self.record["files"] if name.startswith("crops-"))
        return [np.load(self.folder / name, mmap_mode="r", allow_pickle=False) for name in names]

    @property
    def weights(self) -> Weights:
        """The encoder's weights, their parts joined."""
        names = sorted(name for name in self.record["files"] if name.startswith("encoder-"))
        whole = io.BytesIO(b"".join((self.folder / name).read_bytes() for name in names))
        with np.load(whole, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def opened(folder: Path) -> Pack:
    """The pack in `folder`, all its files checked by hash. Raises DatasetError for anything else."""
    try:
        record = json.loads((folder / RECORD).read_text())
        if record["format"] != FORMAT:
            raise DatasetError(f"{folder} is a pack of format {record['format']}; this program reads {FORMAT}")
        for name, expected in record["files"].items():
            if Path(name).name != name:
                raise DatasetError(f"{folder / RECORD} names {name!r}, which is no file of a pack")
            if digest(folder / name) != expected:
                raise DatasetError(f"{folder / name} is damaged: its SHA-256 is not the pack's")
        found = Pack(folder, record)
        if len(found.table) == 0 or not found.crops:
            raise DatasetError(f"{folder} holds no crops")
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise DatasetError(f"{folder} is no whole pack: {error}") from error
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
