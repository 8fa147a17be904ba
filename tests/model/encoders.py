"""A tiny encoder made by code: its weights, its published file, its wheel, and all that is pinned of them."""

import hashlib
import zipfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

from model.encoder import golden, graph, quantisation, running
from model.encoder import weights as reading
from model.encoder.published import Published, Wheel
from model.encoder.record import EncoderRecord
from model.encoder.weights import Shape
from model.lab import ranges

SHAPE = Shape(width=64, depth=4, heads=1, hidden=128, size=224, patch=32)
BLOCKS = (1, 2, 3, 4)
_HEADS = ("q_proj", "k_proj", "v_proj")


def tiny(seed=0, shape=SHAPE):
    """Random weights under timm's names; the same for the same seed."""
    chance = np.random.default_rng(seed)
    width, hidden = shape.width, shape.hidden

    def drawn(*size, scale=None):
        return (chance.standard_normal(size) * (scale or size[-1] ** -0.5)).astype(np.float32)

    found = {
        "cls_token": drawn(1, 1, width, scale=0.5),
        "pos_embed": drawn(1, shape.tokens, width, scale=0.3),
        "patch_embed.proj.weight": drawn(width, 3, shape.patch, shape.patch, scale=1 / shape.patch),
        "head.weight": drawn(32, width),
    }
    norms = ["norm_pre", "norm", *(f"blocks.{block}.norm{one}" for block in range(shape.depth) for one in (1, 2))]
    for name in norms:
        found[f"{name}.weight"] = 1 + drawn(width, scale=0.1)
        found[f"{name}.bias"] = drawn(width, scale=0.1)
    sizes = {"attn.qkv": (3 * width, width), "attn.proj": (width, width),
             "mlp.fc1": (hidden, width), "mlp.fc2": (width, hidden)}  # fmt: skip
    for block in range(shape.depth):
        for layer, size in sizes.items():
            found[f"blocks.{block}.{layer}.weight"] = drawn(*size)
            found[f"blocks.{block}.{layer}.bias"] = drawn(size[0], scale=0.1)
    return found


def recipe(weights):
    """The quantisation recipe that the golden crops give."""
    return quantisation.recipe(weights, ranges.measure(weights, golden.crops()))


def published_graph(weights):
    """The weights, rounded to int8, as ONNX Runtime's dynamic quantiser writes Hugging Face's CLIP image tower."""
    nodes, arrays = [], []
    depth = reading.shape_of(weights).depth

    def put(name, value):
        arrays.append(numpy_helper.from_array(np.ascontiguousarray(value), name))

    def matrix(name, node, value):
        scales = np.maximum(np.abs(value).max(axis=1), 1e-12).astype(np.float32) / np.float32(127)
        put(f"{name}_quantized", np.rint(value / scales[:, None]).astype(np.int8).T)
        put(f"{name}_scale", scales)
        put(f"{name}_zero_point", np.zeros(len(scales), np.int8))
        nodes.append(helper.make_node("MatMulInteger", ["x", f"{name}_quantized"], [f"{name}.y"], name=node))

    put("vision_model.embeddings.class_embedding", weights["cls_token"].reshape(-1))
    put("vision_model.embeddings.position_embedding.weight", weights["pos_embed"][0])
    put("vision_model.embeddings.patch_embedding.weight", weights["patch_embed.proj.weight"])
    matrix("onnx::head", "/visual_projection/MatMul_quant", weights["head.weight"])
    for mine, theirs in (("norm_pre", "pre_layrnorm"), ("norm", "post_layernorm")):
        for part in ("weight", "bias"):
            put(f"vision_model.{theirs}.{part}", weights[f"{mine}.{part}"])
    for block in range(depth):
        mine, theirs = f"blocks.{block}", f"vision_model.encoder.layers.{block}"
        node = f"/vision_model/encoder/layers.{block}"
        for place, head in enumerate(_HEADS):
            third = slice(place * SHAPE.width, (place + 1) * SHAPE.width)
            matrix(
                f"m{block}.{head}", f"{node}/self_attn/{head}/MatMul_quant", weights[f"{mine}.attn.qkv.weight"][third]
            )
            put(f"{theirs}.self_attn.{head}.bias", weights[f"{mine}.attn.qkv.bias"][third])
        matrix(f"m{block}.o", f"{node}/self_attn/out_proj/MatMul_quant", weights[f"{mine}.attn.proj.weight"])
        put(f"{theirs}.self_attn.out_proj.bias", weights[f"{mine}.attn.proj.bias"])
        for layer in ("fc1", "fc2"):
            matrix(f"m{block}.{layer}", f"{node}/mlp/{layer}/MatMul_quant", weights[f"{mine}.mlp.{layer}.weight"])
            put(f"{theirs}.mlp.{layer}.bias", weights[f"{mine}.mlp.{layer}.bias"])
        for one in (1, 2):
            for part in ("weight", "bias"):
                put(f"{theirs}.layer_norm{one}.{part}", weights[f"{mine}.norm{one}.{part}"])
    return helper.make_model(helper.make_graph(nodes, "published", [], [], arrays))


def publish(folder, seed=0):
    """A `Published` tiny encoder whose files lie in `folder`: source.onnx, the wheel, recipe.npz and golden.npz."""
    source = folder / "source.onnx"
    onnx.save(published_graph(tiny(seed)), source)
    weights = reading.read(source)
    found = recipe(weights)
    found.write(folder / "recipe.npz")
    golden.write(folder / "golden.npz", features(graph.build(weights, None, BLOCKS)))
    digest = graph.digest(graph.build(weights, found, BLOCKS))
    wheel = pack(folder, source)
    return Published(
        EncoderRecord(source=sha256(source), graph=digest, blocks=BLOCKS),
        folder / "recipe.npz",
        folder / "golden.npz",
        Wheel("tinyencoder", "1.0", sha256(wheel), wheel.stat().st_size, "tinyencoder/source.onnx"),
        "no_such_network",
    )


def pack(folder, source):
    """A wheel that pip takes, with `source` inside."""
    wheel, info = folder / "tinyencoder-1.0-py3-none-any.whl", "tinyencoder-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as members:
        members.write(source, "tinyencoder/source.onnx")
        members.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyencoder\nVersion: 1.0\n")
        members.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        members.writestr(f"{info}/RECORD", "")
    return wheel


def features(model, crops=None):
    """What the graph answers to `crops`, or to the golden ones."""
    return running.OnnxEncoder(model.SerializeToString(), 2).features(golden.crops() if crops is None else crops)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
