"""What can be kept of a face, to learn from it once somebody has decided: an encoder's features, without its picture.

The features are raw, not projected, so that they outlive a release: every release with the same encoder can use them.
What the small network answered is of use only to releases with the same small network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model import releases
from model.releases import Release

Halves = NDArray[np.float16]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Traits:
    """Of one face: its `features` float16 (d,), of the `encoder` whose graph has that digest; and the `logits` float32
    (2,) of the small network whose file has the SHA-256 `network`. NaN and empty where a release has no such network.
    """

    encoder: str
    features: Halves
    network: str
    logits: Floats


def network_of(release: Release) -> str:
    """The SHA-256 of a release's small network; empty where it has none."""
    return release.files.get(releases.WEIGHTS) or release.files.get(releases.GRAPH) or ""
