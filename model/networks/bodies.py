"""Backbones by name: any of timm's, and the few that timm lacks. A body makes pooled features of normalised pixels.

It refuses weights that do not fit strictly, and says which file to fetch where weights cannot be downloaded.
MogaNet-XT is not among them: timm does not carry it, its weights are published for its authors' own code, and without
them it would be one more network from scratch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from model import torchvision_ops  # noqa: F401 - timm imports torchvision, which may need this first
from model.errors import ReleaseError
from model.networks.students import BlockStudent, DenseStudent

ALEXNET, DENSENET_264, DENSE_STUDENT, BLOCK_STUDENT = "alexnet", "densenet264", "dense_student", "block_student"
OURS = (ALEXNET, DENSENET_264, DENSE_STUDENT, BLOCK_STUDENT)
NONE, IMAGENET = "none", "imagenet"
Triple = tuple[float, float, float]
_IMAGENET_PIXELS: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_ALEXNET_WEIGHTS = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"


def build(name: str, pretrained: str, channels: int, size: int) -> tuple[Any, int]:
    """The body called `name` for crops of `size` pixels with so many `channels`, and the width of its features.

    `pretrained` is `none`, `imagenet`, or a file of its weights with their original head; the first convolution is
    adapted to more than three channels by repeating its kernels. Raises ReleaseError when there is no such network, or
    its weights cannot be had or do not fit.
    """
    if pretrained not in (NONE, IMAGENET) and not Path(pretrained).is_file():
        raise ReleaseError(f"network.pretrained: there is no file {pretrained}")
    try:
        body = _ours(name, pretrained, channels, size) if name in OURS else _of_timm(name, pretrained, channels, size)
    except OSError as error:
        raise ReleaseError(_fetch(name, error)) from error
    except (RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
        raise ReleaseError(f"cannot build {name}: {str(error).splitlines()[0]}") from error
    return body, getattr(body, "head_hidden_size", None) or body.num_features


def normalisation(name: str) -> tuple[Triple, Triple]:
    """Mean and std of pixels (0 to 1) that the published weights of `name` were trained with."""
    if name in OURS:
        return _IMAGENET_PIXELS
    if (said := _config(name)) is None:
        raise ReleaseError(f"network.backbone: neither timm nor Unmask has a network {name}")
    return tuple(said.mean), tuple(said.std)


def one_size_only(name: str) -> bool:
    """Whether the network is built for one crop size, so that sizes cannot grow during training."""
    return name == DENSE_STUDENT or bool(getattr(_config(name), "fixed_input_size", False))


def _of_timm(name: str, pretrained: str, channels: int, size: int) -> Any:
    import timm  # half a second, and only for those who build networks

    if (said := _config(name)) is None:
        raise ReleaseError(f"network.backbone: neither timm nor Unmask has a network {name}")
    if pretrained == IMAGENET and not (said.hf_hub_id or said.url):
        raise ReleaseError(f'network.pretrained: nobody has published ImageNet weights of {name} (say "none")')
    # TensorFlow's padding, which the pretrained MobileNetV2 was trained with; other families take no such option.
    options: dict[str, Any] = {"pad_type": "same"} if name.startswith("mobilenetv2") else {}
    if said.fixed_input_size:
        options["img_size"] = size
    if pretrained not in (NONE, IMAGENET):
        options["pretrained_cfg_overlay"] = {"file": pretrained}
    body: Any = timm.create_model(name, pretrained=pretrained != NONE, in_chans=channels, **options)
    body.reset_classifier(0)
    return body


def _ours(name: str, pretrained: str, channels: int, size: int) -> Any:
    if name == ALEXNET:
        return _alexnet(pretrained, channels)
    if pretrained == IMAGENET:
        raise ReleaseError(f'network.pretrained: nobody has published ImageNet weights of {name} (say "none")')
    body: Any
    if name == DENSENET_264:  # of the paper (Huang et al., CVPR 2017); timm has one with another stem only
        from timm.models.densenet import DenseNet

        body = DenseNet(growth_rate=32, block_config=(6, 12, 64, 48), in_chans=channels)
    else:
        body = DenseStudent(channels, size) if name == DENSE_STUDENT else BlockStudent(channels)
    if pretrained != NONE:
        body.load_state_dict(_weights(pretrained), strict=True)
    if name == DENSENET_264:
        body.reset_classifier(0)
    return body


def _alexnet(pretrained: str, channels: int) -> Any:
    """Krizhevsky's network as torchvision has it, up to its last hidden layer of 4,096."""
    import torchvision

    body: Any = torchvision.models.alexnet(dropout=0.0)
    if pretrained == IMAGENET:
        body.load_state_dict(torch.hub.load_state_dict_from_url(_ALEXNET_WEIGHTS, weights_only=True))
    elif pretrained != NONE:
        body.load_state_dict(_weights(pretrained), strict=True)
    if channels != 3:
        from timm.models import adapt_input_conv

        first = nn.Conv2d(channels, 64, 11, stride=4, padding=2)
        first.weight.data = adapt_input_conv(channels, body.features[0].weight.data)
        first.bias = body.features[0].bias
        body.features[0] = first
    body.classifier[-1] = nn.Identity()
    body.num_features = 4096
    return body


def _weights(path: str) -> dict[str, torch.Tensor]:
    if path.endswith(".safetensors"):
        return load_file(path)
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return state


def _config(name: str) -> Any:
    import timm

    return timm.get_pretrained_cfg(name) if name not in OURS and timm.is_model(name) else None


def _fetch(name: str, error: Exception) -> str:
    """What to do where weights could not be downloaded."""
    said, reason = _config(name), str(error).splitlines()[0] if str(error) else type(error).__name__
    if said is not None and said.hf_hub_id:
        place = f"{said.hf_hub_filename or 'model.safetensors'} of https://huggingface.co/{said.hf_hub_id}"
    else:
        place = said.url if said is not None else _ALEXNET_WEIGHTS
    return (
        f"the weights of {name} cannot be had ({reason}). Fetch {place} where there is a network, put it on this "
        f'machine, and say network.pretrained = "PATH/OF/THAT/FILE"'
    )
