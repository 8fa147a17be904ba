"""Training: an album and a recipe in, averaged weights out; stopped and resumed at any step.

The recipe travels in the checkpoint, so a resumed run cannot silently be another run. It refuses to pick the best
step on validation figures: what comes out is the average at the end of the schedule.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset

from model import crops, networks
from model.albums import Album
from model.batches import Batches, Family
from model.errors import DatasetError
from model.forgeries import Shares

# Two thirds of the steps see small crops, the rest those of serving: twice the steps for little loss.
EARLY_SIZE_SHARE = 0.8
EARLY_STEPS_SHARE = 0.6
WARM_UP = 0.03  # of the schedule
SAVE_EVERY = 100  # steps


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a run, beside the images. `minutes` ends the schedule early on the clock."""

    backbone: str = "mobilenetv2_100"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    size: int = 160
    margin: float = crops.MARGIN
    steps: int = 3000
    batch: int = 64
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    shares: Shares = field(default_factory=Shares)
    map_weight: float = 0.5
    averaging: float = 0.998
    seed: int = 0
    minutes: float | None = None

    def sizes(self) -> NDArray[np.int64]:
        """The crop's side at every step; multiples of 32, which every backbone here reduces by."""
        early = max(32, round(self.size * EARLY_SIZE_SHARE / 32) * 32)
        switch = int(self.steps * EARLY_STEPS_SHARE)
        return np.where(np.arange(self.steps) < switch, early, self.size)


@dataclass(slots=True)
class Run:
    """A network under training with its average and its optimiser, at `step`, after `seconds` of work."""

    recipe: Recipe
    network: networks.TwoHeads
    average: networks.TwoHeads
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)


def start(recipe: Recipe, weights: Path | None) -> Run:
    """A new run from `weights` (see `networks.create`), or from random ones."""
    torch.manual_seed(recipe.seed)
    with_map = recipe.map_weight > 0
    network = networks.create(recipe.backbone, recipe.mean, recipe.std, weights, with_map=with_map)
    average = networks.create(recipe.backbone, recipe.mean, recipe.std, with_map=with_map)
    average.load_state_dict(network.state_dict())
    # Decay is for convolutions and matrices; on biases and normalisation it only shrinks what the data needs.
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
    )
    return Run(recipe, network, average.eval(), optimiser)


def resume(path: Path, recipe: Recipe) -> Run:
    """The run saved at `path`. Raises DatasetError when it followed another recipe."""
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if (then := state["recipe"]) != (now := asdict(recipe)):
        changed = ", ".join(name for name in now if then.get(name) != now[name])
        raise DatasetError(f"{path} was trained with another {changed}; give the same or start afresh")
    run = start(recipe, None)
    run.network.load_state_dict(state["network"])
    run.average.load_state_dict(state["average"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.step, run.seconds = state["step"], state["seconds"]
    return run


def train(
    run: Run, album: Album, kin: Mapping[str, Family], checkpoint: Path, stepped: Callable[[Run, float, float], object]
) -> None:
    """Follow the recipe to its end; `stepped(run, loss, progress)` is called after every step, progress 0 to 1."""
    recipe = run.recipe
    batches = Batches(
        album, kin, sizes=recipe.sizes(), batch=recipe.batch, margin=recipe.margin,
        shares=recipe.shares, seed=recipe.seed,
    )  # fmt: skip
    rest = Subset(batches, range(run.step, recipe.steps))
    began = time.monotonic() - run.seconds
    for batch in DataLoader(rest, batch_size=None, num_workers=2, prefetch_factor=4):
        progress = _progress(run)
        for group in run.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * schedule(progress)
        loss = _step(run, *batch)
        run.step, run.seconds = run.step + 1, time.monotonic() - began
        if run.step % SAVE_EVERY == 0:
            run.save(checkpoint)
        stepped(run, loss, _progress(run))
        if _progress(run) >= 1:
            break
    run.save(checkpoint)


def schedule(progress: float) -> float:
    """The learning rate's factor at `progress` 0 to 1: a short climb, then half a cosine down to zero."""
    return min(1.0, progress / WARM_UP) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2 + 1e-3


def loss_of(logits: Tensor, classes: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of real, manipulated and synthetic, the real logit pinned to 0; see `networks`."""
    pinned = torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)
    return functional.cross_entropy(pinned, classes, label_smoothing=smoothing)


def _progress(run: Run) -> float:
    by_clock = run.seconds / 60 / run.recipe.minutes if run.recipe.minutes else 0.0
    return max(run.step / run.recipe.steps, by_clock)


def map_loss(logits: Tensor, maps: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy of each cell, over the crops (n,) whose alteration is `known`; `maps` uint8 0 to 255."""
    cells = functional.binary_cross_entropy_with_logits(logits, maps.float() / 255, reduction="none").mean(dim=(1, 2))
    return (cells * known).sum() / known.sum().clamp(min=1)


def _step(run: Run, images: Tensor, classes: Tensor, maps: Tensor, known: Tensor) -> float:
    torch.manual_seed(run.recipe.seed + run.step)  # dropout, too, is a function of the step
    run.network.train()
    run.optimiser.zero_grad(set_to_none=True)
    logits, cells, _ = run.network.everything(images)
    loss = loss_of(logits, classes, run.recipe.label_smoothing)
    if cells is not None:
        loss = loss + run.recipe.map_weight * map_loss(cells, maps, known)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.network.parameters(), 5.0)
    run.optimiser.step()
    _average(run)
    return float(loss.detach())


@torch.no_grad()
def _average(run: Run) -> None:
    """Move the average towards the network, faster in the first steps, when there is little to remember."""
    keep = min(run.recipe.averaging, (1 + run.step) / (10 + run.step))
    for mean, value in zip(run.average.state_dict().values(), run.network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - keep)
        else:
            mean.copy_(value)
