"""Reading a folder of labelled images: `SOURCE/{real,fake}/*`, or `real/*` and `fake/*` alone, which is one source.

`groups.csv` beside `real` and `fake` has the columns file, label, group (`real/a.jpg,0,person7`); images of one group
never part. Without it every file is its own group. It opens no image, and refuses a folder whose labels contradict
its folders.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.errors import DatasetError

LABELS = {"real": 0, "fake": 1}
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled file: `name` is its path below the folder, `label` 0 real or 1 fake.

    What only a built dataset knows is empty elsewhere: the `generator` of a fake, `sha256` in hex, and `component`,
    the name that its group shares with every group it has a duplicate in.
    """

    path: Path
    name: str
    source: str
    label: int
    group: str
    generator: str = ""
    sha256: str = ""
    component: str = ""

    @property
    def key(self) -> str:
        """The group with its source: what splits and intervals keep together."""
        return f"{self.source}/{self.group}"


def read(folder: Path, suffixes: Collection[str] = SUFFIXES) -> list[Item]:
    """Every file below `folder` with one of the `suffixes`, sorted by name. Raises DatasetError when there is none or
    a label contradicts.
    """
    items = [item for source in homes(folder) for item in _of_source(source, suffixes)]
    if not items:
        raise DatasetError(f"{folder} holds no images under real/ or fake/, nor under SOURCE/real or SOURCE/fake")
    return items


def homes(folder: Path) -> list[Path]:
    """The folders that hold `real` or `fake`: `folder` itself, or else those in it. Raises DatasetError when `folder`
    is none.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder")
    within = [folder] if _holds_classes(folder) else sorted(filter(Path.is_dir, folder.iterdir()))
    return [home for home in within if _holds_classes(home)]


def _holds_classes(folder: Path) -> bool:
    return any((folder / kind).is_dir() for kind in LABELS)


def _of_source(home: Path, suffixes: Collection[str]) -> Iterable[Item]:
    source = home.absolute().name
    groups = _groups(home / "groups.csv")
    for kind, label in LABELS.items():
        for path in sorted((home / kind).rglob("*")):
            if path.suffix.lower() in suffixes:
                file = path.relative_to(home).as_posix()
                yield Item(path, f"{source}/{file}", source, label, groups.get(file, file))


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
