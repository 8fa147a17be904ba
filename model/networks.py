"""The network: a timm backbone, the two heads of `heads` against a real whose logit is pinned to zero, and a map of
where a face was altered.

The map is learnt from forgeries whose original is known, and the heads also read the features it looks at: a network
that must point at what was changed cannot live on how a collection was made. Normalisation lives inside, so nobody can
serve a release with another one. It refuses weights that do not fit strictly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from model import torchvision_ops  # noqa: F401 - timm imports torchvision, which may need this first
from model.errors import ReleaseError
from model.heads import HEADS

MAP_STRIDE = 8  # pixels of the crop a cell of the map
_STRIDES = (8, 16, 32)
_CHANNELS = 48


class AlterationMap(nn.Module):
    """Features of several strides joined on the finest grid (Lin et al., "Feature Pyramid Networks", CVPR 2017) and
    read as one logit a cell: this place was altered.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, _CHANNELS, 1, bias=False), nn.BatchNorm2d(_CHANNELS)) for count in channels
        )
        self.mixed = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, groups=_CHANNELS, bias=False),
            nn.BatchNorm2d(_CHANNELS),
            nn.ReLU(),
        )
        self.altered = nn.Conv2d(_CHANNELS, 1, 1)

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


class TwoHeads(nn.Module):
    """uint8 (n, side, side, 3) RGB in, float32 (n, 2) logits out, in the order of `HEADS`."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: nn.Module, features: int, mean: Sequence[float], std: Sequence[float], dropout: float = 0.2,
        pyramid: Sequence[tuple[int, int]] = (),
    ) -> None:  # fmt: skip
        """`pyramid` is the place and the channels of the backbone's features at strides 8, 16 and 32; without it the
        network has no map.
        """
        super().__init__()
        self.backbone: Any = backbone
        self.heads = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, len(HEADS)))
        self.map = AlterationMap([channels for _, channels in pyramid]) if pyramid else None
        self.local = nn.Linear(_CHANNELS, len(HEADS), bias=False) if pyramid else None
        self._places = [place for place, _ in pyramid]
        if self.local is not None:
            nn.init.zeros_(self.local.weight)  # what the backbone knows is not disturbed by a map that knows nothing
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255)

    @property
    def has_map(self) -> bool:
        """Whether `everything` gives a map."""
        return self.map is not None

    def forward(self, crops: Tensor) -> Tensor:
        """float32 (n, 2) logits."""
        return self.everything(crops)[0]

    def everything(self, crops: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Logits float32 (n, 2), the map's logits float32 (n, side / 8, side / 8) or None, and the pooled features
        float32 (n, features) under the heads.
        """
        pixels = (crops.permute(0, 3, 1, 2).float() - self.mean) / self.std
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        if self.map is None or self.local is None:
            pooled = self.backbone(pixels)
            return self.heads(pooled).float(), None, pooled.float()
        last, pyramid = self.backbone.forward_intermediates(pixels, indices=self._places)
        pooled = self.backbone.forward_head(last, pre_logits=True)
        cells, looked_at = self.map(pyramid)
        return (self.heads(pooled) + self.local(looked_at)).float(), cells.float(), pooled.float()


def create(
    backbone: str, mean: Sequence[float], std: Sequence[float], weights: Path | None = None, *,
    with_map: bool = False, dropout: float = 0.2,
) -> TwoHeads:  # fmt: skip
    """A network on timm's `backbone`; `weights` is a safetensors file of that backbone with its 1,000-class head,
    random ones when None. Raises ReleaseError when timm has no such backbone, the weights do not fit, or a map is
    asked of a backbone without features at strides 8, 16 and 32.
    """
    import timm  # half a second, and only for those who build networks

    # TensorFlow's padding, which the pretrained MobileNetV2 was trained with; other families take no such option.
    options: dict[str, Any] = {"pad_type": "same"} if backbone.startswith("mobilenetv2") else {}
    try:
        body: Any = timm.create_model(backbone, **options)
        if weights is not None:
            body.load_state_dict(load_file(weights), strict=True)
    except (RuntimeError, OSError, ValueError) as error:
        raise ReleaseError(f"cannot build {backbone}: {str(error).splitlines()[0]}") from error
    body.reset_classifier(0)
    features = getattr(body, "head_hidden_size", None) or body.num_features
    return TwoHeads(body, features, mean, std, dropout, _pyramid(body, backbone) if with_map else ())


def load(backbone: str, mean: Sequence[float], std: Sequence[float], path: Path) -> TwoHeads:
    """The network whose whole state lies in a safetensors file, with a map where the file has one's weights. Raises
    ReleaseError when it does not fit.
    """
    state = load_file(path)
    network = create(backbone, mean, std, with_map=any(name.startswith("map.") for name in state))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ReleaseError(f"{path} does not fit {backbone}: {str(error).splitlines()[0]}") from error
    return network.eval()


def _pyramid(body: Any, backbone: str) -> list[tuple[int, int]]:
    stages = {
        stage["reduction"]: (place, stage["num_chs"])
        for place, stage in enumerate(getattr(body, "feature_info", None) or [])
    }
    if not hasattr(body, "forward_intermediates") or not set(_STRIDES) <= stages.keys():
        raise ReleaseError(f"{backbone} has no features at strides 8, 16 and 32, which a map needs")
    return [stages[stride] for stride in _STRIDES]
