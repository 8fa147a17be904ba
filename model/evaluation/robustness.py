"""The processing grid: the same files after every step of `processing`, both classes alike.

It refuses to let a step look harmless because the detector fell silent: files without a conclusive score are counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from model import metrics
from model.errors import BadImage
from model.evaluation import choosing, processing, scoring, sets
from model.evaluation.answers import Memory
from model.evaluation.choosing import Subject
from model.evaluation.scorers import Scorer
from model.evaluation.scoring import Trial

ROWS = (processing.UNCHANGED, *processing.STEPS)


def sampled(subjects: Sequence[Subject], count: int) -> list[Subject]:
    """At most `count` subjects of each class of each source, always the same ones."""
    piles: dict[tuple[str, int], list[Subject]] = defaultdict(list)
    for subject in subjects:
        piles[subject.item.source, subject.item.label].append(subject)
    kept = {item.name for pile in piles.values() for item in choosing.thin([s.item for s in pile], count)}
    return [subject for subject in subjects if subject.item.name in kept]


def grid(
    scorer: Scorer,
    subjects: Sequence[Subject],
    mates: sets.Mates,
    known: Memory,
    done: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """Under `steps`, for every row and set: AUC and balanced accuracy where both classes are there, else the share
    judged right at even odds; the false-positive rate at every cut; files scored and files that became inconclusive.
    `files` says how many files went in.
    """
    rows = {}
    for step in ROWS:
        asked = ((_key(subject, step), _fetch(subject, step)) for subject in subjects)
        trials = [
            Trial(subject.item, subject.split, answer)
            for subject, answer in zip(subjects, scoring.ask(scorer, asked, known, done), strict=True)
        ]
        rows[step] = {name: _cell(members, scorer.cuts) for name, members in sets.grouped(trials, mates).items()}
    return {"files": len(subjects), "steps": rows}


def size(subjects: Sequence[Subject]) -> int:
    """How many answers the grid of `subjects` needs."""
    return len(subjects) * len(ROWS)


def _key(subject: Subject, step: str) -> str:
    return subject.sha256 if step == processing.UNCHANGED else f"{subject.sha256} {step}"


def _fetch(subject: Subject, step: str) -> Callable[[], bytes]:
    def fetch() -> bytes:
        content = subject.item.path.read_bytes()
        try:
            return processing.apply(step, content)
        except BadImage:
            return content  # the scorer says itself what is wrong with it

    return fetch


def _cell(trials: Sequence[Trial], cuts: Mapping[str, float]) -> dict[str, Any]:
    scored = scoring.measured(trials)
    found: dict[str, Any] = {"files": len(scored.labels), "inconclusive": len(trials) - len(scored.labels)}
    reals = scored.scores[scored.labels == 0]
    if len(reals):
        found["false_positive_rate"] = {cut: float((reals >= at).mean()) for cut, at in cuts.items()}
    if scored.both_classes:
        table = metrics.per_class(scored.scores, scored.labels)
        found |= {"auc": metrics.auc(scored.scores, scored.labels), "balanced_accuracy": table["balanced_accuracy"]}
    elif len(scored.labels):
        found["right"] = float(((scored.scores >= metrics.EVEN) == scored.labels).mean())
    return found
