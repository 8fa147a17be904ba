"""Folding into an ONNX graph what it wants to see and what its output means.

In front of the original come cast, colour order, (value / 255 - mean) / std and layout; behind it, which of its outputs
is meant and how that becomes the logit of P(fake) (`chains`). It refuses graphs with several inputs, of another rank
than four, or with another number of channels than three.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, compose, helper

from model import procedural
from model.backends import LOGITS
from model.errors import ReleaseError
from model.imports import chains
from model.imports.chains import Chain, Meaning

OLDEST_OPSET = 9
PREFIX = "imported/"
CROPS = "crops"
_TYPES: dict[int, Any] = {
    TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64,
    TensorProto.UINT8: np.uint8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Framing:
    """What a network wants: RGB (BGR where `bgr`) of (value / 255 - mean) / std, at `size` pixels a side and in
    `layout`, nchw or nhwc. None is what the graph or timm says, where it does.
    """

    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    size: int | None = None
    layout: Literal["nchw", "nhwc"] | None = None
    bgr: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """The graph's one input: its name, element type, fixed batch (None: any), layout and side in pixels."""

    name: str
    kind: int
    batch: int | None
    layout: str
    size: int

    def example(self) -> np.ndarray[Any, Any]:
        """Noise of the shape and type that it takes."""
        shape = (3, self.size, self.size) if self.layout == "nchw" else (self.size, self.size, 3)
        noise = np.random.default_rng(0).random((self.batch or 2, *shape))
        return (noise * 255 if self.kind == TensorProto.UINT8 else noise).astype(_TYPES[self.kind])


def read(path: Path) -> onnx.ModelProto:
    """The ONNX model in `path`. Raises ReleaseError when it is none."""
    try:
        model = onnx.load_model(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's and the checker's errors have no common base
        raise ReleaseError(f"{path} is not a readable ONNX file: {_first_line(error)}") from error
    opset = next((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), 0)
    if opset < OLDEST_OPSET:
        raise ReleaseError(f"{path} is of opset {opset}; {OLDEST_OPSET} is the oldest that is read")
    return model


def served(original: onnx.ModelProto, framing: Framing, meaning: Meaning) -> tuple[onnx.ModelProto, int]:
    """The graph that takes uint8 (n, size, size, 3) RGB `crops` and gives float32 (n, 1) `logits`, and the size. Any n
    where the original can, else exactly the n it was made for. Raises ReleaseError.
    """
    model = compose.add_prefix(original, PREFIX)
    entry = _entry(model, framing)
    exit_, count = _exit(model, entry, meaning)
    before = chains.before(CROPS, entry.name, entry.kind, framing.mean, framing.std, framing.bgr, entry.layout)
    after = chains.after(exit_, LOGITS, count, meaning)
    # A number of crops is often only written down in a graph, and not built into it: try without.
    free = _joined(model, entry, before, after, None)
    if _any_number(free, entry.size):
        return free, entry.size
    if entry.batch is None:
        raise ReleaseError("the graph gives crops no numbers, or ones that depend on the crops beside them")
    return _joined(model, entry, before, after, entry.batch), entry.size


def _entry(model: onnx.ModelProto, framing: Framing) -> Entry:
    constants = {tensor.name for tensor in model.graph.initializer}
    entries = [entry for entry in model.graph.input if entry.name not in constants]
    if len(entries) != 1:
        raise ReleaseError(f"the graph has {len(entries)} inputs; a detector of images has one")
    tensor = entries[0].type.tensor_type
    if tensor.elem_type not in _TYPES:
        raise ReleaseError(f"the graph's input is of type {TensorProto.DataType.Name(tensor.elem_type)}")
    if not tensor.HasField("shape") or len(tensor.shape.dim) != 4:
        raise ReleaseError("the graph's input is no batch of images: its shape must have four dimensions")
    batch, *rest = [dimension.dim_value or None for dimension in tensor.shape.dim]
    channels = {"nchw": rest[0], "nhwc": rest[2]}
    layouts = [name for name, count in channels.items() if count in {3, None}]
    sure = [name for name in layouts if channels[name]] or layouts
    layout = framing.layout or (sure[0] if len(sure) == 1 else None)
    if not layouts or (layout and layout not in layouts):
        raise ReleaseError(f"the graph's input of shape {[batch, *rest]} takes no {layout or 'three-channel'} images")
    if layout is None:
        raise ReleaseError("the graph does not say where its channels are: give --layout")
    sides = {side for side in (rest[1:] if layout == "nchw" else rest[:2]) if side} | (
        {framing.size} if framing.size else set()
    )
    if len(sides) != 1:
        told = f"its sides are said to be {sorted(sides)}" if sides else "the graph does not say it: give --size"
        raise ReleaseError(f"a crop needs one size: {told}")
    return Entry(entries[0].name, tensor.elem_type, batch, layout, sides.pop())


def _exit(model: onnx.ModelProto, entry: Entry, meaning: Meaning) -> tuple[str, int]:
    """The name of the output that is meant, and how many numbers it gives a crop."""
    names = [output.name for output in model.graph.output]
    chosen = [name for name in names if meaning.output in {None, name.removeprefix(PREFIX)}]
    if len(chosen) != 1:
        there = ", ".join(name.removeprefix(PREFIX) for name in names)
        raise ReleaseError(f"the graph's outputs are {there}: name one of them with --output")
    example = entry.example()
    try:
        (found,) = _session(model).run(chosen, {entry.name: example})
    except Exception as error:  # onnxruntime has no public base class for its errors
        raise ReleaseError(f"the graph cannot be run on {example.shape}: {_first_line(error)}") from error
    if not found.ndim or len(found) != len(example):
        raise ReleaseError(f"the graph gives {found.shape} for {len(example)} images")
    return chosen[0], int(found[0].size)


def _joined(model: onnx.ModelProto, entry: Entry, before: Chain, after: Chain, batch: int | None) -> onnx.ModelProto:
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    graph = whole.graph
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*before.constants, *after.constants])
    crops = [batch or "n", entry.size, entry.size, 3]
    graph.input.append(helper.make_tensor_value_info(CROPS, TensorProto.UINT8, crops))
    graph.output.append(helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [batch or "n", 1]))
    whole.ir_version = max(whole.ir_version, 4)  # before 4 constants had to be inputs, too
    return whole


def _any_number(model: onnx.ModelProto, size: int) -> bool:
    """Whether the graph runs on several crops, and says a number of each, the same as of it alone."""
    stack = np.stack([procedural.noise(size, 0), procedural.gradient(size), procedural.checks(size, 5)])
    try:
        session = _session(model)
        (together,) = session.run([LOGITS], {CROPS: stack})
        alone = np.concatenate([session.run([LOGITS], {CROPS: crop[None]})[0] for crop in stack])
    except Exception:  # noqa: BLE001 - whatever went wrong, it cannot
        return False
    finite = together.shape == alone.shape and np.isfinite(together).all()
    return bool(finite and np.allclose(together, alone, atol=1e-2))


def _session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
