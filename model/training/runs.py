"""A run under training: network, average, optimiser and counters, written whole and read back exactly.

The recipe travels in the checkpoint, so a resumed run cannot silently be another run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from model import networks
from model.errors import DatasetError, ReleaseError
from model.heads import HEADS, ONE_HEAD
from model.recipes import Recipe
from model.training import schedules

CPU = torch.device("cpu")
_NEW = ("map.", "local.", "heads.")  # what a run that starts from another's weights may have and those lack


@dataclass(slots=True)
class Run:
    """A network under training with its average and its optimiser, at `step`, after `seconds` of work. `auc` is the
    best on validation so far, after which `waited` others were no better; `best` is the average that had it, kept where
    the recipe has patience.
    """

    recipe: Recipe
    network: networks.TwoHeads
    average: networks.TwoHeads
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0
    seconds: float = 0.0
    auc: float = -math.inf
    waited: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "recipe": self.recipe.told(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "validation": {"auc": self.auc, "waited": self.waited, "best": self.best},
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    @property
    def out_of_patience(self) -> bool:
        """Whether training stops here, since validation has not become better for as long as the recipe bears."""
        return 0 < self.recipe.schedule.patience <= self.waited

    def judged(self, auc: float) -> None:
        """Take note of an AUC on validation."""
        better = auc > self.auc
        self.auc, self.waited = (auc, 0) if better else (self.auc, self.waited + 1)
        if better and self.recipe.schedule.patience:
            self.best = {name: tensor.detach().clone() for name, tensor in self.average.state_dict().items()}


def start(recipe: Recipe, device: torch.device = CPU) -> Run:
    """A new run as the recipe's `[network]` says, the pixels' mean and std settled. Raises ReleaseError or DatasetError
    for what cannot be built.
    """
    recipe = _settled(recipe)
    schedules.sizes(recipe, 1)  # refuses now what the network could not follow later
    run = _built(recipe, device)
    if recipe.network.start:
        _begin(run.network, Path(recipe.network.start))
    run.average.load_state_dict(run.network.state_dict())
    return run


def resume(path: Path, recipe: Recipe, device: torch.device = CPU) -> Run:
    """The run saved at `path`. Raises DatasetError when it followed another recipe."""
    recipe = _settled(recipe)
    state = _checkpoint(path, device)
    if changed := _differences(state["recipe"], recipe.told()):
        raise DatasetError(f"{path} was trained with another {', '.join(changed)}; give the same or start afresh")
    run = _built(recipe.changed(network={"pretrained": networks.NONE}), device)
    run.recipe = recipe
    run.network.load_state_dict(state["network"])
    run.average.load_state_dict(state["average"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.scaler.load_state_dict(state["scaler"])
    run.step, run.seconds = state["step"], state["seconds"]
    seen = state["validation"]
    run.auc, run.waited, run.best = seen["auc"], seen["waited"], seen["best"]
    return run


def finished(path: Path, recipe: Recipe, device: torch.device = CPU) -> Run:
    """A run to be published: the average in a checkpoint, whatever recipe it was trained with, as a network that
    `recipe` describes. Raises ReleaseError when it does not fit, DatasetError for a size that no such network takes.
    """
    recipe = _settled(recipe)
    schedules.sizes(recipe, 1)  # as at a start
    state = _checkpoint(path, device)
    run = _built(recipe.changed(network={"pretrained": networks.NONE, "start": None}), device)
    run.recipe = recipe
    try:
        run.average.load_state_dict(state["average"])
    except RuntimeError as error:
        raise ReleaseError(f"{path} does not fit the recipe: {str(error).splitlines()[0]}") from error
    run.network.load_state_dict(run.average.state_dict())
    run.step, run.seconds = state["step"], state["seconds"]
    return run


def _settled(recipe: Recipe) -> Recipe:
    mean, std = networks.normalisation(recipe.network.backbone)
    return recipe.changed(network={"mean": recipe.network.mean or mean, "std": recipe.network.std or std})


def _built(recipe: Recipe, device: torch.device) -> Run:
    torch.manual_seed(recipe.seed)
    told, (mean, std) = recipe.network, recipe.normalisation
    options: dict[str, Any] = {
        "size": recipe.schedule.size,
        "with_map": recipe.loss.map_weight > 0,
        "dropout": told.dropout,
        "names": HEADS if told.heads == "two" else ONE_HEAD,
        "hidden": told.hidden,
        "local_cues": told.local_cues,
    }
    network = networks.create(told.backbone, mean, std, told.pretrained, **options).to(device)
    average = networks.create(told.backbone, mean, std, **options).to(device).eval().requires_grad_(False)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda" and recipe.optimiser.precision == "half")
    return Run(recipe, network, average, _optimiser(network, recipe), scaler)


def _optimiser(network: networks.TwoHeads, recipe: Recipe) -> torch.optim.Optimizer:
    """By timm's name. Decay is for convolutions and matrices; on biases and normalisation it only shrinks what the data
    needs.
    """
    import timm.optim  # not before `networks`, see `torchvision_ops`

    told, optimisers = recipe.optimiser, cast("Any", timm.optim)
    if told.name not in optimisers.list_optimizers():
        raise DatasetError(f"optimiser.name: timm has no optimiser {told.name}")
    made: torch.optim.Optimizer = optimisers.create_optimizer_v2(
        network, told.name, lr=told.rate, weight_decay=told.weight_decay, momentum=told.momentum
    )
    return made


def _begin(network: networks.TwoHeads, path: Path) -> None:
    """Put the weights in a checkpoint or a safetensors file into the network, which may have a map or other heads."""
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _checkpoint(path, CPU)["average"]
    except (OSError, RuntimeError, KeyError) as error:
        raise ReleaseError(f"network.start: {path} holds no weights: {error}") from error
    mine = network.state_dict()
    fitting = {name for name in mine if name in state and mine[name].shape == state[name].shape}
    strangers = [name for name in sorted({*mine, *state} - fitting) if not name.startswith(_NEW)]
    if strangers:
        raise ReleaseError(f"network.start: {path} is of another network; the first difference is {strangers[0]}")
    network.load_state_dict({name: state[name] for name in fitting}, strict=False)


def _checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    if not path.is_file():
        raise DatasetError(f"there is no checkpoint {path}")
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
    return state


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], before: str = "") -> list[str]:
    """The names of keys in which two recipes differ."""
    found = []
    for name in now:
        if isinstance(now[name], dict) and isinstance(then.get(name), dict):
            found += _differences(then[name], now[name], f"{before}{name}.")
        elif then.get(name) != now[name]:
            found.append(f"{before}{name}")
    return found
