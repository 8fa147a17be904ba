"""Reading the encoder's weights: from the published int8 graph, or from a safetensors file of the upstream weights.

Weights are a mapping from the names that timm gives them (`blocks.0.attn.qkv.weight`) to float32 arrays in torch's
layout (out, in), so that the same arrays load into timm's network and into the graph that `graph` writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import EncoderError

Floats = NDArray[np.float32]
Weights = Mapping[str, Floats]

_LAYER = re.compile(r"layers\.(\d+)/(?:self_attn|mlp)/(\w+)/")
_PREFIX = "vision_model."
_PARTS = {"norm1": "layer_norm1", "norm2": "layer_norm2"}


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a vision transformer: tokens of `width` numbers, `depth` blocks of `heads` attention heads,
    square images of `size` pixels a side in patches of `patch`.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    size: int
    patch: int

    @property
    def tokens(self) -> int:
        """Patches and the class token."""
        return (self.size // self.patch) ** 2 + 1


def shape_of(weights: Weights) -> Shape:
    """The dimensions that the weights imply; attention heads are 64 numbers wide. Raises EncoderError for others."""
    try:
        width, _, patch, _ = weights["patch_embed.proj.weight"].shape
        tokens = weights["pos_embed"].shape[1]
        depth = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
        hidden = weights["blocks.0.mlp.fc1.weight"].shape[0]
    except (KeyError, ValueError) as error:
        raise EncoderError(f"these are not the weights of a vision transformer: {error}") from error
    return Shape(width, depth, max(1, width // 64), hidden, round((tokens - 1) ** 0.5) * patch, patch)


def read(path: Path) -> dict[str, Floats]:
    """The weights in an int8 ONNX graph (`.onnx`) or a safetensors file with timm's names. Raises EncoderError."""
    try:
        return from_graph(path) if path.suffix == ".onnx" else _from_safetensors(path)
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(f"{path} holds no encoder weights: {error}") from error


def _from_safetensors(path: Path) -> dict[str, Floats]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = {name: np.asarray(array, np.float32) for name, array in load_file(path).items()}
    except SafetensorError as error:
        raise EncoderError(f"{path} is not a safetensors file: {error}") from error
    shape_of(found)
    return found


def from_graph(path: Path) -> dict[str, Floats]:
    """The weights in a graph that ONNX Runtime's dynamic quantiser wrote from Hugging Face's CLIP image tower.

    Each matrix is int8 with one scale per output channel and zero points of 0, so `q * scale` is exact.
    Raises EncoderError when the graph is not laid out so.
    """
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf's DecodeError has no public base class
        raise EncoderError(f"{path} is not an ONNX graph") from error
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    matrices = {}
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            base = node.input[1].removesuffix("_quantized")
            if arrays[f"{base}_zero_point"].any():
                raise EncoderError(f"{path}: {base} has a zero point, so its weights are not q * scale")
            matrix = arrays[node.input[1]].astype(np.float32) * arrays[f"{base}_scale"]
            matched = _LAYER.search(node.name)
            matrices["head" if not matched else f"{matched[1]}.{matched[2]}"] = np.ascontiguousarray(matrix.T)
    return _named(arrays, matrices)


def _named(arrays: Mapping[str, NDArray[np.generic]], matrices: Mapping[str, Floats]) -> dict[str, Floats]:
    """The arrays under timm's names; query, key and value of a block are stacked as timm has them."""
    ours: dict[str, NDArray[np.generic]] = {
        "cls_token": arrays[f"{_PREFIX}embeddings.class_embedding"].reshape(1, 1, -1),
        "pos_embed": arrays[f"{_PREFIX}embeddings.position_embedding.weight"][None],
        "patch_embed.proj.weight": arrays[f"{_PREFIX}embeddings.patch_embedding.weight"],
        "head.weight": matrices["head"],
    }
    for name, theirs in (("norm_pre", "pre_layrnorm"), ("norm", "post_layernorm")):  # the typing error is upstream's
        for part in ("weight", "bias"):
            ours[f"{name}.{part}"] = arrays[f"{_PREFIX}{theirs}.{part}"]
    depth = 1 + max(int(name.split(".")[0]) for name in matrices if name != "head")
    for block in range(depth):
        theirs, mine = f"{_PREFIX}encoder.layers.{block}", f"blocks.{block}"
        heads = ("q_proj", "k_proj", "v_proj")
        ours[f"{mine}.attn.qkv.weight"] = np.concatenate([matrices[f"{block}.{head}"] for head in heads])
        ours[f"{mine}.attn.qkv.bias"] = np.concatenate([arrays[f"{theirs}.self_attn.{head}.bias"] for head in heads])
        ours[f"{mine}.attn.proj.weight"] = matrices[f"{block}.out_proj"]
        ours[f"{mine}.attn.proj.bias"] = arrays[f"{theirs}.self_attn.out_proj.bias"]
        for layer in ("fc1", "fc2"):
            ours[f"{mine}.mlp.{layer}.weight"] = matrices[f"{block}.{layer}"]
            ours[f"{mine}.mlp.{layer}.bias"] = arrays[f"{theirs}.mlp.{layer}.bias"]
        for norm, called in _PARTS.items():
            for part in ("weight", "bias"):
                ours[f"{mine}.{norm}.{part}"] = arrays[f"{theirs}.{called}.{part}"]
    return {name: np.ascontiguousarray(array, np.float32) for name, array in ours.items()}
