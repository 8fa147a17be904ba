"""Studies: what each ingredient of a recipe is worth on sources that the training never saw.

A study is a TOML file: a base recipe, variants of it, folds (sources left out together) and seeds. Every variant
is trained from the same start on the same budget for each fold and seed, and judged on the fold's faces by AUC. Runs
that are done are not done again. It refuses a fold that leaves nothing of both classes to judge.
"""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model import recipes
from model.errors import DatasetError
from model.recipes import Recipe

FULL, ENSEMBLE = "full", "ensemble of seeds"


class Fold(BaseModel):
    """Sources left out of training together, and judged on; `mates` (fakes to reals) lend a class where it is missing,
    and are left out, too. Two sources that are no mates are judged each by itself, and the mean counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    left_out: Annotated[tuple[str, ...], Field(min_length=1)]
    mates: dict[str, str] = {}

    @property
    def away(self) -> frozenset[str]:
        """Every source that this fold keeps out of training."""
        return frozenset({*self.left_out, *self.mates, *self.mates.values()})


class Study(BaseModel):
    """A study as its file says it. `variants` are settings over the base recipe, as `unmask train --set` takes them;
    the recipe itself is the variant `full`. `faces` bounds how many of a fold's faces are judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    recipe: dict[str, Any]
    variants: dict[str, tuple[str, ...]] = {}
    folds: Annotated[dict[str, Fold], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    faces: Annotated[int, Field(ge=2)] = 1500


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a study."""

    variant: str
    fold: str
    seed: int
    recipe: Recipe

    @property
    def name(self) -> str:
        """Its directory's name."""
        return f"{self.variant}/{self.fold}/{self.seed}".replace(" ", "-")


def read(path: Path) -> Study:
    """The study in a TOML file. Raises DatasetError naming what is wrong."""
    try:
        return Study.model_validate(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DatasetError(f"{path} is no study: {error}") from error
    except ValidationError as error:
        wrong = error.errors()[0]
        raise DatasetError(f"{path}: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from error


def trials(study: Study) -> Iterator[Trial]:
    """Every training of the study: the full recipe first, seed by seed."""
    for seed in study.seeds:
        for variant, settings in {FULL: (), **study.variants}.items():
            for fold, told in study.folds.items():
                recipe = recipes.of(study.recipe, f"variant {variant}", (*settings, f"seed={seed}"))
                held_out = sorted({*recipe.data.held_out, *told.away})
                yield Trial(variant, fold, seed, recipe.changed(data={"held_out": held_out}))


def record(folder: Path, trial: Trial, logits: Sequence[float], labels: Sequence[int], auc: float) -> None:
    """Keep what a trial gave: its AUC, and the logits and labels of the faces, for ensembles."""
    home = folder / trial.name
    home.mkdir(parents=True, exist_ok=True)
    told = {"auc": auc, "logits": [round(float(value), 4) for value in logits], "labels": [int(y) for y in labels]}
    (home / "part").write_text(json.dumps(told))
    (home / "part").replace(home / "result.json")


def result(folder: Path, trial: Trial) -> dict[str, Any] | None:
    """What a trial gave; None where it was not done yet."""
    path = folder / trial.name / "result.json"
    return dict(json.loads(path.read_text())) if path.exists() else None


def table(folder: Path, study: Study) -> str:
    """Markdown: a row a variant, a column a fold, the mean AUC over seeds with lowest and highest, and the macro mean;
    below, the full recipe's seeds averaged in the logit. Only variants with every fold done have a mean.
    """
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for trial in trials(study):
        if (told := result(folder, trial)) is not None:
            found[trial.variant, trial.fold].append(told)
    folds = list(study.folds)
    lines = [f"| variant | {' | '.join(folds)} | macro |", f"| --- |{' --- |' * (len(folds) + 1)}"]
    for variant in (FULL, *study.variants):
        runs = [[told["auc"] for told in found[variant, fold]] for fold in folds]
        lines.append(f"| {variant} | {' | '.join(map(_spread, runs))} | {_macro(runs)} |")
    if len(study.seeds) > 1:
        together = [_together(found[FULL, fold]) for fold in folds]
        lines.append(f"| {ENSEMBLE} | {' | '.join(map(_spread, together))} | {_macro(together)} |")
    return "\n".join(lines) + "\n"


def _together(runs: Sequence[Mapping[str, Any]]) -> list[float]:
    from model import metrics

    if len(runs) < 2:
        return []
    logits = np.mean([told["logits"] for told in runs], axis=0)
    return [metrics.auc(logits, np.asarray(runs[0]["labels"]))]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    ends = f" [{min(values):.3f}, {max(values):.3f}]" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{ends}"


def _macro(runs: Sequence[Sequence[float]]) -> str:
    return f"{np.mean([np.mean(values) for values in runs]):.3f}" if all(runs) else "-"
