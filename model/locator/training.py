"""Training the locator on scenes of 192 pixels, which cost a third as much, and of 320, which hold large faces.

One process composes while this one learns, so that two cores suffice. A run that goes on from another's weights first
looks for what those take for faces on the photographs without one, and shows these mistakes more often. What is kept
is the running mean of the weights, not the last ones.
"""

from __future__ import annotations

import copy
import itertools
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from model import faces, views
from model.locator import network, photographs, restoring, scenes
from model.locator.photographs import Stock
from model.locator.teacher import Taught

COARSE_SIDE = 192
WARMING = 0.04  # of the time
FINISHING = 0.8  # of the time: from here on all scenes are large
RUNNING_MEAN = 0.9985
RESTORED = 12  # batches on which an exported locator's normalisation is measured
MISTAKEN = 0.3  # confidence from which a start's false face counts as one

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast: `minutes` by the clock (one batch of each size at the least), `batch` scenes at a time,
    the learning rate's peak, the weights' decay, the seed, and the share of the batches that are of small scenes. The
    clock decides because the machine may be shared. Small batches, because steps are what a short run lacks.
    """

    minutes: float = 40.0
    batch: int = 8
    peak: float = 2e-3
    decay: float = 0.02
    seed: int = 1
    coarse: float = 0.6

    def pace(self, share: float) -> float:
        """The learning rate when `share` of the time, 0 to 1, is over: a short rise, then half a cosine to zero."""
        rise = min(1.0, (share + 0.001) / WARMING)
        return self.peak * rise * (1 + math.cos(math.pi * min(1.0, share))) / 2


class Composed(IterableDataset[tuple[NDArray[np.uint8], NDArray[np.int8], faces.Floats]]):
    """Endless scenes of `side` pixels with their targets: BGR uint8 (side, side, 3), states and aims of each cell."""

    def __init__(self, taught: list[Taught], stock: Stock, side: int, seed: int) -> None:
        self._taught, self._stock, self._side, self._seed = taught, stock, side, seed

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int8], faces.Floats]]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        rng = np.random.default_rng([self._seed, worker.id if worker else 0])
        while True:
            scene = scenes.compose(rng, self._taught, self._stock, self._side)
            states, wanted = scenes.targets(scene.rows, self._side)
            yield np.asarray(cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR), np.uint8), states, wanted


def batches(taught: list[Taught], stock: Stock, plan: Plan, workers: int) -> Iterator[tuple[float, Batch]]:
    """Batches with the share of the time that is over: small and large scenes by chance, large ones at the end."""
    rng = np.random.default_rng(plan.seed)
    loaders = {
        side: iter(DataLoader(Composed(taught, stock, side, plan.seed + side), plan.batch, num_workers=workers))
        for side in (COARSE_SIDE, views.CANVAS)
    }
    started = time.monotonic()
    share = 0.0
    for step in itertools.count():
        coarse = step == 0 or (rng.random() < plan.coarse and share < FINISHING)
        batch = next(loaders[COARSE_SIDE if coarse else views.CANVAS])
        share = (time.monotonic() - started) / max(60 * plan.minutes, 1e-9)
        yield min(1.0, share), batch
        if share >= 1 and step:
            return


def balanced(lessons: list[Taught]) -> list[Taught]:
    """`lessons` with those of small sources repeated, so that a source's share goes with the root of its size: eight
    tight crops of one collection teach less than one photograph of another.
    """
    sizes = Counter(one.source for one in lessons)
    most = max(sizes.values())
    return [one for one in lessons for _ in range(round(math.sqrt(most / sizes[one.source])))]


def train(
    taught: list[Taught],
    pictures: list[views.Image],
    plan: Plan,
    out: Path,
    told: Callable[[float, int, float], None],
    start: Path | None = None,
    workers: int = 1,
) -> None:
    """Learn from the images of `taught` that are not held out and have a face, before backgrounds of which some are
    pieces of `pictures`, which have none; write `out`, and beside it the weights as `.pt`, every 500 steps and at the
    end. Another run may `start` from those, or from an exported `.onnx`. `told(share, step, loss)` hears of
    progress. Raises ValueError where no image has a face.
    """
    lessons = [one for one in taught if not one.held_out and len(one.sure)]
    if not lessons:
        raise ValueError("the teacher found no face in any image that may be trained on")
    torch.manual_seed(plan.seed)
    locator = network.Locator()
    if start:
        locator = _started(start, lessons, Stock(pictures, []), plan)
    locator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # four times as fast on a CPU
    mean = copy.deepcopy(locator).eval()
    stock = Stock(pictures, _mistakes(locator, pictures) if start else [])
    optimiser = torch.optim.AdamW(locator.parameters(), lr=plan.peak, weight_decay=plan.decay)
    for step, (share, (images, states, wanted)) in enumerate(batches(balanced(lessons), stock, plan, workers), 1):
        optimiser.param_groups[0]["lr"] = plan.pace(share)
        answers = locator(images.permute(0, 3, 1, 2).float())  # channels last, as they lie
        loss = network.loss(answers, states, wanted)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(locator.parameters(), 10.0)
        optimiser.step()
        follow(mean, locator, min(RUNNING_MEAN, step / (step + 10)))
        told(share, step, loss.item())
        if step % 500 == 0 or share >= 1:
            torch.save(mean.state_dict(), out.with_suffix(".pt"))
            network.export(mean, out, faces.YUNET_THRESHOLD, {"scenes": str(step * plan.batch)})


def _started(start: Path, lessons: list[Taught], stock: Stock, plan: Plan) -> network.Locator:
    """The locator whose weights (.pt) an earlier run left, or that an exported file (.onnx) holds."""
    if start.suffix == ".onnx":
        drawn = DataLoader(Composed(lessons, stock, views.CANVAS, plan.seed), plan.batch)
        canvases = (batch[0].permute(0, 3, 1, 2).float() for batch in itertools.islice(drawn, RESTORED))
        return restoring.restored(start, canvases).train()
    locator = network.Locator()
    locator.load_state_dict(torch.load(start, weights_only=True))
    return locator


def _mistakes(locator: network.Locator, pictures: list[views.Image]) -> list[views.Image]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "start.onnx"
        network.export(locator, file, MISTAKEN, {})
        return photographs.mistakes(faces.NetworkFinder(file), pictures)


def follow(mean: nn.Module, locator: nn.Module, share: float) -> None:
    """Move `mean` towards `locator`: `share` of it stays. The counts of batch normalisation are copied."""
    with torch.no_grad():
        for kept, new in zip(mean.state_dict().values(), locator.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - share)
            else:
                kept.copy_(new)
