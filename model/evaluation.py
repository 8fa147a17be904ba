"""Testing a release on a folder of labelled images, file by file as serving would score them.

Of sources that the release learnt from only the test split is used; other sources are used whole. It refuses to
test on an image that the release's training list holds, under whatever name: collections hold the same bytes twice.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model import bands, metrics, releases, splits
from model.detector import Detector, Failure, Judgement
from model.errors import DatasetError
from model.metrics import Scored
from model.releases import Release
from model.sources import Item

BATCH = 32  # files


@dataclass(frozen=True, slots=True)
class Trial:
    """One file, the split it is from, and what the detector said of it."""

    item: Item
    split: str
    answer: Judgement | Failure


def choose(release: Release, items: Sequence[Item]) -> list[tuple[Item, str]]:
    """The items to test on, each with `test` or `unseen`, without those that were learnt from. Raises DatasetError
    when nothing is left.
    """
    learnt = _learnt(release)
    taught = {name.partition("/")[0] for name in learnt}
    chosen = [
        (item, split)
        for item in items
        if (split := splits.split_of(item, {item.source} - taught)) in (splits.TEST, splits.UNSEEN)
    ]
    known = set(learnt.values())
    fresh = [(item, split) for item, split in chosen if releases.digest(item.path) not in known]
    if not fresh:
        raise DatasetError("every image given was learnt from or calibrated on: there is nothing to test on")
    return fresh


def run(detector: Detector, chosen: Sequence[tuple[Item, str]], done: Callable[[int], object]) -> list[Trial]:
    """Score every chosen file; `done` is called with the number scored."""
    trials = []
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        answers = detector.score([item.path.read_bytes() for item, _ in batch])
        trials += [Trial(item, split, answer) for (item, split), answer in zip(batch, answers, strict=True)]
        done(len(batch))
    return trials


def report(release: Release, trials: Sequence[Trial], mates: Mapping[str, str]) -> dict[str, Any]:
    """Figures for every source and split and for all of a split together, as JSON can carry them. Files that the
    detector calls inconclusive are counted, not measured. `mates` names one-class sources that are told together.
    """
    sets: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        sets[f"{trial.item.source} ({trial.split})"].append(trial)
        sets[f"all ({trial.split})"].append(trial)
        for fakes, reals in mates.items():
            if trial.item.source in (fakes, reals):
                sets[f"{fakes} against {reals} ({trial.split})"].append(trial)
    return {
        "release": {"name": release.name, "version": release.version},
        "calibration": {"temperature": release.calibration.temperature, "bias": release.calibration.bias},
        "thresholds": {"even": metrics.EVEN, "review": release.thresholds.review, "fake": release.thresholds.fake},
        "sets": {name: _figures(release, sets[name]) for name in sorted(sets)},
    }


def measured(trials: Iterable[Trial]) -> Scored:
    """The scores of the files that have a conclusive one."""
    kept = [
        (trial.answer.score, trial.item)
        for trial in trials
        if isinstance(trial.answer, Judgement) and trial.answer.band != bands.INCONCLUSIVE
    ]
    scores, labels = np.array([score for score, _ in kept]), np.array([item.label for _, item in kept], np.int64)
    return Scored(scores, labels, [item.key for _, item in kept])


def _figures(release: Release, trials: Sequence[Trial]) -> dict[str, Any]:
    figures = metrics.summary(measured(trials), release.thresholds.review, release.thresholds.fake)
    figures["submitted"] = len(trials)
    figures["failed"] = sum(isinstance(trial.answer, Failure) for trial in trials)
    figures["inconclusive"] = dict(
        Counter(
            reason
            for trial in trials
            if isinstance(trial.answer, Judgement) and trial.answer.band == bands.INCONCLUSIVE
            for reason in trial.answer.reasons
        )
    )
    return figures


def _learnt(release: Release) -> dict[str, str]:
    """SHA-256 by name of every image in the release's training list."""
    path = release.file(releases.LIST)
    if path is None:
        return {}
    with gzip.open(path, "rt", newline="") as lines:
        return {row["file"]: row["sha256"] for row in csv.DictReader(lines)}
