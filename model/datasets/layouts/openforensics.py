"""OpenForensics: photographs with a COCO-like table that boxes each face and calls it Real or Fake.

Faces are cut out, those of one photograph are one group. It refuses a table whose categories are other words.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from model.datasets.finds import Box, Find, Layout
from model.errors import DatasetError
from model.sources import LABELS

_DEEP = 3  # folders below the given one in which a table is looked for
_HEAD = 4096  # bytes: tables are too large to be read whole only to be recognised
_KEYS = ("images", "annotations", "categories")


def _tables(folder: Path) -> list[Path]:
    found = [table for depth in range(_DEEP) for table in folder.glob(f"{'*/' * depth}*.json")]
    return sorted(table for table in found if _is_table(table))


def _is_table(table: Path) -> bool:
    with table.open("rb") as content:
        head = content.read(_HEAD)
    return head.lstrip().startswith(b"{") and any(f'"{key}"'.encode() in head for key in _KEYS)


def _read(table: Path) -> dict[str, Any]:
    try:
        said = json.loads(table.read_text())
    except ValueError as error:
        raise DatasetError(f"{table} is no JSON: {error}") from error
    if not isinstance(said, dict) or set(_KEYS) - set(said):
        raise DatasetError(f"{table} lacks one of {', '.join(_KEYS)}")
    return said


def _recognises(folder: Path) -> bool:
    return bool(_tables(folder))


def _finds(folder: Path) -> Iterable[Find]:
    for table in _tables(folder):
        said = _read(table)
        labels = _labels(table, said)
        faces: dict[tuple[Any, int], list[Box]] = defaultdict(list)
        for face in said["annotations"]:
            faces[face["image_id"], labels[face["category_id"]]].append(tuple(map(float, face["bbox"])))  # type: ignore[arg-type]
        for image in said["images"]:
            place = _place(folder, table, str(image["file_name"]))
            below = place.relative_to(folder).with_suffix("").as_posix()
            for kind, label in LABELS.items():
                if boxes := faces.get((image["id"], label)):
                    generator = "OpenForensics" if label else ""
                    path = f"{folder.name}/{below}/{kind}"
                    yield Find(place, path, label, folder.name, below, generator, boxes=tuple(boxes))


def _labels(table: Path, said: dict[str, Any]) -> dict[int, int]:
    named = {row["id"]: str(row["name"]).lower() for row in said["categories"]}
    if not named or set(named.values()) - set(LABELS):
        raise DatasetError(f"{table} names the categories {sorted(named.values())}, not Real and Fake")
    return {number: LABELS[name] for number, name in named.items()}


def _place(folder: Path, table: Path, name: str) -> Path:
    """Where a photograph lies: paths in the tables begin at the folder, at the table's, or at `images`."""
    homes = (table.parent, folder, table.parent / "images", folder / "images")
    place = next((home / name for home in homes if (home / name).is_file()), folder / name)
    if not place.resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f"{table}: {name!r} leads out of the folder")
    return place


LAYOUT = Layout(
    "openforensics",
    "a JSON table with images, annotations and categories, up to two folders down",
    _recognises,
    _finds,
)
