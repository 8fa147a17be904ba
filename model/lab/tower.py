"""The encoder as it is tuned: everything frozen but its LayerNorms, in torch, from the first block or a later one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.encoder import delta as deltas
from model.encoder import towers
from model.encoder.record import MEAN, STD
from model.encoder.weights import Floats, Weights, shape_of
from model.errors import EncoderError


class Tower(nn.Module):
    """Features of crops, as `encoder.running` gives them: class token and mean patch token of each of `blocks`.

    The first `first` blocks, and what lies before them, stay as they are, so that their output may come from a cache;
    for 0 all LayerNorms learn. Raises EncoderError where no read block is left to tune.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Weights, blocks: Sequence[int], first: int = 0) -> None:
        super().__init__()
        self.blocks, self.first = sorted(blocks), first
        if not 0 <= first < max(blocks):
            raise EncoderError(f"nothing is left to tune after block {first}: the last block read is {max(blocks)}")
        shape = shape_of(weights)
        self.network: Any = towers.network(weights, shape, max(blocks))
        self.size, self.width, self.tokens, self.read = shape.size, shape.width, shape.tokens, 2 * shape.width
        parameters = dict(self.network.named_parameters())
        self.names = [name for name in deltas.names(shape, first) if name in parameters]
        self._before = {name: np.array(weights[name]) for name in self.names}
        for name in self.names:
            parameters[name].requires_grad_(True)
        mean, std = (torch.tensor(value).view(1, 3, 1, 1) * 255 for value in (MEAN, STD))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, crops: Tensor) -> Tensor:
        """float32 (n, len(blocks) * read) of uint8 (n, size, size, 3) RGB crops."""
        return self.above(*self.below(crops))

    def below(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """What the first blocks make of crops: tokens (n, tokens, width), and what is read of those blocks, (n, k)."""
        pixels = (crops.permute(0, 3, 1, 2).float() - self.mean) / self.std
        network = self.network
        value = network.norm_pre(network._pos_embed(network.patch_embed(pixels)))  # noqa: SLF001 - timm has no public way to stop half-way
        parts = []
        for number in range(1, self.first + 1):
            value = network.blocks[number - 1](value)
            if number in self.blocks:
                parts.append(_read(value))
        return value, torch.cat(parts, dim=1) if parts else value.new_zeros((len(value), 0))

    def above(self, tokens: Tensor, fixed: Tensor) -> Tensor:
        """Features from what `below` gave."""
        parts = [fixed.float()]
        for number in range(self.first + 1, max(self.blocks) + 1):
            tokens = self.network.blocks[number - 1](tokens)
            if number in self.blocks:
                parts.append(_read(tokens))
        return torch.cat(parts, dim=1)

    def tuned(self) -> list[nn.Parameter]:
        """The parameters that learn, in the order of `names`."""
        parameters = dict(self.network.named_parameters())
        return [parameters[name] for name in self.names]

    def delta(self) -> dict[str, Floats]:
        """What tuning has changed so far."""
        after = {name: each.detach().float().cpu().numpy()
                 for name, each in zip(self.names, self.tuned(), strict=True)}  # fmt: skip
        return deltas.between(self._before, after, self.names)

    def reset(self) -> None:
        """Undo all tuning."""
        with torch.no_grad():
            for name, each in zip(self.names, self.tuned(), strict=True):
                each.copy_(torch.from_numpy(self._before[name]))


def _read(value: Tensor) -> Tensor:
    """Class token and mean patch token, float32 (n, 2 * width)."""
    return torch.cat([value[:, 0].float(), value[:, 1:].float().mean(dim=1)], dim=1)
