"""Following a recipe: batches in, averaged weights out; stopped and resumed at any step.

What comes out is the average at the end of the schedule. It refuses to pick a better step on validation figures unless
the recipe has patience, and to go on once the loss is no number.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from model.albums import Album
from model.batches import Batch, Batches, Family
from model.errors import Diverged
from model.training import schedules
from model.training.devices import Place
from model.training.objective import Objective
from model.training.runs import CPU, Run

Teacher = Callable[[Tensor], Tensor]  # uint8 (n, size, size, 3) crops to float32 (n, heads) logits
Judge = Callable[[Run], float]
ALONE = Place(CPU)


class Step(NamedTuple):
    """What is told of a step just done: its loss, learning rate, crop size, the progress of the run from 0 to 1, and
    the AUC on validation where it was measured.
    """

    loss: float
    rate: float
    size: int
    progress: float
    auc: float | None


def train(
    run: Run, album: Album, kin: Mapping[str, Family], checkpoint: Path, stepped: Callable[[Run, Step], object], *,
    place: Place = ALONE, teacher: Teacher | None = None, judge: Judge | None = None,
) -> None:  # fmt: skip
    """Follow the recipe to its end; `stepped` is called after every step, `judge` gives the AUC on validation. The
    checkpoint is written as the recipe says, and at the end.
    """
    recipe = run.recipe
    count = schedules.steps(recipe, len(album.items))
    sizes = schedules.sizes(recipe, count)
    batches = Batches(album, kin, recipe, sizes, rank=place.rank, devices=place.count)
    objective = place.shared(Objective(run.network, recipe.loss))
    began = time.monotonic() - run.seconds
    progress, ended = schedules.progress(recipe, run.step, count, run.seconds), False
    for batch in _loaded(batches, run, place):
        rate = recipe.optimiser.rate * schedules.rate(progress, recipe.optimiser.warm_up)
        loss = place.mean(step(run, objective, batch, rate, place, teacher))
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss} at step {run.step}: lower optimiser.rate, or precision is too low")
        run.step, run.seconds = run.step + 1, place.agreed(time.monotonic() - began)
        progress = schedules.progress(recipe, run.step, count, run.seconds)
        ended = progress >= 1
        auc = None
        if judge is not None and _is_due(recipe.schedule.validate_every, run.step, ended):
            auc = place.agreed(judge(run) if place.first else 0.0)
            run.judged(auc)
            ended = ended or run.out_of_patience
        if place.first and (ended or run.step % recipe.schedule.save_every == 0):
            run.save(checkpoint)
        stepped(run, Step(loss, rate, int(sizes[run.step - 1]), 1.0 if ended else progress, auc))
        if ended:
            break
    if run.best:
        run.average.load_state_dict(run.best)


def _is_due(every: int, step: int, ended: bool) -> bool:
    return every > 0 and (ended or step % every == 0)


def _loaded(batches: Batches, run: Run, place: Place) -> DataLoader[Batch]:
    """The batches of the steps that are left, made ahead by other processes."""
    done = run.out_of_patience or schedules.progress(run.recipe, run.step, len(batches), run.seconds) >= 1
    rest = range(len(batches) if done else run.step, len(batches))
    workers = min(run.recipe.workers, len(os.sched_getaffinity(0))) if rest else 0  # more would only take turns
    return DataLoader(
        Subset(batches, rest), batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None,
        pin_memory=place.device.type == "cuda",
    )  # fmt: skip


def step(
    run: Run, objective: nn.Module, batch: Batch, rate: float, place: Place = ALONE, teacher: Teacher | None = None
) -> Tensor:
    """One step of the optimiser at that learning rate; the batch's loss, a scalar."""
    # Dropout, too, is a function of the step, and each device drops other features.
    torch.manual_seed(run.recipe.seed + run.step + (place.rank << 32))
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    run.network.train()
    run.optimiser.zero_grad(set_to_none=True)
    moved = [tensor.to(place.device, non_blocking=True) for tensor in batch]
    taught = teacher(batch.crops).to(place.device) if teacher else None
    with place.autocast(run.recipe.optimiser.precision):
        loss: Tensor = objective(*moved, taught)
    run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    if run.recipe.optimiser.clip:
        run.scaler.unscale_(run.optimiser)
        nn.utils.clip_grad_norm_(run.network.parameters(), run.recipe.optimiser.clip)
    run.scaler.step(run.optimiser)
    run.scaler.update()
    _average(run)
    return loss.detach()


@torch.no_grad()
def _average(run: Run) -> None:
    """Move the average towards the network, faster in the first steps, when there is little to remember."""
    keep = min(run.recipe.optimiser.averaging, (1 + run.step) / (10 + run.step))
    for mean, value in zip(run.average.state_dict().values(), run.network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - keep)
        else:
            mean.copy_(value)
