"""`SOURCE/{real,fake}` folders of images or videos, with an optional `SOURCE/groups.csv`: see `model.sources`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from model import sources
from model.datasets.finds import VIDEOS, Find, Layout


def _recognises(folder: Path) -> bool:
    return sources.homes(folder) == [folder]


def _finds(folder: Path) -> Iterable[Find]:
    for item in sources.read(folder, sources.SUFFIXES | VIDEOS):
        yield Find(item.path, item.name, item.label, item.source, item.group)


LAYOUT = Layout("plain", "folders named real or fake", _recognises, _finds)
