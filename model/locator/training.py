"""Training the locator: three quarters of the scenes at 192 pixels, which costs a third as much, the rest at 320.

One process composes while this one learns, so that two cores suffice. What is kept is the running mean of the
weights, not the last ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, IterableDataset

from model import faces
from model.locator import backdrops, network, scenes
from model.locator.teacher import Taught

COARSE_SIDE = 192
COARSE_SHARE = 0.75

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast: `images` scenes in all, in batches of `batch`, the learning rate's peak, the seed."""

    images: int = 80_000
    batch: int = 32
    peak: float = 3e-3
    decay: float = 0.02
    seed: int = 1

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return max(1, self.images // self.batch)


class Composed(IterableDataset[tuple[NDArray[np.uint8], NDArray[np.int8], faces.Floats]]):
    """Endless scenes of `side` pixels with their targets: BGR uint8 (3, side, side), states and aims of each cell."""

    def __init__(self, taught: list[Taught], side: int, seed: int) -> None:
        self._taught, self._side, self._seed = taught, side, seed
        self._photographs = backdrops.samples(backdrops.TRAINED)

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int8], faces.Floats]]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng(self._seed)
        while True:
            scene = scenes.compose(rng, self._taught, self._photographs, self._side)
            states, wanted = scenes.targets(scene.rows, self._side)
            yield np.ascontiguousarray(scene.image[..., ::-1].transpose(2, 0, 1)), states, wanted


def batches(taught: list[Taught], plan: Plan, workers: int) -> Iterator[Batch]:
    """`plan.steps` batches, small scenes first."""
    coarse = int(plan.steps * COARSE_SHARE)
    for side, steps in ((COARSE_SIDE, coarse), (faces.CANVAS, plan.steps - coarse)):
        loader = iter(DataLoader(Composed(taught, side, plan.seed + side), plan.batch, num_workers=workers))
        for _ in range(steps):
            yield next(loader)


def train(
    taught: list[Taught], plan: Plan, out: Path, told: Callable[[int, float], None], workers: int = 1
) -> network.Locator:
    """Learn from the images of `taught` that are not held out and have a face; write `out` every 250 steps and at the
    end. `told(step, loss)` hears of progress. Returns the mean of the weights, ready to answer.
    """
    lessons = [one for one in taught if not one.held_out and len(one.sure)]
    if not lessons:
        raise ValueError("the teacher found no face in any image that may be trained on")
    torch.manual_seed(plan.seed)
    locator = network.Locator().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = AveragedModel(locator, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    optimiser = torch.optim.AdamW(locator.parameters(), lr=plan.peak, weight_decay=plan.decay)
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, plan.peak, total_steps=plan.steps + 1, pct_start=0.06, final_div_factor=200
    )
    for step, (images, states, wanted) in enumerate(batches(lessons, plan, workers), 1):
        answers = locator(images.float().contiguous(memory_format=torch.channels_last))
        loss = network.loss(answers, states, wanted)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(locator.parameters(), 10.0)
        optimiser.step()
        pace.step()
        mean.update_parameters(locator)
        told(step, loss.item())
        if step % 250 == 0 or step == plan.steps:
            network.export(mean.module, out, faces.YUNET_THRESHOLD, {"images": str(step * plan.batch)})
    return mean.module
