"""A detector's network: a backbone, the heads of `heads` against a real whose logit is pinned to zero, and, where asked
for, a map of where a face was altered.

Normalisation lives inside, so nobody can serve a release with another one. What was built can be told from the names
and shapes of the weights, so a release needs no second description. It refuses weights that do not fit strictly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from model.errors import ReleaseError
from model.heads import HEADS, ONE_HEAD
from model.networks import bodies, cues, maps


class TwoHeads(nn.Module):
    """uint8 (n, side, side, 3) RGB in, float32 (n, heads) logits out, in the order of `names`."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: nn.Module, features: int, mean: Sequence[float], std: Sequence[float], dropout: float = 0.2,
        pyramid: Sequence[tuple[int, int]] = (), *, names: Sequence[str] = HEADS, hidden: int = 0,
        local_cues: bool = False,
    ) -> None:  # fmt: skip
        """`pyramid` is the place and the channels of the backbone's features at strides 8, 16 and 32; without it the
        network has no map. `hidden` is the width of a layer before the logits, 0 for none. With `local_cues` the
        backbone takes six channels.
        """
        super().__init__()
        self.backbone: Any = backbone
        self.names = tuple(names)
        before = (nn.Dropout(dropout), nn.Linear(features, hidden), nn.ReLU()) if hidden else ()
        self.heads = nn.Sequential(*before, nn.Dropout(dropout), nn.Linear(hidden or features, len(names)))
        self.map = maps.AlterationMap([channels for _, channels in pyramid]) if pyramid else None
        self.local = maps.nothing(nn.Linear(maps.CHANNELS, len(names), bias=False)) if pyramid else None
        self._places = [place for place, _ in pyramid]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255)
        self._local_cues = local_cues
        if local_cues:  # a mark that tells the weights of such a network from others
            self.register_buffer("local_cues", torch.ones(()))

    @property
    def has_map(self) -> bool:
        """Whether `everything` gives a map."""
        return self.map is not None

    def forward(self, crops: Tensor) -> Tensor:
        """float32 (n, heads) logits."""
        return self.everything(crops)[0]

    def everything(self, crops: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Logits float32 (n, heads), the map's logits float32 (n, side / 8, side / 8) or None, and the pooled features
        float32 (n, features) under the heads.
        """
        pixels = (crops.permute(0, 3, 1, 2).float() - self.mean) / self.std
        if self._local_cues:
            pixels = cues.with_residual(pixels)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        if self.map is None or self.local is None:
            pooled = self.backbone(pixels)
            return self.heads(pooled).float(), None, pooled.float()
        pooled, pyramid = maps.looked_through(self.backbone, pixels, self._places)
        cells, looked_at = self.map(pyramid)
        return (self.heads(pooled) + self.local(looked_at)).float(), cells.float(), pooled.float()


def create(
    backbone: str, mean: Sequence[float], std: Sequence[float], pretrained: str = bodies.NONE, *, size: int = 224,
    with_map: bool = False, dropout: float = 0.2, names: Sequence[str] = HEADS, hidden: int = 0,
    local_cues: bool = False,
) -> TwoHeads:  # fmt: skip
    """A network on a body of `bodies` for crops of `size` pixels. Raises ReleaseError when there is no such body, its
    weights do not fit or cannot be had, or a map is asked of a body without features at strides 8, 16 and 32.
    """
    body, features = bodies.build(backbone, pretrained, 6 if local_cues else 3, size)
    pyramid = maps.pyramid(body, backbone) if with_map else ()
    return TwoHeads(body, features, mean, std, dropout, pyramid, names=names, hidden=hidden, local_cues=local_cues)


def restored(
    backbone: str, mean: Sequence[float], std: Sequence[float], state: Mapping[str, Tensor], size: int = 224
) -> TwoHeads:
    """The network, ready to answer, whose whole state this is: map, heads, hidden layer and local cues as the state has
    them. Raises ReleaseError when it does not fit.
    """
    layers = [state[name] for name in ("heads.1.weight", "heads.4.weight") if name in state]
    network = create(
        backbone, mean, std, size=size,
        with_map=any(name.startswith("map.") for name in state),
        names=ONE_HEAD if layers and len(layers[-1]) == 1 else HEADS,
        hidden=len(layers[0]) if len(layers) > 1 else 0,
        local_cues="local_cues" in state,
    )  # fmt: skip
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ReleaseError(f"the weights do not fit {backbone}: {str(error).splitlines()[0]}") from error
    return network.eval()


def load(backbone: str, mean: Sequence[float], std: Sequence[float], path: Path, size: int = 224) -> TwoHeads:
    """See `restored`, of the state in a safetensors file."""
    return restored(backbone, mean, std, load_file(path), size)
