"""Training the measure of occlusion on covers drawn over faces that the locator's teacher found.

Half of the faces stay uncovered, and some of both halves are put in bad light, because a shadow is not a cover. The
same seed gives the same network on the same machine; it takes some two minutes of one core.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from model import occlusion
from model.locator import lights, scenes
from model.locator.network import Residual, Separable
from model.locator.teacher import SURE, Taught
from model.occlusion import drawing

LEAST = 40.0  # pixels, the root of a face's area: smaller faces are no lessons
LEFT_OUT = {"masked", "drawings", "faceless"}  # faces that are covered already, or are none
Sample = tuple[occlusion.Image, NDArray[np.uint8]]


class Covers(nn.Module):
    """RGB 0..255 (n, 3, 64, 64) in; (n, 16, 16) logits out: whether each cell is covered."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True),
            Separable(16, 32, stride=2), Residual(32, 3),
        )  # fmt: skip
        self.coarse = nn.Sequential(
            Separable(32, 48, 5, stride=2), Residual(48, 5), Residual(48, 5), nn.Conv2d(48, 32, 1)
        )
        self.head = nn.Sequential(Separable(32, 32), nn.Conv2d(32, 1, 1))

    def forward(self, faces: Tensor) -> Tensor:
        fine = self.fine(faces * (1 / 64) - 2)
        both = fine + functional.interpolate(self.coarse(fine), scale_factor=2.0)
        answers: Tensor = self.head(both)[:, 0]
        return answers


class Served(nn.Module):
    """The same, answering probabilities."""

    def __init__(self, covers: Covers) -> None:
        super().__init__()
        self.covers = covers

    def forward(self, faces: Tensor) -> Tensor:
        answers: Tensor = self.covers(faces).sigmoid()
        return answers


def sampled(
    rng: np.random.Generator, taught: Taught, kinds: tuple[str, ...] | None = None, odds: float = 0.5
) -> Sample:
    """The largest sure face of `taught`, upright, covered with the probability `odds`, and uint8 (64, 64), 255 where it
    is covered. A third of the faces are in bad light.
    """
    row = max(taught.sure, key=lambda one: float(one[2] * one[3]))
    image, row = _piece(taught.pixels, row)
    where = np.zeros(image.shape[:2], np.uint8)
    place = drawing.Place(row[:4], row[4:14])
    if rng.random() < odds:
        for _ in range(1 + int(rng.random() < 0.25)):
            where |= drawing.draw(rng, image, place, kinds)
    if rng.random() < 0.2:
        lights.shadow(rng, image, row)
    if rng.random() < 0.15:
        image = lights.dim(rng, image)
    image = scenes.worn(rng, image)
    points = place.landmarks + rng.normal(0, 0.04 * np.hypot(*place.down), (5, 2))
    moving = occlusion.turn(points.astype(np.float32))
    covered = cv2.warpAffine(where, moving, (occlusion.SIDE, occlusion.SIDE), flags=cv2.INTER_LINEAR)
    return occlusion.upright(image, points.astype(np.float32)), np.asarray(covered, np.uint8)


def share(covered: NDArray[np.uint8]) -> float:
    """The share of an upright face's oval that `covered`, uint8 (64, 64), hides: what `occlusion.covered` aims at."""
    cells = cv2.resize(covered, (occlusion.CELLS, occlusion.CELLS), interpolation=cv2.INTER_AREA) / 255
    return float((cells * occlusion.oval()).sum() / occlusion.oval().sum())


def lessons(taught: list[Taught], held_out: bool) -> list[Taught]:
    """Those of `taught` with a face that is large enough, held out or not."""
    return [
        one
        for one in taught
        if one.held_out == held_out
        and one.source not in LEFT_OUT
        and (one.rows[one.rows[:, 14] >= SURE][:, 2:4].prod(1) >= LEAST**2).any()
    ]


def train(
    taught: list[Taught], out: Path, told: Callable[[int, int, float], None], count: int = 9000, epochs: int = 6,
    seed: int = 1,
) -> None:  # fmt: skip
    """Learn from `count` faces of `taught` that are not held out, seen `epochs` times, and write `out`.
    `told(step, steps, loss)` hears of progress. Raises ValueError where there is no face to learn from.
    """
    pool = lessons(taught, held_out=False)
    if not pool:
        raise ValueError("no image that may be trained on has a face that is large enough")
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    order = rng.permutation(len(pool))
    drawn = [sampled(rng, pool[order[turn % len(pool)]]) for turn in range(count)]
    faces = np.stack([image for image, _ in drawn])
    aims = np.stack([cv2.resize(where, (occlusion.CELLS,) * 2, interpolation=cv2.INTER_AREA) for _, where in drawn])
    covers = Covers().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = min(48, count)
    steps = max(1, epochs * (count // batch))
    optimiser = torch.optim.AdamW(covers.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps + 1, pct_start=0.1)
    for step in range(steps):
        some = rng.integers(0, count, batch)
        flip = int(rng.choice([-1, 1]))
        entering = torch.from_numpy(faces[some][:, :, ::flip].copy()).permute(0, 3, 1, 2).float()
        wanted = torch.from_numpy(aims[some][:, :, ::flip].copy()).float() / 255
        loss = functional.binary_cross_entropy_with_logits(covers(entering), wanted)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        told(step + 1, steps, loss.item())
    export(covers, out)


def export(covers: Covers, out: Path) -> None:
    """Write `covers` as ONNX, any number of faces at once."""
    served = Served(covers).eval()
    sample = torch.zeros(2, 3, occlusion.SIDE, occlusion.SIDE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its age; it writes the smaller graph
        torch.onnx.export(
            served, (sample,), out, dynamo=False, input_names=["faces"], output_names=["covered"], opset_version=17,
            dynamic_axes={"faces": {0: "batch"}, "covered": {0: "batch"}},
        )  # fmt: skip
    graph = onnx.load(out)
    onnx.helper.set_model_props(graph, {"input": "RGB 0..255, 64x64, upright as model.occlusion.upright makes it"})
    onnx.save(graph, out)


def _piece(image: occlusion.Image, row: NDArray[np.float32]) -> tuple[occlusion.Image, NDArray[np.float32]]:
    """The face of `row` with room around it, at most 128 pixels a side, and the row in its pixels."""
    x, y, width, height = (float(value) for value in row[:4])
    left, top = max(0, int(x - 0.6 * width)), max(0, int(y - 0.5 * height))
    piece = image[top : int(y + 1.6 * height), left : int(x + 1.6 * width)]
    scale = min(1.0, 128 / max(piece.shape[:2]))
    size = (max(1, round(piece.shape[1] * scale)), max(1, round(piece.shape[0] * scale)))
    small = np.asarray(cv2.resize(piece, size, interpolation=cv2.INTER_AREA), np.uint8)
    moved = row.copy()
    moved[:14] = (row[:14] - np.array([left, top, 0, 0, *[left, top] * 5], np.float32)) * scale
    return small.copy(), moved
