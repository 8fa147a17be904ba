"""A tuned encoder as what was changed in it: differences to the weights and biases of its LayerNorms.

LayerNorms hold .05 % of the encoder's numbers, so a release can carry a tuning in 150 kB where the encoder itself has
345 MB. A delta holds differences rather than values: an empty one changes nothing, and one that was made of the pinned
weights fits others that pass for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from model.encoder.weights import Floats, Shape, Weights, shape_of
from model.errors import EncoderError

MOST = 1_000_000  # bytes of a delta's file

Delta = Mapping[str, Floats]


def names(shape: Shape, first: int = 0) -> list[str]:
    """The LayerNorms' arrays that a delta may change: those of the blocks after the `first` ones, and for 0 also the
    norm before the blocks. The norm after the last block is not among them: nothing reads it.
    """
    norms = [f"blocks.{block}.norm{one}" for block in range(first, shape.depth) for one in (1, 2)]
    return [f"{norm}.{part}" for norm in ([] if first else ["norm_pre"]) + norms for part in ("weight", "bias")]


def between(before: Weights, after: Weights, chosen: list[str]) -> dict[str, Floats]:
    """The delta that makes the `chosen` arrays of `before` into those of `after`."""
    return {name: np.asarray(after[name] - before[name], np.float32) for name in chosen}


def apply(weights: Weights, delta: Delta) -> dict[str, Floats]:
    """`weights` with the delta's arrays changed; the rest are the same arrays. Raises EncoderError where the delta is
    of another encoder.
    """
    allowed = set(names(shape_of(weights)))
    found = dict(weights)
    for name, change in delta.items():
        if name not in allowed or name not in weights:
            raise EncoderError(f"the delta changes {name!r}, which is no LayerNorm of this encoder")
        if change.shape != weights[name].shape:
            raise EncoderError(f"the delta's {name} has the shape {change.shape}, not {weights[name].shape}")
        found[name] = np.asarray(weights[name] + change, np.float32)
    return found


def write(path: Path, delta: Delta) -> None:
    """As float32 arrays without a pickle: the same bytes for the same delta."""
    arrays: dict[str, np.ndarray] = {name: np.asarray(delta[name], np.float32) for name in sorted(delta)}
    with path.open("wb") as content:
        np.savez(content, allow_pickle=False, **arrays)


def read(path: Path) -> dict[str, Floats]:
    """What `write` wrote, in float32. Raises EncoderError for anything else."""
    try:
        if path.stat().st_size > MOST:
            raise EncoderError(f"{path} is no delta of an encoder: it is larger than {MOST / 1e6:.0f} MB")
        with path.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
            found = {str(name): arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, BadZipFile) as error:
        raise EncoderError(f"{path} is no delta of an encoder: {error}") from error
    if not found:
        raise EncoderError(f"{path} is no delta of an encoder: it holds no arrays")
    for name, array in found.items():
        if array.dtype not in (np.float16, np.float32) or not np.isfinite(array).all():
            raise EncoderError(f"{path}: {name} holds something else than finite float16 or float32 numbers")
    return {name: np.asarray(array, np.float32) for name, array in found.items()}
