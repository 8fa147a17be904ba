"""The encoder as an ONNX graph: uint8 crops in, features out; in float32, or int8 by a quantisation recipe.

The graph is written node by node, always in the same order, so that the same weights and recipe give the same graph on
every machine. It normalises the crops itself. Its output is what the heads read: the class token and the mean of the
patch tokens of several blocks, which tell generated pictures apart far better than the last layer's embedding does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.encoder import quantisation
from model.encoder.quantisation import LAYERS, Recipe
from model.encoder.record import BLOCKS, EPSILON, MEAN, STD
from model.encoder.weights import Floats, Shape, Weights, shape_of

INPUT, OUTPUT = "crops", "features"
_OPSET, _IR = 17, 9


@dataclass(slots=True)
class _Writer:
    """Collects nodes and initializers; every method returns the name of what it computes."""

    recipe: Recipe | None
    nodes: list[Any] = field(default_factory=list)
    arrays: list[Any] = field(default_factory=list)

    def constant(self, name: str, value: Any) -> str:
        self.arrays.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def linear(self, name: str, value: str, weight: Floats, bias: Floats) -> str:
        """`value @ weight.T + bias`; in int8 where the recipe has the layer, whose input is smoothed already."""
        matrix = np.ascontiguousarray(weight.T)
        if self.recipe and (layer := self.recipe.layers.get(name)):
            scale, zero = quantisation.inputs(layer)
            pair = [self.constant(f"{name}.scale", scale), self.constant(f"{name}.zero", zero)]
            value = self.node("QuantizeLinear", [value, *pair], f"{name}.quantised")
            value = self.node("DequantizeLinear", [value, *pair], f"{name}.input")
            packed, scales = quantisation.matrix(matrix)
            parts = [
                self.constant(f"{name}.weight", packed),
                self.constant(f"{name}.weight_scale", scales),
                self.constant(f"{name}.weight_zero", np.zeros(len(scales), np.int8)),
            ]
            right = self.node("DequantizeLinear", parts, f"{name}.matrix", axis=1)
        else:
            right = self.constant(f"{name}.weight", matrix)
        product = self.node("MatMul", [value, right], f"{name}.product")
        return self.node("Add", [product, self.constant(f"{name}.bias", bias)], f"{name}.output")

    def norm(self, name: str, value: str, weight: Floats, bias: Floats) -> str:
        pair = [self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        return self.node("LayerNormalization", [value, *pair], f"{name}.output", axis=-1, epsilon=EPSILON)

    def smoothing(self, name: str, size: int) -> Floats:
        layer = self.recipe.layers.get(name) if self.recipe else None
        return layer.smoothing if layer else np.ones(size, np.float32)


def build(weights: Weights, recipe: Recipe | None = None, blocks: Sequence[int] = BLOCKS) -> onnx.ModelProto:
    """The graph `crops` uint8 (n, size, size, 3) RGB -> `features` float32 (n, len(blocks) * 2 * width)."""
    shape = shape_of(weights)
    write = _Writer(recipe)
    value = _tokens(write, weights, shape)
    read = []
    for block in range(max(blocks)):
        value = _block(write, weights, shape, f"blocks.{block}", value)
        if block + 1 in blocks:
            read += _read(write, f"blocks.{block}", value)
    write.node("Concat", read, OUTPUT, axis=1)
    crops = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", shape.size, shape.size, 3])
    features = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", len(blocks) * 2 * shape.width])
    graph = helper.make_graph(write.nodes, "encoder", [crops], [features], write.arrays)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="unmask"
    )


def _tokens(write: _Writer, weights: Weights, shape: Shape) -> str:
    """Patches of the normalised crops, the class token before them, places added: (n, tokens, width)."""
    width, across = shape.width, shape.size // shape.patch
    pixels = write.node("Cast", [INPUT], "pixels", to=TensorProto.FLOAT)
    shift, scale = np.array(MEAN, np.float32) * 255, 1 / (np.array(STD, np.float32) * 255)
    pixels = write.node("Sub", [pixels, write.constant("mean", shift)], "centred")
    pixels = write.node("Mul", [pixels, write.constant("scale", scale)], "normalised")
    pixels = write.node("Transpose", [pixels], "planes", perm=[0, 3, 1, 2])
    kernel = write.constant("patch.weight", weights["patch_embed.proj.weight"])
    patches = write.node("Conv", [pixels, kernel], "patches", strides=[shape.patch, shape.patch])
    patches = write.node(
        "Reshape", [patches, write.constant("patches.shape", np.array([0, width, across**2], np.int64))], "patches.flat"
    )
    patches = write.node("Transpose", [patches], "patches.tokens", perm=[0, 2, 1])
    count = write.node("Shape", [INPUT], "count", end=1)
    rest = write.constant("class.rest", np.array([1, width], np.int64))
    whole = write.node("Concat", [count, rest], "class.shape", axis=0)
    first = write.node("Expand", [write.constant("class", weights["cls_token"]), whole], "class.tokens")
    value = write.node("Concat", [first, patches], "tokens", axis=1)
    value = write.node("Add", [value, write.constant("places", weights["pos_embed"])], "placed")
    return write.norm("norm_pre", value, weights["norm_pre.weight"], weights["norm_pre.bias"])


def _block(write: _Writer, weights: Weights, shape: Shape, name: str, value: str) -> str:
    part = {key: weights[f"{name}.{key}"] for key in (
        "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias",
        *(f"{layer}.{kind}" for layer in LAYERS for kind in ("weight", "bias")),
    )}  # fmt: skip
    attended = _attention(write, part, shape, name, value)
    value = write.node("Add", [value, attended], f"{name}.attended")
    # The smoothing of a layer is folded into whatever makes its input, wherever that is linear.
    smooth = write.smoothing(f"{name}.mlp.fc1", shape.width)
    normed = write.norm(f"{name}.norm2", value, part["norm2.weight"] / smooth, part["norm2.bias"] / smooth)
    hidden = write.linear(f"{name}.mlp.fc1", normed, part["mlp.fc1.weight"] * smooth, part["mlp.fc1.bias"])
    steep = write.node("Mul", [hidden, write.constant(f"{name}.steep", np.float32(1.702))], f"{name}.steeper")
    gate = write.node("Sigmoid", [steep], f"{name}.gate")
    active = write.node("Mul", [hidden, gate], f"{name}.active")  # QuickGELU: x * sigmoid(1.702 x)
    smooth = write.smoothing(f"{name}.mlp.fc2", shape.hidden)
    if write.recipe:
        active = write.node("Mul", [active, write.constant(f"{name}.calm", 1 / smooth)], f"{name}.smoothed")
    out = write.linear(f"{name}.mlp.fc2", active, part["mlp.fc2.weight"] * smooth, part["mlp.fc2.bias"])
    return write.node("Add", [value, out], f"{name}.output")


def _attention(write: _Writer, part: Weights, shape: Shape, name: str, value: str) -> str:
    width, heads, each = shape.width, shape.heads, shape.width // shape.heads
    smooth = write.smoothing(f"{name}.attn.qkv", width)
    normed = write.norm(f"{name}.norm1", value, part["norm1.weight"] / smooth, part["norm1.bias"] / smooth)
    weight, bias = part["attn.qkv.weight"] * smooth, part["attn.qkv.bias"].copy()
    weight[:width] /= each**0.5
    bias[:width] /= each**0.5
    calm = write.smoothing(f"{name}.attn.proj", width)
    weight[2 * width :] /= calm[:, None]  # a smoothed value is a smoothed context, since attention mixes tokens only
    bias[2 * width :] /= calm
    made = write.linear(f"{name}.attn.qkv", normed, weight, bias)
    places = write.constant(f"{name}.heads", np.array([0, shape.tokens, 3 * heads, each], np.int64))
    made = write.node("Reshape", [made, places], f"{name}.split")
    made = write.node("Transpose", [made], f"{name}.by_head", perm=[0, 2, 1, 3])
    sizes = write.constant(f"{name}.thirds", np.array([heads] * 3, np.int64))
    write.nodes.append(
        helper.make_node("Split", [made, sizes], [f"{name}.query", f"{name}.key", f"{name}.value"], axis=1)
    )
    key = write.node("Transpose", [f"{name}.key"], f"{name}.key_columns", perm=[0, 1, 3, 2])
    likeness = write.node("MatMul", [f"{name}.query", key], f"{name}.likeness")
    shares = write.node("Softmax", [likeness], f"{name}.shares", axis=-1)
    context = write.node("MatMul", [shares, f"{name}.value"], f"{name}.context")
    context = write.node("Transpose", [context], f"{name}.by_token", perm=[0, 2, 1, 3])
    flat = write.constant(f"{name}.flat", np.array([0, shape.tokens, width], np.int64))
    context = write.node("Reshape", [context, flat], f"{name}.joined")
    return write.linear(f"{name}.attn.proj", context, part["attn.proj.weight"] * calm, part["attn.proj.bias"])


def _read(write: _Writer, name: str, value: str) -> list[str]:
    """The class token and the mean patch token of a block's output, each (n, width)."""
    ends = [write.constant(f"{name}.{at}", np.array([place], np.int64)) for at, place in
            (("second", 1), ("last", np.iinfo(np.int64).max), ("axis", 1))]  # fmt: skip
    first = write.node("Gather", [value, write.constant(f"{name}.zero", np.array(0, np.int64))], f"{name}.cls", axis=1)
    rest = write.node("Slice", [value, *ends], f"{name}.patches")
    return [first, write.node("ReduceMean", [rest], f"{name}.mean", axes=[1], keepdims=0)]


def digest(model: onnx.ModelProto) -> str:
    """SHA-256 of what the graph computes: its nodes and arrays in order, whatever wrote the file around them."""
    total = hashlib.sha256()
    for node in model.graph.node:
        total.update(f"{node.op_type} {list(node.input)} {list(node.output)}\n".encode())
    for array in model.graph.initializer:
        total.update(f"{array.name} {array.data_type} {list(array.dims)}\n".encode())
        total.update(numpy_helper.to_array(array).tobytes())
    return total.hexdigest()


def linear_inputs(model: onnx.ModelProto, shape: Shape) -> dict[str, str]:
    """Of a float graph, the name of what each quantisable linear layer reads."""
    layers = {f"blocks.{block}.{layer}" for block in range(shape.depth) for layer in LAYERS}
    return {
        name: node.input[0]
        for node in model.graph.node
        if node.op_type == "MatMul" and (name := node.output[0].removesuffix(".product")) in layers
    }
