"""Several scorers side by side on the same files, the first against each other one by paired tests.

A file that any of them could not score is left out for all and listed with who and why. Each decides at its own cut
`even`. It refuses to compare on files that only some have judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model import metrics
from model.errors import DatasetError
from model.evaluation import paired, sets
from model.evaluation.scorers import Scorer
from model.evaluation.scoring import Trial, measured
from model.metrics import Scored

LEAST = 2  # files of each class that a paired test needs


def compare(judged: Sequence[tuple[Scorer, Sequence[Trial]]], mates: sets.Mates) -> dict[str, Any]:
    """`judged` holds each scorer with its trials of the same files in the same order; the first is ours. Under `sets`,
    for each set with both classes, the figures of every scorer by name and the tests of the first against it. Raises
    DatasetError where no file is left.
    """
    names = _names([scorer for scorer, _ in judged])
    shared, left_out = _shared(names, [trials for _, trials in judged])
    if not shared:
        raise DatasetError("there is no file that all of the compared detectors could score")
    grouped = [sets.grouped([trials[row] for row in shared], mates) for _, trials in judged]
    found = {}
    for name in grouped[0]:
        scored = [measured(each[name]) for each in grouped]
        if scored[0].both_classes:
            cuts = [scorer.cuts["even"] for scorer, _ in judged]
            found[name] = _side_by_side(names, scored, cuts)
    return {
        "first": names[0],
        "cuts": {name: scorer.cuts["even"] for name, (scorer, _) in zip(names, judged, strict=True)},
        "digests": {name: scorer.digest for name, (scorer, _) in zip(names, judged, strict=True)},
        "files": len(shared),
        "left_out": left_out,
        "sets": found,
    }


def _names(scorers: Sequence[Scorer]) -> list[str]:
    """The scorers' names, made to differ by a piece of the digest where two are called alike."""
    plain = [scorer.name for scorer in scorers]
    return [
        name if plain.count(name) == 1 else f"{name} ({scorer.digest[:6]})"
        for name, scorer in zip(plain, scorers, strict=True)
    ]


def _shared(names: Sequence[str], judged: Sequence[Sequence[Trial]]) -> tuple[list[int], list[dict[str, Any]]]:
    shared, left_out = [], []
    for row, trials in enumerate(zip(*judged, strict=True)):
        why = {name: t.answer.why_not for name, t in zip(names, trials, strict=True) if not t.answer.conclusive}
        if why:
            left_out.append({"name": trials[0].item.name, "why": why})
        else:
            shared.append(row)
    return shared, left_out


def _side_by_side(names: Sequence[str], scored: Sequence[Scored], cuts: Sequence[float]) -> dict[str, Any]:
    rights = [((each.scores >= cut) == each.labels).astype(float) for each, cut in zip(scored, cuts, strict=True)]
    found: dict[str, Any] = {}
    for name, each, cut, right in zip(names, scored, cuts, rights, strict=True):
        table = metrics.per_class(each.scores, each.labels, cut)
        found[name] = {
            "files": len(each.labels),
            "fakes": int(each.labels.sum()),
            "auc": metrics.auc(each.scores, each.labels),
            "auc_interval": metrics.interval(each, "auc"),
            "accuracy": float(right.mean()),
            "balanced_accuracy": table["balanced_accuracy"],
            "confusion": table["confusion"],
        }
        counts = np.bincount(each.labels, minlength=2)
        if name != names[0] and counts.min() >= LEAST:
            found[name] |= _against(scored[0], each, rights[0], right)
    return found


def _against(ours: Scored, theirs: Scored, our_rights: metrics.Floats, their_rights: metrics.Floats) -> dict[str, Any]:
    areas = paired.delong(ours.scores, theirs.scores, ours.labels)
    accuracies = paired.mcnemar(our_rights, their_rights)
    return {
        "auc_difference": areas.difference,
        "auc_difference_interval": paired.auc_difference(ours, theirs),
        "delong_p": areas.p,
        "accuracy_difference": accuracies.difference,
        "mcnemar_p": accuracies.p,
    }
