"""The encoder as a network of timm's: built from weights, or downloaded with upstream's. Needs torch and timm."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from model import torchvision_ops  # noqa: F401 - timm imports torchvision, which may need this first
from model.encoder.record import EPSILON
from model.encoder.weights import Floats, Shape, Weights
from model.errors import EncoderError

_UNREAD = {"norm.weight", "norm.bias"}  # after the last block, whose plain output is read


def network(weights: Weights, shape: Shape, depth: int) -> Any:
    """A VisionTransformer with the first `depth` blocks of `weights`: float32, on the CPU, without gradients.

    Raises EncoderError where a weight is missing.
    """
    from timm.models.vision_transformer import VisionTransformer

    made = VisionTransformer(
        img_size=shape.size, patch_size=shape.patch, embed_dim=shape.width, depth=depth, num_heads=shape.heads,
        mlp_ratio=shape.hidden / shape.width, pre_norm=True, num_classes=0,
        norm_layer=partial(nn.LayerNorm, eps=EPSILON), act_layer="quick_gelu",
    )  # fmt: skip
    wanted = made.state_dict()
    given = {name: torch.from_numpy(np.array(weights[name])) for name in wanted if name in weights}
    if missing := sorted(set(wanted) - set(given) - _UNREAD):
        raise EncoderError(f"the encoder's weights lack {missing[0]}")
    made.load_state_dict(given, strict=False)
    return made.eval().requires_grad_(False)


def upstream(name: str) -> dict[str, Floats]:
    """The upstream weights of timm's network `name`, from the model hub. Raises EncoderError without them."""
    import timm

    try:
        network = timm.create_model(name, pretrained=True)
    except Exception as error:  # each of several libraries below has errors of its own
        raise EncoderError(
            f"the model hub gave no {name}: {(str(error) or type(error).__name__).splitlines()[0]}"
        ) from error
    return {key: np.asarray(array.numpy(), np.float32) for key, array in network.state_dict().items()}
