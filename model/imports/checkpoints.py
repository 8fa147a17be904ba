"""A checkpoint of a timm network as an ONNX graph that takes what the network takes.

Safetensors, or a pickle that torch opens with `weights_only`, so that nothing in it is ever run. Weights must fit
strictly; what training frameworks wrap around them (`state_dict`, `module.`) is taken off. It refuses whole pickled
modules.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from model import exporting, torchvision_ops  # noqa: F401 - timm imports torchvision, which may need the latter first
from model.errors import ReleaseError
from model.imports import graphs
from model.imports.graphs import Framing

_WRAPPINGS = ("state_dict_ema", "state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("_orig_mod.", "module.", "model.", "net.", "backbone.")


def as_graph(file: Path, architecture: str, framing: Framing) -> tuple[onnx.ModelProto, Framing]:
    """The network as a graph, and the framing with what timm knows of the architecture where nothing was said. Raises
    ReleaseError when timm has no such network or the weights do not fit.
    """
    import timm

    weights = read(file)
    try:
        classifier = timm.get_pretrained_cfg(architecture).classifier or ""  # type: ignore[union-attr]
        head = weights.get(f"{classifier}.weight")
        if head is None:
            raise ReleaseError(f"{file} holds no {classifier}.weight, the last layer of timm's {architecture}")
        network: Any = timm.create_model(architecture, num_classes=len(head))
        network.load_state_dict(weights, strict=True)
    except (RuntimeError, ValueError, AttributeError) as error:
        raise ReleaseError(f"{file} does not fit timm's {architecture}: {str(error).splitlines()[0]}") from error
    known = network.default_cfg
    framing = replace(
        framing,
        mean=framing.mean or tuple(known["mean"]),
        std=framing.std or tuple(known["std"]),
        size=framing.size or known["input_size"][-1],
        layout="nchw",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "original.onnx"
        example = torch.zeros((2, 3, framing.size or 0, framing.size or 0))
        exporting.write_graph(network.eval(), example, path, "pixels", ["said"])
        return graphs.read(path), framing


def read(file: Path) -> dict[str, Tensor]:
    """The weights in `file` by the names that they have inside the network. Raises ReleaseError."""
    try:
        if file.suffix.lower() == ".safetensors":
            return _bare(load_file(file))
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        told = str(error).splitlines()[0]
        raise ReleaseError(f"{file} holds no weights that can be read without running code: {told}") from error
    for name in _WRAPPINGS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping):
        raise ReleaseError(f"{file} holds a {type(found).__name__}, not weights by name")
    return _bare({str(name): tensor for name, tensor in found.items() if isinstance(tensor, Tensor)})


def _bare(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if weights and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights
