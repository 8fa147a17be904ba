"""What changes in the course of a run: learning rate, crop size, and how far along it is. It knows no weights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from model import networks
from model.errors import DatasetError
from model.recipes import Recipe


def rate(progress: float, warm_up: float) -> float:
    """The learning rate's factor at `progress` 0 to 1: a climb during the share `warm_up`, then half a cosine down to a
    thousandth.
    """
    climb = min(1.0, progress / warm_up) if warm_up else 1.0
    return climb * (1 + math.cos(math.pi * min(progress, 1.0))) / 2 + 1e-3


def steps(recipe: Recipe, faces: int) -> int:
    """How many steps the recipe takes over so many training faces."""
    epochs = recipe.schedule.epochs
    return recipe.schedule.steps if epochs is None else max(1, math.ceil(epochs * faces / recipe.schedule.batch))


def sizes(recipe: Recipe, count: int) -> NDArray[np.int64]:
    """The crop's side at each of `count` steps. Raises DatasetError when the network takes one size only and the recipe
    has several, that of its release among them.
    """
    schedule = recipe.schedule
    if networks.one_size_only(recipe.network.backbone):
        earlier, released = {stage.size for stage in schedule.earlier}, {recipe.release.size or schedule.size}
        for key, asked in (("schedule.earlier", earlier), ("release.size", released)):
            if asked - {schedule.size}:
                raise DatasetError(f"{key}: {recipe.network.backbone} takes crops of one size only")
    sides = np.full(count, schedule.size, np.int64)
    for stage in reversed(schedule.earlier):
        sides[: int(count * stage.until)] = stage.size
    return sides


def progress(recipe: Recipe, step: int, count: int, seconds: float) -> float:
    """How much of the run is done, 0 to 1 or more, by steps or by the clock, whichever is further."""
    minutes = recipe.schedule.minutes
    return max(step / count, seconds / 60 / minutes if minutes else 0.0)
