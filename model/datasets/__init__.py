"""Labelled images as training and evaluation want them: by split, from a built dataset or a plain folder.

`unmask dataset build` makes the former (`layouts`, `building`), `unmask dataset check` looks for leaks in it
(`gates`). Its lists are frozen: it refuses to move an image to another split because an option changed.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from model import sources, splits
from model.datasets import manifest
from model.sources import Item


def opened(path: Path, held_out: Collection[str] = ()) -> dict[str, list[Item]]:
    """The images of `train`, `validation`, `test` and `unseen` (the sources in `held_out`), in the manifest's order.

    `path` is a directory that `unmask dataset build` wrote, or a plain folder of labelled images, which is divided by
    its groups alone. Of a built dataset, whatever shares a component with a held-out source is left out of the other
    three: it would teach what is to be unseen. Raises DatasetError where `path` is neither.
    """
    if not manifest.is_built(path):
        return splits.divide(sources.read(path), held_out)
    built = manifest.read(path)
    away = {row.component for row in built.rows.values() if row.source in held_out}
    divided: dict[str, list[Item]] = {name: [] for name in (splits.TRAIN, splits.VALIDATION, splits.TEST)}
    divided[splits.UNSEEN] = []
    for name, paths in built.lists.items():
        for row in (built.rows[path] for path in paths):
            if row.source in held_out:
                divided[splits.UNSEEN].append(_item(built, row))
            elif row.component not in away:
                divided[name].append(_item(built, row))
    return divided


def _item(built: manifest.Built, row: manifest.Row) -> Item:
    return Item(
        built.file(row), row.path, row.source, row.label, row.group, row.generator, row.sha256, row.component
    )  # fmt: skip
