"""Trying recipes: rate, optimiser, dropout and head width, each on the same small budget, the best kept as a recipe.

Optuna proposes (Akiba et al., KDD 2019; its tree-structured Parzen estimator) and remembers in a journal, so a sweep
that was killed goes on. It refuses to choose on test images: it sees the validation split, or held-out sources, which
then are no test any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import tomli_w
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from model.errors import DatasetError, Diverged
from model.recipes import Recipe

JOURNAL, TABLE, BEST = "sweep.journal", "sweep.csv", "best.toml"
_TRIED = (TrialState.COMPLETE, TrialState.PRUNED)  # pruned: diverged


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial: its number, the keys it set, and its AUC, None where training diverged."""

    number: int
    keys: Mapping[str, Any]
    auc: float | None


def sweep(recipe: Recipe, folder: Path, trials: int, judged: Callable[[Recipe, int], float]) -> list[Tried]:
    """Try until `trials` recipes have been tried in `folder`, those of an earlier call included; the best first.
    `judged(recipe, number)` trains one and gives its AUC. Writes a table and the best recipe.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    study = _study(recipe, folder)
    for left in study.get_trials(states=[TrialState.RUNNING]):  # of a sweep that was killed
        study.tell(left.number, state=TrialState.FAIL)
        study.enqueue_trial(left.params)
    while len(study.get_trials(states=_TRIED)) < trials:
        trial = study.ask()
        try:
            study.tell(trial, judged(_proposed(recipe, trial), trial.number))
        except Diverged:
            study.tell(trial, state=TrialState.PRUNED)
    tried = [_tried(trial) for trial in study.get_trials(states=_TRIED)]
    tried.sort(key=lambda each: -1.0 if each.auc is None else each.auc, reverse=True)
    _write(folder, recipe, tried)
    return tried


def with_keys(recipe: Recipe, keys: Mapping[str, Any]) -> Recipe:
    """The recipe with `section.key` values put in."""
    sections: dict[str, dict[str, Any]] = {}
    for name, value in keys.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = value
    return recipe.changed(**sections)


def _study(recipe: Recipe, folder: Path) -> optuna.Study:
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))), study_name="sweep", load_if_exists=True,
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=recipe.seed),
    )  # fmt: skip
    now = {"recipe": recipe.told(), "sweep": recipe.sweep.model_dump(mode="json", exclude={"trials"})}
    if study.user_attrs.get("asked", now) != now:
        raise DatasetError(f"{folder} holds a sweep of another recipe; give the same or another --out")
    study.set_user_attr("asked", now)
    return study


def _proposed(recipe: Recipe, trial: Trial) -> Recipe:
    space = recipe.sweep
    keys: dict[str, Any] = {
        "optimiser.rate": trial.suggest_float("optimiser.rate", *space.rate, log=True),
        "optimiser.name": trial.suggest_categorical("optimiser.name", space.optimisers),
        "network.dropout": trial.suggest_float("network.dropout", *space.dropout),
        "network.hidden": trial.suggest_categorical("network.hidden", space.hidden),
        "schedule.steps": space.steps, "schedule.epochs": None, "schedule.minutes": space.minutes,
        "schedule.validate_every": 0, "schedule.patience": 0,
    }  # fmt: skip
    return with_keys(recipe, keys)


def _tried(trial: FrozenTrial) -> Tried:
    return Tried(trial.number, trial.params, trial.value if trial.state == TrialState.COMPLETE else None)


def _write(folder: Path, recipe: Recipe, tried: list[Tried]) -> None:
    names = list(tried[0].keys)
    lines = [",".join(["trial", *names, "auc"])]
    lines += [",".join(str(cell) for cell in (each.number, *each.keys.values(), each.auc)) for each in tried]
    (folder / TABLE).write_text("\n".join(lines) + "\n")
    if tried[0].auc is not None:
        best = with_keys(recipe, tried[0].keys).model_dump(mode="json", exclude_unset=True, exclude_none=True)
        (folder / BEST).write_text(tomli_w.dumps(best))
