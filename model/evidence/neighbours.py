"""What a face looks most like: which known kinds are among its nearest in the encoder's features.

A release's rehearsal holds features of faces that it learnt from, by source. The nearest of them tell a person what the
detector was reminded of, without showing anybody's picture. It is evidence of likeness, not of how a picture was made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import rehearsal, releases
from model.releases import Release

COUNT = 40  # neighbours that are asked

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of the `asked` nearest faces, `count` are of this `kind`: a kind of forgery, or "real photographs"."""

    kind: str
    count: int
    asked: int

    @property
    def sentence(self) -> str:
        """For people."""
        return f"It looks most like {self.kind}: {self.count} of the {self.asked} nearest known faces."


class Neighbours:
    """The rehearsal of a release, ready to be asked."""

    def __init__(self, values: Floats, names: Sequence[str]) -> None:
        """`values` (n, k) are projected features and `names` (n,) the kind of each."""
        self._values, self._names = _unit(values), np.array(names)

    def nearest(self, features: Floats) -> Likeness:
        """The most frequent kind among the nearest of projected features (k,), by the angle between them."""
        likeness = self._values @ _unit(features[None])[0]
        chosen = self._names[np.argsort(-likeness, kind="stable")[:COUNT]]
        kind, count = Counter(chosen.tolist()).most_common(1)[0]
        return Likeness(kind, count, len(chosen))


def opened(release: Release) -> Neighbours | None:
    """The known faces of a release, read once; None where it carries no rehearsal. Raises ReleaseError where it cannot
    be read.
    """
    path = release.file(releases.REHEARSAL)
    if path is None:
        return None
    kinds = {**release.training.get("kinds", {}), **release.training.get("learnt", {})}
    return _opened(path, tuple((source, str(said.get("kind", source))) for source, said in sorted(kinds.items())))


@lru_cache(maxsize=2)
def _opened(path: Path, kinds: tuple[tuple[str, str], ...]) -> Neighbours:
    known, named = rehearsal.read(path), dict(kinds)
    names = [_name(str(source), int(label), named) for source, label in zip(known.sources, known.classes, strict=True)]
    return Neighbours(known.values.astype(np.float32), names)


def _name(source: str, label: int, kinds: Mapping[str, str]) -> str:
    return kinds.get(source, source).replace("-", " ") if label else "real photographs"


def _unit(values: Floats) -> Floats:
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-9), np.float32)
