"""Where a tower's input comes from: crops, held by the device where they fit, or cached tokens of the first blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.lab.tower import Tower

SHARE = 0.6  # of a CUDA device's free memory that crops may take

Rows = NDArray[np.int64]


class Feed(Protocol):
    """Features of the crops at `places` of a store, through the tower as it is now."""

    def __call__(self, tower: Tower, places: Rows) -> Tensor:
        """float32 (n, d) on the tower's device, with gradients where they are wanted."""


class Crops:
    """uint8 crops in `parts` of `each` (the last may be shorter), moved to `device` as a whole where it has room."""

    def __init__(self, parts: Sequence[NDArray[np.uint8]], device: torch.device) -> None:
        self._parts, self._each, self._device = parts, len(parts[0]), device
        self._whole = self._moved() if device.type == "cuda" else None

    def __call__(self, tower: Tower, places: Rows) -> Tensor:
        """See `Feed`."""
        if self._whole is not None:
            crops = self._whole[torch.from_numpy(places).to(self._device)]
        else:
            stack = np.stack([self._parts[place // self._each][place % self._each] for place in places.tolist()])
            crops = torch.from_numpy(stack).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            found: Tensor = tower(crops)
        return found

    def _moved(self) -> Tensor | None:
        free, _ = torch.cuda.mem_get_info(self._device)
        if sum(part.nbytes for part in self._parts) > SHARE * free:
            return None
        count = sum(map(len, self._parts))
        whole = torch.empty((count, *self._parts[0].shape[1:]), dtype=torch.uint8, device=self._device)
        for number, part in enumerate(self._parts):  # one by one: joining them at the end would need the room twice
            whole[number * self._each : number * self._each + len(part)] = torch.from_numpy(np.array(part))
        return whole


class Tokens:
    """float16 `tokens` (n, t, w) after the tower's first blocks, and what is read of those, float16 `fixed` (n, k)."""

    def __init__(self, tokens: NDArray[np.float16], fixed: NDArray[np.float16], device: torch.device) -> None:
        self._tokens, self._fixed, self._device = tokens, fixed, device

    def __call__(self, tower: Tower, places: Rows) -> Tensor:
        """See `Feed`."""
        tokens, fixed = (
            torch.from_numpy(np.asarray(array[places], np.float16)).to(self._device).float()
            for array in (self._tokens, self._fixed)
        )
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            return tower.above(tokens, fixed)
