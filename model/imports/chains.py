"""The nodes that go before and behind an imported graph, of operators that ONNX has had unchanged since opset 9.

Before: from uint8 RGB crops to what the network wants. Behind: from what it says to the logit of P(fake).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from model.errors import ReleaseError

# Probabilities nearer to 0 or 1 are taken for this near. One minus a float32 says no more; sums of a softmax do.
NEAREST, NEAREST_SUM = 1e-7, 1e-30

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an output says: it grows with `polarity`, as a `scale`. Of a network with one output a class, `index` is the
    class of that polarity, and all others are its opposite. `output` names one tensor of several.
    """

    polarity: Literal["fake", "real"] = "fake"
    scale: Literal["logit", "probability"] = "logit"
    index: int | None = None
    output: str | None = None


class Chain:
    """Nodes, and the constants they use; `name` keeps those of two chains apart."""

    def __init__(self, name: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._name = f"unmask/{name}"

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The name of what the new node gives."""
        result = f"{self._name}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [result], **attributes))
        return result

    def end(self, last: str, name: str) -> None:
        """Give `last` the name that it has outside."""
        self.nodes.append(helper.make_node("Identity", [last], [name]))

    def constant(self, values: NDArray[Any]) -> str:
        name = f"{self._name}/constant-{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name


def before(crops: str, entry: str, kind: int, mean: Triple | None, std: Triple | None, bgr: bool, layout: str) -> Chain:
    """From uint8 `crops` (n, size, size, 3) RGB to the graph's `entry`, of ONNX's element type `kind`. Raises
    ReleaseError where mean or std are not known but needed, or known and useless.
    """
    chain = Chain("before")
    seen = crops
    if bgr:
        seen = chain.add("Gather", seen, chain.constant(np.array([2, 1, 0])), axis=3)
    if kind == TensorProto.UINT8:
        if mean or std:
            raise ReleaseError("the graph takes whole numbers, which are not normalised: leave out --mean and --std")
    elif mean is None or std is None:
        raise ReleaseError("say what the network was trained with: --mean and --std, of values from 0 to 1")
    else:
        seen = chain.add("Cast", seen, to=TensorProto.FLOAT)
        seen = chain.add("Sub", seen, chain.constant(np.array(mean, np.float32) * 255))
        seen = chain.add("Div", seen, chain.constant(np.array(std, np.float32) * 255))
        seen = chain.add("Cast", seen, to=kind)
    if layout == "nchw":
        seen = chain.add("Transpose", seen, perm=[0, 3, 1, 2])
    chain.end(seen, entry)
    return chain


def after(exit_: str, logits: str, count: int, meaning: Meaning) -> Chain:
    """From the graph's `exit_`, `count` numbers a crop, to float32 `logits` (n, 1). Raises ReleaseError where the
    meaning does not fit so many.
    """
    chain = Chain("after")
    said = chain.add("Cast", exit_, to=TensorProto.FLOAT)
    said = chain.add("Reshape", said, chain.constant(np.array([-1, count])))
    if count > 1:
        logit = _of_many(chain, said, count, meaning)
    elif meaning.index:
        raise ReleaseError(f"the network has one output: there is no number {meaning.index}")
    elif meaning.scale == "logit":
        logit = said
    else:
        rest = chain.add("Sub", chain.constant(np.ones(1, np.float32)), said)
        logit = _log_ratio(chain, said, rest, NEAREST)
    chain.end(chain.add("Neg", logit) if meaning.polarity == "real" else logit, logits)
    return chain


def _of_many(chain: Chain, said: str, count: int, meaning: Meaning) -> str:
    if meaning.index is None or not 0 <= meaning.index < count:
        raise ReleaseError(f"the network has {count} outputs: --index says which is {meaning.polarity}")
    chosen = (np.arange(count) == meaning.index).astype(np.float32)[:, None]
    shares = chain.add("Softmax", said, axis=1) if meaning.scale == "logit" else said
    mine = chain.add("MatMul", shares, chain.constant(chosen))
    others = chain.add("MatMul", shares, chain.constant(1 - chosen))
    return _log_ratio(chain, mine, others, NEAREST_SUM)


def _log_ratio(chain: Chain, one: str, other: str, least: float) -> str:
    floor = chain.constant(np.array([least], np.float32))
    logs = [chain.add("Log", chain.add("Max", part, floor)) for part in (one, other)]
    return chain.add("Sub", *logs)
