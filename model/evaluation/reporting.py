"""The report of an evaluation as JSON can carry it: every figure that pages, pictures and the card tell.

It names files, groups and scores but holds no picture. It refuses to leave out the bad ones: the worst source and the
worst mistakes have places of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from model import bands, splits
from model.evaluation import sets
from model.evaluation.scoring import Trial
from model.releases import Release

MISTAKES = 12  # of each kind
BUDGETS = {bands.REVIEW: 0.10, bands.FAKE: 0.01}
# For the worst source by itself: at 1 % a source would need 299 reals to promise anything.
WORST_BUDGETS = {bands.REVIEW: 0.10, bands.FAKE: 0.05}


def assemble(
    release: Release,
    cuts: Mapping[str, float],
    trials: Sequence[Trial],
    mates: sets.Mates,
    protocol: str,
    files: str,
) -> dict[str, Any]:
    """Figures of every set, by condition, on real-only sources, and the worst of each. `cuts` are the same for all
    sources; `files` is `choosing.fingerprint` of what was tested on.
    """
    grouped = sets.grouped(trials, mates)
    told = {name: sets.figures(members, cuts) for name, members in grouped.items()}
    return {
        "release": {"name": release.name, "version": release.version},
        "left_out": release.training.get("left_out"),
        "protocol": protocol,
        "files": files,
        "calibration": {"temperature": release.calibration.temperature, "bias": release.calibration.bias},
        "thresholds": dict(cuts),
        "held_out": sorted({trial.item.source for trial in trials if trial.split == splits.UNSEEN}),
        "mates": [list(pair) for pair in mates],
        "sets": told,
        "conditions": {
            name: sets.breakdown(members, cuts) for name, members in grouped.items() if _worth_breaking_down(name, told)
        },
        "stress": sets.stress(trials, cuts),
        "bands_without_the_source": {
            "all reals together": {"budgets": BUDGETS, "sources": sets.held_out_bands(trials, BUDGETS, worst=False)},
            "the worst source": {
                "budgets": WORST_BUDGETS, "sources": sets.held_out_bands(trials, WORST_BUDGETS, worst=True),
            },
        },
        "held_out_calibration": sets.held_out_calibration(trials, release.calibration, mates),
        "worst": worst(told),
        "mistakes": mistakes(trials),
    }  # fmt: skip


def worst(told: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Among sets of one source or pair: the lowest AUC, the highest false-positive rate and the lowest recall, the
    last two at the review cut (`even` where there is none).
    """
    own = {name: figures for name, figures in told.items() if not name.startswith(f"{sets.ALL} ") and figures["files"]}
    found = {}
    ranked = {name: figures["auc"] for name, figures in own.items() if "auc" in figures}
    if ranked:
        name = min(ranked, key=lambda key: ranked[key])
        found["auc"] = {"set": name, "value": ranked[name]}
    for figure, sign in (("false_positive_rate", -1), ("recall", 1)):
        rates = {name: _at_review(figures[figure]) for name, figures in own.items() if figure in figures}
        if rates:
            name = min(rates, key=lambda key: sign * rates[key])
            found[figure] = {"set": name, "value": rates[name]}
    return found


def mistakes(trials: Sequence[Trial], count: int = MISTAKES) -> dict[str, list[dict[str, Any]]]:
    """The reals with the highest scores and the fakes with the lowest, worst first: name, group, split and score."""
    sure = [(trial.answer.score or 0.0, trial) for trial in trials if trial.answer.conclusive]
    found = {}
    for label, kind, sign in ((0, "reals_called_fake", -1), (1, "fakes_passed", 1)):
        mine = sorted((entry for entry in sure if entry[1].item.label == label), key=lambda entry: sign * entry[0])
        found[kind] = [
            {"name": trial.item.name, "group": trial.item.group, "split": trial.split, "score": round(score, 4)}
            for score, trial in mine[:count]
        ]
    return found


def _at_review(rates: Mapping[str, float]) -> float:
    return rates.get(bands.REVIEW, rates["even"])


def _worth_breaking_down(name: str, told: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whole splits, and sources with both classes in number: bins of pairs would compare collections."""
    figures = told[name]
    fakes = figures["fakes"]
    return " against " not in name and min(fakes, figures["files"] - fakes) >= sets.FEWEST
