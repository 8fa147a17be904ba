"""From a dataset to samples: faces cut into an album, features of each view, and what is known of each crop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import albums, crops, splits
from model.albums import Album
from model.backends import LOGITS, OnnxBackend
from model.crops import Cutting
from model.faces import FaceFinder
from model.lab import features, samples
from model.lab.features import Encoder, Plan
from model.lab.kinds import Kinds
from model.lab.samples import REAL, Samples
from model.releases import Release
from model.sources import Item

PLAIN = "plain"
VIEWS = (PLAIN, "varied", "varied2", "covered", "blended", "spliced")
MADE_ROWS = 9_000  # at most so many real faces become forgeries in a view
BATCH = 64

Progress = Callable[[str, int], Callable[[int], object]]  # a name and a total; called with what is done


@dataclass(frozen=True, slots=True)
class Material:
    """An album of faces with the split of each of its rows."""

    album: Album
    split: NDArray[np.str_]


def material(
    divided: Mapping[str, Sequence[Item]], finder: FaceFinder, finder_name: str, cache: Path, progress: Progress
) -> Material:
    """The faces of training, validation and test items, cut once and kept in `cache`."""
    order = (splits.TRAIN, splits.VALIDATION, splits.TEST)
    items = [item for name in order for item in divided[name]]
    place = {item.name: name for name in order for item in divided[name]}
    done = progress("cutting faces", len(items))
    album = albums.open_or_build(cache, items, finder, finder_name, lambda: done(1))
    return Material(album, np.array([place[item.name] for item in album.items]))


def rows_of(material: Material, view: str) -> list[int]:
    """The album's rows that a view is taken of: all for plain ones, those that are no test for others, and for
    forgeries that are made, some of the reals among them.
    """
    if view == PLAIN:
        return list(range(len(material.album.items)))
    learning = [row for row, split in enumerate(material.split.tolist()) if split == splits.TRAIN]
    if view not in samples.MADE:
        return learning
    reals = [row for row in learning if not material.album.items[row].label]
    chance = np.random.default_rng(0)
    return sorted(chance.permutation(reals)[:MADE_ROWS].tolist())


def gathered(
    material: Material, views: Sequence[str], encoder: Encoder, cutting: Cutting, cache: Path, kinds: Kinds,
    progress: Progress,
) -> Samples:  # fmt: skip
    """Samples of every view, their features cached in `cache`."""
    plan, parts = Plan(encoder.digest, cutting), []
    for view in views:
        rows = rows_of(material, view)
        found = features.extract(
            cache, plan, material.album, view, rows, encoder, progress(f"features: {view}", len(rows))
        )
        parts.append(samples.of(found.values, material.album.items, found.rows, view, kinds))
    return samples.joined(parts)


def network_heads(release: Release, album: Album, rows: NDArray[np.int64], threads: int) -> NDArray[np.float64]:
    """float64 (n, 2): what the release's own network says of the plain crops of some rows."""
    backend, cutting = OnnxBackend(release, threads), release.preprocessing.cutting
    parts = [np.zeros((0, len(release.heads)), np.float32)]
    for start in range(0, len(rows), BATCH):
        some = [int(row) for row in rows[start : start + BATCH]]
        stack = np.stack([_crop(album, row, cutting) for row in some])
        parts.append(backend.look(stack, [LOGITS])[LOGITS])
    return np.concatenate(parts).astype(np.float64)


def photographs(known: Samples, kinds: Kinds) -> NDArray[np.bool_]:
    """(n,): whether a crop is of a photograph, rather than of a drawing."""
    drawn = [source for source, kind in kinds.items() if kind.drawn]
    return ~np.isin(known.sources, drawn)


def reals(known: Samples) -> list[str]:
    """The sources that have real faces, sorted."""
    return sorted(set(known.sources[known.classes == REAL].tolist()))


def _crop(album: Album, row: int, cutting: Cutting) -> NDArray[np.uint8]:
    x, y, width, height = (float(value) for value in album.boxes[row])
    return crops.square(np.asarray(album.views[row]), (x, y, width, height), cutting.margin, cutting.size)
