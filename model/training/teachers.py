"""A detector release as a teacher: its logits of the crops that the student sees.

It refuses ensembles, whose members may want crops of several framings, and releases with another margin.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model import backends, releases
from model.errors import ReleaseError
from model.training.devices import Place


class Teacher:
    """Uint8 (n, size, size, 3) crops in, float32 (n, heads) logits out, resized to what the release takes."""

    def __init__(self, directory: Path, margin: float, place: Place, threads: int) -> None:
        release = releases.read(directory)
        if release.members:
            raise ReleaseError(f"loss.teacher: {directory} is an ensemble; name one of its members")
        if abs(release.preprocessing.margin - margin) > 1e-6:
            raise ReleaseError(
                f"loss.teacher: {directory} wants a margin of {release.preprocessing.margin}, not {margin}"
            )
        device = str(place.device) if release.file(releases.WEIGHTS) else "cpu"
        self._size = release.preprocessing.size
        self._backend = backends.start(release, device, threads)

    def __call__(self, crops: Tensor) -> Tensor:
        """What the release says of crops on the CPU."""
        if crops.shape[1] != self._size:
            pixels = crops.permute(0, 3, 1, 2).float()
            side = (self._size, self._size)
            pixels = functional.interpolate(pixels, side, mode="bilinear", antialias=True)
            crops = pixels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        return torch.from_numpy(self._backend.forward(np.ascontiguousarray(crops.numpy())))
