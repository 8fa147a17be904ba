"""What the encoder answers to crops drawn by code, pinned once, to recognise it by what it does.

A hash recognises one file. The upstream weights differ slightly from the int8 weights that we pin, and an int8 graph
answers slightly differently on each kind of CPU. Both are therefore compared with pinned features: by the cosine of
each part (class token and mean patch token of each block), crop by crop. The pinned features are those of the pinned
source in float32, stored in half precision.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import procedural
from model.encoder.record import SIZE

SOURCE = 0.998
"""The least cosine of weights that pass for the pinned ones. Measured with the pinned weights and random noise of the
size of int8's rounding, which is how far upstream's are: .9995; with ten times that noise: .95.
"""
INT8 = 0.98
"""The least cosine of the int8 graph at work. Measured on a CPU with VNNI: .9936. Other CPUs round otherwise, and by as
much, so there is some room.
"""

Floats = NDArray[np.float32]


def crops(size: int = SIZE) -> NDArray[np.uint8]:
    """uint8 (8, size, size, 3) RGB: drawn faces of several sizes, skins and lights, which quantise as photographs do.

    Noise and checks would not: they leave the ranges of activations that the recipe was measured on.
    """
    heights = (0.7, 0.85, 0.6, 1.0, 0.75, 0.9, 0.5, 0.8)
    return np.stack([procedural.portrait(size, size, size * high, seed)[0] for seed, high in enumerate(heights)])


def write(file: Path, features: Floats) -> None:
    """Pin `features` of `crops()`, float32 (8, d), in `file`: once for each source that is pinned."""
    np.savez_compressed(file, features=features.astype(np.float16))


def read(file: Path) -> Floats:
    """The pinned features in `file`, float32 (8, d)."""
    with np.load(file) as arrays:
        return np.asarray(arrays["features"], np.float32)


def cosines(found: Floats, wanted: Floats, parts: int) -> Floats:
    """float32 (n, parts): the cosine of each of the `parts` equal parts of the rows of two (n, d) arrays."""
    one, other = (each.reshape(len(each), parts, -1) for each in (found, wanted))
    lengths = np.linalg.norm(one, axis=2) * np.linalg.norm(other, axis=2)
    return np.asarray((one * other).sum(axis=2) / np.maximum(lengths, 1e-12), np.float32)
