"""Training the locator: first on scenes of 192 pixels, which cost a third as much, then on scenes of 320.

One process composes while this one learns, so that two cores suffice. What is kept is the running mean of the
weights, not the last ones.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from model import faces
from model.locator import backdrops, network, scenes
from model.locator.teacher import Taught

COARSE_SIDE = 192
WARMING = 0.04  # of the time
RUNNING_MEAN = 0.998

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast: `minutes` by the clock (one batch of each size at the least), `batch` scenes at a time,
    the learning rate's peak, the weights' decay, the seed, and the share of the time that goes to small scenes. The
    clock decides because the machine may be shared.
    """

    minutes: float = 40.0
    batch: int = 32
    peak: float = 3e-3
    decay: float = 0.02
    seed: int = 1
    coarse: float = 0.6

    def pace(self, share: float) -> float:
        """The learning rate when `share` of the time, 0 to 1, is over: a short rise, then half a cosine to zero."""
        rise = min(1.0, (share + 0.001) / WARMING)
        return self.peak * rise * (1 + math.cos(math.pi * min(1.0, share))) / 2


class Composed(IterableDataset[tuple[NDArray[np.uint8], NDArray[np.int8], faces.Floats]]):
    """Endless scenes of `side` pixels with their targets: BGR uint8 (3, side, side), states and aims of each cell."""

    def __init__(self, taught: list[Taught], side: int, seed: int) -> None:
        self._taught, self._side, self._seed = taught, side, seed
        self._photographs = backdrops.samples(backdrops.TRAINED)

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int8], faces.Floats]]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        rng = np.random.default_rng([self._seed, worker.id if worker else 0])
        while True:
            scene = scenes.compose(rng, self._taught, self._photographs, self._side)
            states, wanted = scenes.targets(scene.rows, self._side)
            yield np.ascontiguousarray(scene.image[..., ::-1].transpose(2, 0, 1)), states, wanted


def batches(taught: list[Taught], plan: Plan, workers: int) -> Iterator[tuple[float, Batch]]:
    """Batches with the share of the time that is over, small scenes first."""
    started = time.monotonic()
    for side, until in ((COARSE_SIDE, plan.coarse), (faces.CANVAS, 1.0)):
        for batch in DataLoader(Composed(taught, side, plan.seed + side), plan.batch, num_workers=workers):
            share = (time.monotonic() - started) / max(60 * plan.minutes, 1e-9)
            yield min(1.0, share), batch
            if share >= until:
                break


def train(
    taught: list[Taught],
    plan: Plan,
    out: Path,
    told: Callable[[float, int, float], None],
    start: Path | None = None,
    workers: int = 1,
) -> None:
    """Learn from the images of `taught` that are not held out and have a face; write `out`, and beside it the weights
    as `.pt` from which another run may `start`, every 250 steps and at the end. `told(share, step, loss)` hears of
    progress. Raises ValueError where no image has a face.
    """
    lessons = [one for one in taught if not one.held_out and len(one.sure)]
    if not lessons:
        raise ValueError("the teacher found no face in any image that may be trained on")
    torch.manual_seed(plan.seed)
    locator = network.Locator()
    if start:
        locator.load_state_dict(torch.load(start, weights_only=True))
    locator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # four times as fast on a CPU
    mean = copy.deepcopy(locator).eval()
    optimiser = torch.optim.AdamW(locator.parameters(), lr=plan.peak, weight_decay=plan.decay)
    for step, (share, (images, states, wanted)) in enumerate(batches(lessons, plan, workers), 1):
        optimiser.param_groups[0]["lr"] = plan.pace(share)
        answers = locator(images.float().contiguous(memory_format=torch.channels_last))
        loss = network.loss(answers, states, wanted)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(locator.parameters(), 10.0)
        optimiser.step()
        follow(mean, locator, min(RUNNING_MEAN, step / (step + 10)))
        told(share, step, loss.item())
        if step % 250 == 0 or share >= 1:
            torch.save(mean.state_dict(), out.with_suffix(".pt"))
            network.export(mean, out, faces.YUNET_THRESHOLD, {"scenes": str(step * plan.batch)})


def follow(mean: nn.Module, locator: nn.Module, share: float) -> None:
    """Move `mean` towards `locator`: `share` of it stays. The counts of batch normalisation are copied."""
    with torch.no_grad():
        for kept, new in zip(mean.state_dict().values(), locator.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - share)
            else:
                kept.copy_(new)
