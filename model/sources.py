"""Reading a folder of labelled images: `SOURCE/{real,fake}/*`, with an optional `SOURCE/groups.csv`.

`groups.csv` has the columns file, label, group (`real/a.jpg,0,person7`); images of one group never part. Without it
every file is its own group. It opens no image, and refuses a folder whose labels contradict its folders.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.errors import DatasetError

LABELS = {"real": 0, "fake": 1}
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled file: `name` is its path below the folder, `label` 0 real or 1 fake."""

    path: Path
    name: str
    source: str
    label: int
    group: str

    @property
    def key(self) -> str:
        """The group with its source: what splits and intervals keep together."""
        return f"{self.source}/{self.group}"


def read(folder: Path) -> list[Item]:
    """Every image below `folder`, sorted by name. Raises DatasetError when there is none or a label contradicts."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder")
    items = [item for source in sorted(filter(Path.is_dir, folder.iterdir())) for item in _of_source(source)]
    if not items:
        raise DatasetError(f"{folder} holds no SOURCE/real or SOURCE/fake images")
    return items


def _of_source(source: Path) -> Iterable[Item]:
    groups = _groups(source / "groups.csv")
    for kind, label in LABELS.items():
        for path in sorted((source / kind).glob("*")):
            if path.suffix.lower() in SUFFIXES:
                file = f"{kind}/{path.name}"
                yield Item(path, f"{source.name}/{file}", source.name, label, groups.get(file, file))


def _groups(table: Path) -> Mapping[str, str]:
    if not table.exists():
        return {}
    groups = {}
    with table.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if LABELS.get(row["file"].partition("/")[0]) != int(row["label"]):
                raise DatasetError(f"{table}: the label of {row['file']} contradicts its folder")
            groups[row["file"]] = row["group"]
    return groups
