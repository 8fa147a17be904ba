"""The sets of files that a report tells of: every source, every split, and pairs of one-class sources.

A set's name ends in its split in brackets. It refuses to rank the fakes of one collection against the reals of
another unless somebody named the two as mates.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from model import calibration, metrics, splits
from model.calibration import Calibration
from model.evaluation import conditions
from model.evaluation.scoring import Trial, measured

ALL = "all"
Mates = Collection[tuple[str, str]]  # a source of fakes and one of reals, told together
FEWEST = 20  # of each class, for a ranking figure of a bin: below, one file moves it by whole percents


def grouped(trials: Sequence[Trial], mates: Mates) -> dict[str, list[Trial]]:
    """The trials of every set by its name, sorted. `mates` (fakes' source, reals' source) are told together, as
    unseen where either of the two is.
    """
    sets: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        sets[f"{trial.item.source} ({trial.split})"].append(trial)
        sets[f"{ALL} ({trial.split})"].append(trial)
    for fakes, reals in mates:
        pair = [trial for trial in trials if trial.item.source in (fakes, reals)]
        if {trial.item.source for trial in pair} == {fakes, reals}:
            split = splits.UNSEEN if any(trial.split == splits.UNSEEN for trial in pair) else splits.TEST
            sets[f"{fakes} against {reals} ({split})"] = pair
    return dict(sorted(sets.items()))


def figures(trials: Sequence[Trial], cuts: Mapping[str, float]) -> dict[str, Any]:
    """Every figure of a set. Files that have no conclusive score are counted, with why, and not measured."""
    found = metrics.summary(measured(trials), cuts)
    found["submitted"] = len(trials)
    found["failed"] = sum(bool(trial.answer.failure) for trial in trials)
    doubted = [trial.answer for trial in trials if not trial.answer.failure and not trial.answer.conclusive]
    found["inconclusive"] = dict(Counter(reason for answer in doubted for reason in answer.reasons))
    return found


def breakdown(trials: Sequence[Trial], cuts: Mapping[str, float]) -> dict[str, dict[str, dict[str, Any]]]:
    """By condition and bin, in order: files, rates at the cuts, and the AUC where both classes are there in number.
    The bins of `generator` hold its fakes and all reals of the set.
    """
    found = {
        name: _by(trials, cuts, [bin_ for _, bin_ in bins] + ["not measured"], _binned(name))
        for name, bins in conditions.BINS.items()
    }
    made = sorted({trial.item.generator or trial.item.source for trial in trials if trial.item.label})
    reals = [trial for trial in trials if not trial.item.label]
    generators = {
        name: _brief([*reals, *(trial for trial in trials if trial.item.label and _generator(trial) == name)], cuts)
        for name in made
    }
    return {**found, **({"generator": generators} if len(made) > 1 else {})}


def stress(trials: Sequence[Trial], cuts: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Of every source that holds reals only: the false-positive rate at each cut with its exact interval."""
    found = {}
    for source, members in real_only(trials).items():
        scores = measured(members).scores
        if len(scores):
            rates = {cut: calibration.rate(int((scores >= at).sum()), len(scores)) for cut, at in cuts.items()}
            found[source] = {
                "split": members[0].split,
                "files": len(scores),
                "inconclusive": len(members) - len(scores),
                "rates": {cut: told(rate) for cut, rate in rates.items()},
            }
    return found


def real_only(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """The trials of each source without any fake."""
    sources: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        sources[trial.item.source].append(trial)
    return {name: members for name, members in sorted(sources.items()) if not any(t.item.label for t in members)}


def held_out_bands(trials: Sequence[Trial], budgets: Mapping[str, float], worst: bool) -> dict[str, dict[str, Any]]:
    """What a band's threshold does to a source of reals that it was fitted without: for every real-only source the
    threshold at each budget from all other reals, and the rate of its own reals above that. See
    `calibration.held_out_rates`.
    """
    reals: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        if not trial.item.label:
            reals[trial.item.source].append(trial)
    scores = {name: measured(members).scores for name, members in sorted(reals.items())}
    alone = [name for name in real_only(trials) if len(scores[name])]
    found: dict[str, dict[str, Any]] = {name: {} for name in alone}
    for band, budget in budgets.items():
        for name, (threshold, rate) in calibration.held_out_rates(scores, alone, budget, worst).items():
            found[name][band] = {"threshold": threshold, **told(rate)}
    return found


def logits_by_source(
    trials: Sequence[Trial], calibrated: Calibration, mates: Mates
) -> dict[str, tuple[metrics.Floats, metrics.Labels]]:
    """What `calibration.fit_on_sources` takes: uncalibrated logits and labels of each source, or pair of `mates`, that
    has both classes. `calibrated` is the calibration under which the trials' scores are.
    """
    own = {name: members for name, members in grouped(trials, mates).items() if not name.startswith(f"{ALL} ")}
    scored = {name: measured(members) for name, members in own.items()}
    return {name: (calibrated.undo(each.scores), each.labels) for name, each in scored.items() if each.both_classes}


def held_out_calibration(trials: Sequence[Trial], calibrated: Calibration, mates: Mates) -> dict[str, dict[str, float]]:
    """For each source or pair with both classes: its calibration error, both classes weighing the same, under
    `calibrated` and under the calibration that the others alone would give.
    """
    sources = logits_by_source(trials, calibrated, mates)
    found = {}
    for name, fitted in calibration.held_out_fits(sources).items():
        logits, labels = sources[name]
        weights = (0.5 / np.bincount(labels, minlength=2))[labels][None]
        as_released, refitted = (
            metrics.statistics(each.apply(logits), labels, weights, {})["calibration_error"][0]
            for each in (calibrated, fitted)
        )
        found[name] = {
            "as_released": float(as_released),
            "fitted_on_the_others": float(refitted),
            "temperature": fitted.temperature,
            "bias": fitted.bias,
        }
    return found


def told(rate: calibration.Rate) -> dict[str, float]:
    """A rate as JSON can carry it."""
    return {"hits": rate.hits, "files": rate.files, "rate": rate.share, "low": rate.low, "high": rate.high}


def _binned(condition: str) -> Callable[[Trial], str]:
    return lambda trial: conditions.bin_of(condition, trial.answer.quality.get(condition))


def _generator(trial: Trial) -> str:
    return trial.item.generator or trial.item.source


def _by(
    trials: Sequence[Trial], cuts: Mapping[str, float], order: Sequence[str], place: Callable[[Trial], str]
) -> dict[str, dict[str, Any]]:
    bins: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.answer.conclusive:
            bins[place(trial)].append(trial)
    return {name: _brief(bins[name], cuts) for name in order if bins[name]}


def _brief(trials: Sequence[Trial], cuts: Mapping[str, float]) -> dict[str, Any]:
    scored = measured(trials)
    fakes = int(scored.labels.sum())
    found: dict[str, Any] = {"files": len(scored.labels), "fakes": fakes}
    for label, name in enumerate(("false_positive_rate", "recall")):
        mine = scored.scores[scored.labels == label]
        if len(mine):
            found[name] = {cut: float((mine >= at).mean()) for cut, at in cuts.items()}
    if min(fakes, len(scored.labels) - fakes) >= FEWEST:
        found["auc"] = metrics.auc(scored.scores, scored.labels)
        found["auc_interval"] = metrics.interval(scored, "auc")
    return found
