"""Whether a release's weights in torch and its graph in ONNX Runtime are the same network. It needs both."""

from __future__ import annotations

import numpy as np
import torch  # noqa: F401 - said here, so that whoever lacks it learns so by importing this module

from model import backends, procedural
from model.releases import Release


def gap(release: Release, crops: int = 8) -> float:
    """The largest difference in any logit, on crops of noise, of flat colour and of drawn faces. Raises ReleaseError
    when either cannot be loaded.
    """
    size = release.preprocessing.size
    chance = np.random.default_rng(0)
    noise = chance.integers(0, 256, (crops, size, size, 3), np.uint8)
    flat = np.broadcast_to(chance.integers(0, 256, (crops, 1, 1, 3), np.uint8), noise.shape)
    drawn = np.stack([procedural.portrait(size, size, size * 0.8, seed)[0] for seed in range(crops)])
    stack = np.concatenate([noise, flat, drawn])
    torch_says = backends.TorchBackend(release, "cpu").forward(stack)
    return float(np.abs(torch_says - backends.OnnxBackend(release, 1).forward(stack)).max())
