"""Comparing variants of the heads on kinds and families of forgery that they never saw, and on nothing else.

A variant changes values of the configuration, or which views and sources are learnt from. The projection of a fold is
fitted without the kind that is left out, too: directions in which a forgery varies would give it away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from model import splits
from model.lab import gathering, leaving
from model.lab import kinds as tables
from model.lab.gathering import Material, Progress
from model.lab.heads import Config
from model.lab.kinds import Kinds
from model.lab.leaving import Left
from model.lab.samples import Samples

VIEWS = "views"  # the key of a variant that says which views are learnt from; plain ones are always scored


def compare(
    known: Samples, material: Material, kinds: Kinds, config: Config, variants: Mapping[str, Mapping[str, Any]],
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Per variant, by `kind` and `family`: `macro`, the mean AUC over sources, and each source's own."""
    photographs = gathering.photographs(known, kinds)
    rest = known.where(photographs & (material.split[known.rows] != splits.TEST))
    steps = sum(len(tables.folds(kinds, by)) for by in ("kind", "family"))
    found = {}
    for name, changes in variants.items():
        values = {key: value for key, value in changes.items() if key != VIEWS}
        variant, views = replace(config, **values), changes.get(VIEWS)
        some = rest if views is None else rest.where(np.isin(rest.views, [gathering.PLAIN, *views]))
        found[name] = _figures(some, kinds, variant, progress(name, steps))
    return found


def _figures(known: Samples, kinds: Kinds, config: Config, done: Callable[[int], object]) -> dict[str, Any]:
    return {by: _told(leaving.scored(known, kinds, by, config, lambda: done(1))) for by in ("kind", "family")}


def _told(left: Sequence[Left]) -> dict[str, Any]:
    return {"macro": leaving.macro(left), "sources": {each.source: each.auc for each in left}}
