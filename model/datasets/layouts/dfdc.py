"""The DeepFake Detection Challenge: `dfdc_train_part_N` folders of clips with a `metadata.json` each.

A fake names the clip it was made from, `original`; both are one group. It refuses a label it does not know, and lists
clips that the table names and the folder lacks as missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from model.datasets.finds import Find, Layout
from model.errors import DatasetError

_LABELS = {"REAL": 0, "FAKE": 1}


def _tables(folder: Path) -> list[Path]:
    return sorted([*folder.glob("metadata.json"), *folder.glob("*/metadata.json")])


def _read(table: Path) -> dict[str, Any] | None:
    try:
        said = json.loads(table.read_text())
    except ValueError:
        return None
    fits = isinstance(said, dict) and said and all(isinstance(row, dict) and "label" in row for row in said.values())
    return said if fits else None


def _recognises(folder: Path) -> bool:
    return any(_read(table) for table in _tables(folder))


def _finds(folder: Path) -> Iterable[Find]:
    for table in _tables(folder):
        for name, row in sorted((_read(table) or {}).items()):
            if row["label"] not in _LABELS:
                raise DatasetError(f"{table}: {name} has the label {row['label']!r}, neither REAL nor FAKE")
            clip = table.parent / name
            label = _LABELS[row["label"]]
            group = Path(str(row.get("original") or name)).stem
            path = f"{folder.name}/{clip.relative_to(folder).with_suffix('').as_posix()}"
            yield Find(
                clip, path, label, folder.name, group, "DFDC" if label else "", published=str(row.get("split") or "")
            )


LAYOUT = Layout(
    "dfdc", "metadata.json, here or one folder down, that gives clips a label REAL or FAKE", _recognises, _finds
)
