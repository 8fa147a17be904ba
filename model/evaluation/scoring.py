"""Asking a scorer about every subject, and remembering what it said. It refuses to ask twice about the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from model.evaluation import answers
from model.evaluation.answers import Answer, Memory
from model.evaluation.choosing import Subject
from model.evaluation.scorers import Scorer
from model.metrics import Scored
from model.sources import Item

BATCH = 32  # files


@dataclass(frozen=True, slots=True)
class Trial:
    """One file, the split it is from, and what the scorer said of it."""

    item: Item
    split: str
    answer: Answer

    @property
    def cluster(self) -> str:
        """What intervals keep together: the group, with all groups that hold its duplicates where those are known."""
        return self.item.component or self.item.key


def memory(scorer: Scorer, folder: Path) -> Memory:
    """The scorer's memory in a report's `folder`."""
    return Memory(folder / answers.FOLDER / f"{scorer.digest[:16]}.jsonl")


def score(
    scorer: Scorer, subjects: Sequence[Subject], known: Memory, done: Callable[[int], object] = lambda _: None
) -> list[Trial]:
    """A trial of every subject, in order; `done` is called with the number that is done."""
    asked = ((subject.sha256, subject.item.path.read_bytes) for subject in subjects)
    return [
        Trial(subject.item, subject.split, answer)
        for subject, answer in zip(subjects, ask(scorer, asked, known, done), strict=True)
    ]


def ask(
    scorer: Scorer,
    questions: Iterable[tuple[str, Callable[[], bytes]]],
    known: Memory,
    done: Callable[[int], object] = lambda _: None,
) -> Iterator[Answer]:
    """The answer to each question (a key for the memory, and how to come by the bytes), in order. Bytes are fetched
    only where the memory has no answer.
    """
    waiting = iter(questions)
    while batch := list(islice(waiting, BATCH)):
        unknown = {key: fetch for key, fetch in batch if known.get(key) is None}
        if unknown:
            files = [fetch() for fetch in unknown.values()]
            known.add(dict(zip(unknown, scorer.answers(files), strict=True)))
        for key, _ in batch:
            answer = known.get(key)
            assert answer is not None  # added above where it was missing
            yield answer
        done(len(batch))


def measured(trials: Iterable[Trial]) -> Scored:
    """The scores of the files that have a conclusive one."""
    kept = [(trial.answer.score, trial) for trial in trials if trial.answer.conclusive]
    scores = np.array([score for score, _ in kept], np.float64)
    labels = np.array([trial.item.label for _, trial in kept], np.int64)
    return Scored(scores, labels, [trial.cluster for _, trial in kept])
