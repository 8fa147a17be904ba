"""The heads that read an encoder's features: standardise, project, and one linear function for each kind of forgery.

A probe is small (a few megabytes) and is fitted in seconds, which is why a release can learn a new kind of forgery in
minutes. Its projection keeps the directions in which the training crops vary most, so that the projected features of a
crop, 512 numbers, are enough to fit the heads again.

Real is one more class, whose logit is 0. A kind belongs to one of two heads, *manipulated* and *synthetic*, whose odds
are the sum of their kinds' odds. Beside them stands one function of "fake of any kind": separate heads are better on
kinds that they know, one head is better on kinds that nobody has seen, and their mean keeps most of both.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import ReleaseError
from model.heads import HEADS

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Projection:
    """From features (n, d) to (n, k): `(features - centre) / scale @ directions`. `centre` and `scale` are float32
    (d,), `directions` float16 (d, k).
    """

    centre: Floats
    scale: Floats
    directions: NDArray[np.float16]

    def __call__(self, features: Floats) -> Floats:
        """float32 (n, k)."""
        standard = (np.asarray(features, np.float32) - self.centre) / self.scale
        return np.asarray(standard @ self.directions.astype(np.float32), np.float32)


@dataclass(frozen=True, slots=True)
class Linear:
    """`values @ weights + bias`: float32 (k, h) and (h,)."""

    weights: Floats
    bias: Floats

    def __call__(self, values: Floats) -> Floats:
        """float32 (n, h)."""
        return np.asarray(values @ self.weights + self.bias, np.float32)


@dataclass(frozen=True, slots=True)
class Probe:
    """`projection`, then `kinds`: the logit of each kind of forgery against real, named by `names`; `groups` says which
    head (0 manipulated, 1 synthetic) a kind belongs to. `overall` is the logit of "fake of any kind", one column, which
    makes up `share` (0 to 1) of the logit of P(fake). `photograph` is the logit of "this is a photograph", one column;
    None where that was not learnt.
    """

    projection: Projection
    kinds: Linear
    names: tuple[str, ...]
    groups: tuple[int, ...]
    overall: Linear
    share: float
    photograph: Linear | None = None

    def heads(self, projected: Floats) -> NDArray[np.float64]:
        """float64 (n, 2): the logits of *manipulated* and *synthetic* against real, of projected features (n, k). The
        sum of their odds has the logit of P(fake): `share` of it is `overall`, the rest the kinds'.
        """
        logits = self.kinds(projected).astype(np.float64)
        columns = []
        for head in range(len(HEADS)):
            mine = [place for place, group in enumerate(self.groups) if group == head]
            columns.append(np.logaddexp.reduce(logits[:, mine], axis=1))
        apart = np.stack(columns, axis=1)
        either = np.logaddexp.reduce(apart, axis=1, keepdims=True)
        return apart + self.share * (self.overall(projected).astype(np.float64) - either)

    def write(self, path: Path) -> None:
        """As arrays without a pickle."""
        arrays: dict[str, NDArray[np.generic]] = {
            "centre": self.projection.centre,
            "scale": self.projection.scale,
            "directions": self.projection.directions,
            "kinds.weights": self.kinds.weights,
            "kinds.bias": self.kinds.bias,
            "names": np.array(self.names),
            "groups": np.array(self.groups, np.int64),
            "overall.weights": self.overall.weights,
            "overall.bias": self.overall.bias,
            "share": np.array(self.share),
        }
        if self.photograph is not None:
            arrays |= {"photograph.weights": self.photograph.weights, "photograph.bias": self.photograph.bias}
        with path.open("wb") as content:
            np.savez(content, allow_pickle=False, **arrays)


def read(path: Path) -> Probe:
    """What `Probe.write` wrote. Raises ReleaseError for anything else."""
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        probe = Probe(
            Projection(found["centre"], found["scale"], found["directions"]),
            Linear(found["kinds.weights"], found["kinds.bias"]),
            tuple(str(name) for name in found["names"]),
            tuple(int(group) for group in found["groups"]),
            Linear(found["overall.weights"], found["overall.bias"]),
            float(found["share"]),
        )
        if "photograph.weights" in found:
            probe = replace(probe, photograph=Linear(found["photograph.weights"], found["photograph.bias"]))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ReleaseError(f"{path} holds no heads: {error}") from error
    if problem := _problem(probe):
        raise ReleaseError(f"{path} holds no heads: {problem}")
    return probe


def _problem(probe: Probe) -> str:
    """What about its arrays does not fit together; empty when all does."""
    width, kept = probe.projection.directions.shape
    shapes = {
        "centre": (probe.projection.centre.shape, (width,)),
        "scale": (probe.projection.scale.shape, (width,)),
        "kinds": (probe.kinds.weights.shape, (kept, len(probe.names))),
        "bias": (probe.kinds.bias.shape, (len(probe.names),)),
        "groups": ((len(probe.groups),), (len(probe.names),)),
        "overall": (probe.overall.weights.shape, (kept, 1)),
    }
    wrong = [name for name, (found, due) in shapes.items() if found != due]
    if wrong:
        return f"the shape of {wrong[0]} does not fit"
    if set(probe.groups) != set(range(len(HEADS))):
        return "each head needs a kind"
    return "" if np.isfinite(probe.kinds.weights).all() else "a weight is not a number"


def group_of(head: str) -> int:
    """The number of a head: 0 `manipulated`, 1 `synthetic`. Raises ValueError for another word."""
    return HEADS.index(head)


def fused(parts: Sequence[NDArray[np.float64]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (n, 2): per head the weighted sum of the parts' logits, each (n, 2), and a bias. `weights` is
    (2, parts + 1), the bias last.
    """
    total = sum(part * weights[:, place] for place, part in enumerate(parts))
    return np.asarray(total + weights[:, -1], np.float64)
