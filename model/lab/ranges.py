"""What a quantisation recipe is made of: the values that the encoder's linear layers read on calibration crops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from model.encoder import graph
from model.encoder.quantisation import Span
from model.encoder.weights import Weights, shape_of

RUN = 8  # crops at once

Crops = NDArray[np.uint8]


def measure(weights: Weights, crops: Crops, threads: int = 1, done: Callable[[int], object] = lambda _: None) -> dict[
    str, Span
]:  # fmt: skip
    """The `Span` of each linear layer's input, by the layer's name, over uint8 (n, size, size, 3) RGB `crops`, n >= 1.

    `done` is called with the number of crops that were finished. `quantisation.recipe` makes a recipe of the spans.
    """
    shape = shape_of(weights)
    model = graph.build(weights, None, range(1, shape.depth + 1))
    outputs = _observed(model, graph.linear_inputs(model, shape))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [name for pair in outputs.values() for name in pair]
    low: dict[str, NDArray[np.float32]] = {}
    high: dict[str, NDArray[np.float32]] = {}
    for first in range(0, len(crops), RUN):
        some = crops[first : first + RUN]
        seen = dict(zip(names, session.run(names, {graph.INPUT: some}), strict=True))
        for layer, (least, greatest) in outputs.items():
            low[layer] = np.minimum(low.get(layer, seen[least]), seen[least])
            high[layer] = np.maximum(high.get(layer, seen[greatest]), seen[greatest])
        done(len(some))
    return {layer: Span(low[layer], high[layer]) for layer in outputs}


def _observed(model: onnx.ModelProto, read: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Adds to the graph, for each layer, the least and greatest value of each channel of what it reads; returns the
    names of those two outputs by layer.
    """
    outputs = {}
    for layer, value in read.items():
        pair = f"{layer}.low", f"{layer}.high"
        for kind, name in zip(("ReduceMin", "ReduceMax"), pair, strict=True):
            model.graph.node.append(helper.make_node(kind, [value], [name], axes=[0, 1], keepdims=0))
            model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        outputs[layer] = pair
    return outputs
