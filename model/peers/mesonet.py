"""MesoNet with its published weights: Meso-4 and MesoInception-4 of Afchar, Nozick, Yamagishi and Echizen, "MesoNet:
a Compact Facial Video Forgery Detection Network" (WIFS 2018), read from Keras' own files without Keras.

Their folders were `df` and `real`, in that order, so the sigmoid is P(real), and 1 minus it P(fake). The Meso-4 files
list no LeakyReLU layer, though the published code has one of slope 0.1 in both networks; we follow the code. It refuses
a file whose layers are not exactly those of one of the two networks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.crops import Cutting
from model.errors import ReleaseError
from model.evaluation.scorers import Scorer
from model.peers import faces

SIDE = 256  # pixels
# Their crop's side is 1.3 * 2.2 times the larger of the distances between the eyes and from the eyes to the mouth. By
# our finder's landmarks that is 1.11 to 1.18 times the longer side of its box (medians of four collections).
MARGIN = 1.17
EPSILON = 1e-3  # of Keras' batch normalisation
SLOPE = 0.1  # of LeakyReLU

# Kernels as Keras keeps them (height, width, in, out), in the order in which the layers were made.
_MESO4 = ((3, 3, 3, 8), (5, 5, 8, 8), (5, 5, 8, 16), (5, 5, 16, 16))
_INCEPTION = (
    (1, 1, 3, 1), (1, 1, 3, 4), (3, 3, 4, 4), (1, 1, 3, 4), (3, 3, 4, 4), (1, 1, 3, 2), (3, 3, 2, 2),
    (1, 1, 11, 2), (1, 1, 11, 4), (3, 3, 4, 4), (1, 1, 11, 4), (3, 3, 4, 4), (1, 1, 11, 2), (3, 3, 2, 2),
    (5, 5, 12, 16), (5, 5, 16, 16),
)  # fmt: skip
_DENSE = ((1024, 16), (16, 1))
_POOLS = (2, 2, 2, 4)

Array = NDArray[np.float32]


class MesoNet:
    """The network of a weights file: float32 (n, 256, 256, 3) RGB of 0 to 1 in, P(real) float32 (n,) out."""

    def __init__(self, layers: Mapping[str, list[dict[str, Array]]]) -> None:
        """`layers` as `read` gives them. Raises ReleaseError when they are of neither network."""
        found = {
            kind: [{part: value.shape for part, value in layer.items()} for layer in layers[kind]] for kind in layers
        }
        self.inception = len(found["conv2d"]) == len(_INCEPTION)
        for kind, shapes in _expected(_INCEPTION if self.inception else _MESO4).items():
            if found[kind] != shapes:
                raise ReleaseError(f"{kind} layers of shapes {found[kind]} are no MesoNet's, which has {shapes}")
        self._convolutions = [
            (torch.from_numpy(layer["kernel"]).permute(3, 2, 0, 1).contiguous(), torch.from_numpy(layer["bias"]))
            for layer in layers["conv2d"]
        ]
        self._norms = [
            tuple(torch.from_numpy(layer[name]) for name in ("moving_mean", "moving_variance", "gamma", "beta"))
            for layer in layers["batch_normalization"]
        ]
        self._dense = [
            (torch.from_numpy(layer["kernel"]).T.contiguous(), torch.from_numpy(layer["bias"]))
            for layer in layers["dense"]
        ]

    def __call__(self, images: Array) -> Array:
        """See the class."""
        with torch.inference_mode():
            x = torch.from_numpy(images).permute(0, 3, 1, 2)
            for block, pool in enumerate(_POOLS):
                mean, variance, gamma, beta = self._norms[block]
                x = functional.batch_norm(self._block(x, block), mean, variance, gamma, beta, eps=EPSILON)
                x = functional.max_pool2d(x, pool)
            flat = x.permute(0, 2, 3, 1).flatten(1)  # Keras flattens with channels last
            (first, first_bias), (last, last_bias) = self._dense
            hidden = functional.leaky_relu(functional.linear(flat, first, first_bias), SLOPE)
            return np.asarray(torch.sigmoid(functional.linear(hidden, last, last_bias))[:, 0].numpy(), np.float32)

    def _block(self, x: Tensor, block: int) -> Tensor:
        if not self.inception:
            return self._convolve(x, block)
        if block >= 2:
            return self._convolve(x, 12 + block)
        first = 7 * block  # seven convolutions a module: one alone, and three pairs of growing dilation
        pairs = [self._convolve(self._convolve(x, first + at), first + at + 1, at // 2 + 1) for at in (1, 3, 5)]
        return torch.cat([self._convolve(x, first), *pairs], dim=1)

    def _convolve(self, x: Tensor, index: int, dilation: int = 1) -> Tensor:
        kernel, bias = self._convolutions[index]
        return functional.relu(functional.conv2d(x, kernel, bias, padding="same", dilation=dilation))


def load(path: Path, face_model: Path | None = None) -> Scorer:
    """A scorer of the weights in `path`. Raises ReleaseError when they do not fit."""
    network = MesoNet(read(path))

    def judge(crops: faces.Crops) -> faces.Probabilities:
        return 1 - network((crops / np.float32(255)).astype(np.float32)).astype(np.float64)

    return faces.FaceScorer(path, judge, Cutting(SIDE, MARGIN), face_model=face_model)


def read(path: Path) -> dict[str, list[dict[str, Array]]]:
    """The weights of a Keras h5 file by kind of layer (`conv2d`, `batch_normalization`, `dense`), in the order of the
    numbers in their names, which is the order in which they were made. Raises ReleaseError for another file.
    """
    import h5py

    layers: dict[str, dict[int, dict[str, Array]]] = {"conv2d": {}, "batch_normalization": {}, "dense": {}}
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, node: _collect(layers, name, node))
    except OSError as error:
        raise ReleaseError(f"{path} is not a readable HDF5 file: {error}") from error
    return {kind: [found[number] for number in sorted(found)] for kind, found in layers.items()}


def _collect(layers: Mapping[str, dict[int, dict[str, Array]]], name: str, node: Any) -> None:
    if not hasattr(node, "shape"):
        return
    told = re.fullmatch(r"(\w+?)(?:_(\d+))?/.*?(\w+):0", name)
    if told is None or told[1] not in layers:
        raise ReleaseError(f"{node.file.filename} holds a layer that MesoNet has not: {name}")
    layers[told[1]].setdefault(int(told[2] or 0), {})[told[3]] = np.asarray(node, np.float32)


def _expected(kernels: Sequence[tuple[int, ...]]) -> dict[str, list[dict[str, tuple[int, ...]]]]:
    """The shapes of all parts of all layers of the network with these convolutions."""
    widths = (11, 12, 16, 16) if len(kernels) == len(_INCEPTION) else (8, 8, 16, 16)
    parts = ("beta", "gamma", "moving_mean", "moving_variance")
    return {
        "conv2d": [{"bias": kernel[-1:], "kernel": kernel} for kernel in kernels],
        "batch_normalization": [dict.fromkeys(parts, (width,)) for width in widths],
        "dense": [{"bias": kernel[-1:], "kernel": kernel} for kernel in _DENSE],
    }
