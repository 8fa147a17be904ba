"""Any ONNX file as a peer: one image input, one output, and a few words beside it on how to feed and read it.

`NAME.json` beside `NAME.onnx` may hold `mean`, `std` (three numbers each, of values 0 to 1), `margin`, `size`,
`through` (whether faces are cut from a view, see `crops.Cutting`), `cut`, `output` (`logits` or `probability`),
`polarity` (`fake` or `real`: what a high single output means) and `fake_index` (of several outputs). Without it:
values 0 to 1 with ImageNet's mean and std, our own margin, cut from the picture, logits, of which a single one or the
second speaks for fake. A graph that takes uint8 is fed values 0 to 255 as they are, and the graph of one of our own
releases is read as that: through a view, which those before 1.3 did not go. It refuses a graph of another shape,
rather than guess.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from model import metrics
from model.crops import MARGIN, Cutting
from model.errors import ReleaseError
from model.evaluation.scorers import Scorer
from model.heads import fake_logit
from model.peers import faces

_OWN = {"crops", "logits"}


@dataclass(frozen=True, slots=True)
class Reading:
    """How to feed a graph and read its answer; see the module."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    margin: float = MARGIN
    size: int | None = None
    through: bool | None = None
    cut: float = metrics.EVEN
    output: str = "logits"
    polarity: str = "fake"
    fake_index: int = 1


def load(path: Path, face_model: Path | None = None) -> Scorer:
    """A scorer of the graph in `path`. Raises ReleaseError for what is no such graph, or words that are not known."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no public base class for its errors
        raise ReleaseError(f"{path} is not a readable ONNX file: {error}") from error
    reading = _reading(path.with_suffix(".json"))
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise ReleaseError(f"{path} wants {len(inputs)} inputs: a bare graph has one, of four dimensions")
    entry = inputs[0]
    whole_numbers, channels_last = entry.type == "tensor(uint8)", entry.shape[3] == 3
    size = reading.size or entry.shape[1 if channels_last else 2]
    if not isinstance(size, int):
        raise ReleaseError(f"{path} does not say how large its input is: name `size` in {path.stem}.json")
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else None
    if batch not in {None, 1}:
        raise ReleaseError(f"{path} takes {batch} crops at a time and no other number: export it for one, or for any")
    own = {entry.name, *(output.name for output in outputs)} >= _OWN
    mean, std = (np.asarray(values, np.float32) for values in (reading.mean, reading.std))

    def judge(stack: faces.Crops) -> faces.Probabilities:
        fed: Any = stack if whole_numbers else (stack.astype(np.float32) / 255 - mean) / std
        fed = fed if channels_last else np.ascontiguousarray(np.moveaxis(fed, 3, 1))
        name = "logits" if own else outputs[0].name
        parts = [session.run([name], {entry.name: part})[0] for part in (np.split(fed, len(fed)) if batch else [fed])]
        answer = np.concatenate(parts).astype(np.float64)
        return faces.sigmoid(fake_logit(answer)) if own else _probability(answer, reading)

    cutting = Cutting(size, reading.margin, own if reading.through is None else reading.through)
    return faces.FaceScorer(path, judge, cutting, reading.cut, face_model, told=repr(reading))


def _reading(beside: Path) -> Reading:
    if not beside.exists():
        return Reading()
    try:
        said: Mapping[str, Any] = json.loads(beside.read_text())
    except ValueError as error:
        raise ReleaseError(f"{beside} is not JSON: {error}") from error
    if strange := sorted(set(said) - {field.name for field in fields(Reading)}):
        raise ReleaseError(f"{beside} says {strange[0]!r}, which means nothing here")
    reading = Reading(**said)
    if reading.output not in {"logits", "probability"} or reading.polarity not in {"fake", "real"}:
        raise ReleaseError(f"{beside}: output is `logits` or `probability`, polarity is `fake` or `real`")
    return reading


def _probability(answer: faces.Probabilities, reading: Reading) -> faces.Probabilities:
    """P(fake) float64 (n,) of one output or several."""
    rows = answer.reshape(len(answer), -1)
    logits = reading.output == "logits"
    if rows.shape[1] == 1:
        single = faces.sigmoid(rows[:, 0]) if logits else rows[:, 0]
        return single if reading.polarity == "fake" else 1 - single
    if not logits:
        return rows[:, reading.fake_index]
    odds = np.exp(rows - rows.max(1, keepdims=True))
    return np.asarray(odds[:, reading.fake_index] / odds.sum(1), np.float64)
