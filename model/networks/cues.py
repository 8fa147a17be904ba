"""Neighbouring-pixel residuals: what upsampling inside a generator leaves between pixels, as input channels.

x - up(down(x)) at a factor of two with nearest neighbours, after Tan et al., "Rethinking the Up-Sampling Operations in
CNN-based Generative Network for Generalizable Deepfake Detection", CVPR 2024. A resize or a hard JPEG before it washes
these traces out; it refuses to pretend otherwise, and is off by default.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SCALE = 2 / 3  # as in the paper's published code


def with_residual(pixels: Tensor) -> Tensor:
    """float32 (n, 6, h, w) from (n, 3, h, w): the pixels, then their residual."""
    return torch.cat([pixels, residual(pixels) * SCALE], dim=1)


def residual(pixels: Tensor) -> Tensor:
    """What every pixel differs by from the upper left one of its square of two by two; the shape of `pixels`, whose
    sides are even.
    """
    small = pixels[..., ::2, ::2]
    return pixels - functional.interpolate(small, size=pixels.shape[-2:], mode="nearest")
