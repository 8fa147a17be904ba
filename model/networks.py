"""The network: a timm backbone and the two heads of `heads`, against a real whose logit is pinned to zero.

Normalisation lives inside, so nobody can serve a release with another one. It refuses weights that do not fit
strictly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from model import torchvision_ops  # noqa: F401 - timm imports torchvision, which may need this first
from model.errors import ReleaseError
from model.heads import HEADS


class TwoHeads(nn.Module):
    """uint8 (n, side, side, 3) RGB in, float32 (n, 2) logits out, in the order of `HEADS`."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: nn.Module, features: int, mean: Sequence[float], std: Sequence[float], dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, len(HEADS)))
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255)

    def forward(self, crops: Tensor) -> Tensor:
        pixels = (crops.permute(0, 3, 1, 2).float() - self.mean) / self.std
        logits: Tensor = self.heads(self.backbone(pixels.contiguous(memory_format=torch.channels_last)))
        return logits.float()


def create(backbone: str, mean: Sequence[float], std: Sequence[float], weights: Path | None = None) -> TwoHeads:
    """A network on timm's `backbone`; `weights` is a safetensors file of that backbone with its 1,000-class head,
    random ones when None. Raises ReleaseError when timm has no such backbone or the weights do not fit.
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
    return TwoHeads(body, getattr(body, "head_hidden_size", body.num_features), mean, std)
