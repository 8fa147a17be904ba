"""The networks that can be trained and served: `create` builds one by name, `restored` one from its weights.

`bodies` are the backbones, `two_heads` puts heads and map on them, `students` are peers from scratch.
"""

from __future__ import annotations

from model.networks.bodies import IMAGENET, NONE, OURS, normalisation, one_size_only
from model.networks.maps import STRIDE as MAP_STRIDE
from model.networks.maps import cells as map_cells
from model.networks.two_heads import TwoHeads, create, load, restored

__all__ = [
    "IMAGENET", "MAP_STRIDE", "NONE", "OURS", "TwoHeads", "create", "load", "map_cells", "normalisation",
    "one_size_only", "restored",
]  # fmt: skip
