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
VIEWS = (PLAIN, "varied", "covered", "blended", "spliced")
MOST = 4_000  # faces of a source: of more, whole groups are left out
FEW = {"covered": 2_500, "blended": 2_500, "spliced": 2_500}  # faces of all sources that some views are taken of
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


def rows_of(material: Material, view: str, most: int = MOST) -> list[int]:
    """The album's rows that a view is taken of: for plain ones all of training and validation, for others training
    alone, for forgeries that are made some of its reals. Smaller sources come first.
    """
    items, split = material.album.items, material.split.tolist()
    wanted = (splits.TRAIN, splits.VALIDATION) if view == PLAIN else (splits.TRAIN,)
    rows = [row for row in _thinned(material.album, most) if split[row] in wanted]
    if view in samples.MADE:
        rows = [row for row in rows if not items[row].label]
    if (few := FEW.get(view)) is not None and len(rows) > few:
        chosen = set(np.random.default_rng(0).permutation(rows)[:few].tolist())
        rows = [row for row in rows if row in chosen]
    return rows


def _thinned(album: Album, most: int) -> list[int]:
    """Rows by source, the smallest first; of a source with more than `most` faces, the groups that come first by the
    hash of their name.
    """
    piles: dict[str, list[int]] = {}
    for row, item in enumerate(album.items):
        piles.setdefault(item.source, []).append(row)
    found = []
    for _, rows in sorted(piles.items(), key=lambda pile: (len(pile[1]), pile[0])):
        if len(rows) > most:
            order = sorted(rows, key=lambda row: (splits.position(f"heads {album.items[row].key}"), row))
            found += order[:most]
        else:
            found += rows
    return found


def gathered(
    material: Material, views: Sequence[str], encoder: Encoder, cutting: Cutting, cache: Path, kinds: Kinds,
    progress: Progress, most: int = MOST,
) -> Samples:  # fmt: skip
    """Samples of every view, their features cached in `cache`; of a source at most `most` faces."""
    plan, parts = Plan(encoder.digest, cutting), []
    for view in views:
        rows = rows_of(material, view, most)
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
