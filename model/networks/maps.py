"""A map of where a face was altered, read from a backbone's features of several strides.

It is learnt from forgeries whose original is known, and the heads also read the features it looks at: a network that
must point at what was changed cannot live on how a collection was made. It refuses backbones without features at
strides 8, 16 and 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.errors import ReleaseError

STRIDE = 8  # pixels of the crop a cell of the map
CHANNELS = 48
_STRIDES = (8, 16, 32)


class AlterationMap(nn.Module):
    """Features of several strides joined on the finest grid (Lin et al., "Feature Pyramid Networks", CVPR 2017) and
    read as one logit a cell: this place was altered.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, CHANNELS, 1, bias=False), nn.BatchNorm2d(CHANNELS)) for count in channels
        )
        self.mixed = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
        )
        self.altered = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Map logits (n, h, w) and the features (n, 48) of where it looks, from features of falling resolution."""
        joined = self.lateral[-1](features[-1])
        for lateral, finer in zip(list(self.lateral)[-2::-1], features[-2::-1], strict=True):
            joined = lateral(finer) + functional.interpolate(joined, size=finer.shape[-2:], mode="nearest")
        mixed = self.mixed(joined)
        logits = self.altered(mixed)
        weight = logits.flatten(1).softmax(dim=1)  # (n, cells)
        looked_at = (mixed.flatten(2) * weight[:, None]).sum(dim=2)
        return logits[:, 0], looked_at


def pyramid(body: Any, name: str) -> list[tuple[int, int]]:
    """Place and channels of the body's features at strides 8, 16 and 32. Raises ReleaseError when it has none."""
    stages = {
        stage["reduction"]: (place, stage["num_chs"])
        for place, stage in enumerate(getattr(body, "feature_info", None) or [])
    }
    if not hasattr(body, "forward_intermediates") or not set(_STRIDES) <= stages.keys():
        raise ReleaseError(f"{name} has no features at strides 8, 16 and 32, which a map needs (loss.map_weight = 0)")
    return [stages[stride] for stride in _STRIDES]


def cells(side: int) -> int:
    """How many cells a side the map of a crop of `side` pixels has: strides round up."""
    return -(-side // STRIDE)


def looked_through(body: Any, pixels: Tensor, places: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """The body's pooled features and those at `places`."""
    last, features = body.forward_intermediates(pixels, indices=list(places))
    pooled: Tensor = body.forward_head(last, pre_logits=True)
    return pooled, features


def nothing(network: nn.Linear) -> nn.Linear:
    """The layer, adding nothing yet: what the backbone knows is not disturbed by a map that knows nothing."""
    torch.nn.init.zeros_(network.weight)
    return network
