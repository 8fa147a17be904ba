"""How the encoder's float weights become int8: SmoothQuant's smoothing, then static ranges.

A few channels of a transformer's activations are a hundred times larger than the rest, and one scale for all of them
would round the rest to nothing. SmoothQuant (Xiao et al., ICML 2023, arXiv:2211.10438, equation 4) divides each channel
j of a layer's input by s_j = max|x_j|^alpha / max|w_j|^(1 - alpha) and multiplies the weights by it, which changes no
product. Inputs are then uint8 with one scale a layer, weights int8 with one scale an output channel.

`Recipe` holds what was measured once on calibration crops, so that the conversion itself needs no picture and gives
the same bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from model.encoder.weights import Weights
from model.errors import EncoderError

ALPHA = 0.7
SLACK = 1.05  # ranges are widened by this, since calibration crops do not hold every extreme
LAYERS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """What one linear layer's input looked like: per channel `low` and `high`, float32 (in,)."""

    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Layer:
    """One linear layer's part of a recipe: `smoothing` float32 (in,) divides its input; the smoothed input lies between
    `low` and `high`, low <= 0 <= high.
    """

    smoothing: Floats
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """A `Layer` for each quantised linear layer, by its name (`blocks.0.attn.qkv`)."""

    layers: Mapping[str, Layer]

    def write(self, path: Path) -> None:
        """As arrays without a pickle."""
        arrays: dict[str, Any] = {}
        for name, layer in self.layers.items():
            arrays[f"{name}.smoothing"] = layer.smoothing
            arrays[f"{name}.range"] = np.array([layer.low, layer.high], np.float32)
        np.savez_compressed(path, **arrays)


def read(path: Path) -> Recipe:
    """What `Recipe.write` wrote. Raises EncoderError for anything else."""
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
            layers = {}
            for name in [key.removesuffix(".range") for key in arrays.files if key.endswith(".range")]:
                low, high = (float(value) for value in arrays[f"{name}.range"])
                layers[name] = Layer(np.asarray(arrays[f"{name}.smoothing"], np.float32), low, high)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise EncoderError(f"{path} is not a quantisation recipe: {error}") from error
    return Recipe(layers)


def recipe(weights: Weights, spans: Mapping[str, Span], alpha: float = ALPHA) -> Recipe:
    """The recipe for layers whose inputs were seen to lie in `spans`. Smoothing is scaled to a geometric mean of 1."""
    layers = {}
    for name, span in spans.items():
        weight = weights[f"{name}.weight"]
        inputs = np.maximum(np.abs(span.low), np.abs(span.high)).clip(1e-4)
        matrix = np.abs(weight).max(axis=0).clip(1e-5)
        smoothing = inputs**alpha / matrix ** (1 - alpha)
        smoothing = np.asarray(smoothing / np.exp(np.log(smoothing).mean()), np.float32)
        low, high = float((span.low / smoothing).min()), float((span.high / smoothing).max())
        low, high = (float(np.float32(SLACK * end)) for end in (low, high))  # as they are written and read again
        layers[name] = Layer(smoothing, min(low, 0.0), max(high, 0.0))
    return Recipe(layers)


def inputs(layer: Layer) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of the layer's uint8 input."""
    scale = max((layer.high - layer.low) / 255, 1e-12)
    return np.float32(scale), np.uint8(np.clip(round(-layer.low / scale), 0, 255))


def matrix(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    """int8 (in, out) and float32 (out,) scales of a float32 (in, out) matrix: symmetric, one scale a column."""
    scales = np.asarray(np.abs(weight).max(axis=0).clip(1e-12) / 127, np.float32)
    return np.clip(np.rint(weight / scales), -127, 127).astype(np.int8), scales
