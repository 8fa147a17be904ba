"""What a scorer said of a file, and a memory of it on disk, so that an interrupted evaluation goes on where it was.

One file of JSON lines a scorer, named by the scorer's digest: another release, another calibration or another face
finder never finds these answers. It refuses nothing but a line that was torn when the process died: that is asked anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from model import bands

FOLDER = "answers"


@dataclass(frozen=True, slots=True)
class Answer:
    """`score` is P(fake), None with the slug of a `failure`; `band` and `reasons` as in `detector.Judgement`;
    `quality` holds what was measured of the file by the names in `conditions`.
    """

    score: float | None
    band: str = ""
    reasons: tuple[str, ...] = ()
    failure: str = ""
    quality: Mapping[str, float] = field(default_factory=dict)

    @property
    def conclusive(self) -> bool:
        return self.score is not None and self.band != bands.INCONCLUSIVE

    @property
    def why_not(self) -> str:
        """In words for machines, why there is no conclusive score."""
        return self.failure or ", ".join(self.reasons)


class Memory:
    """The answers of one scorer by key: a file's SHA-256, with the name of what was done to it where something was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers: dict[str, Answer] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / ".gitignore").write_text("*\n")  # a report is committed without them
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                told = json.loads(line)
            except ValueError:
                continue
            key = told.pop("key")
            self._answers[key] = Answer(**{**told, "reasons": tuple(told["reasons"])})

    def get(self, key: str) -> Answer | None:
        """What was said of `key`, None where nobody asked."""
        return self._answers.get(key)

    def add(self, answers: Mapping[str, Answer]) -> None:
        """Remember a batch of answers, on disk when this returns."""
        self._answers |= answers
        with self._path.open("a") as lines:
            # The line that a killed process left torn must not swallow the next one.
            lines.writelines("\n" + json.dumps({"key": key, **asdict(answer)}) for key, answer in answers.items())
            lines.write("\n")
