"""Whoever gives a file a P(fake): a release, or a peer to compare it with. All see the bytes of whole files.

It refuses to answer with a score where a file could not be read, and to know what a file's label is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from model import metrics, pixels, releases
from model.detector import Detector, Face, Failure, Judgement
from model.errors import BadImage
from model.evaluation import conditions
from model.evaluation.answers import Answer


class Scorer(Protocol):
    """`name` for people, `digest` for the memory: two scorers share it only when they answer alike. `cuts` are the
    scores that decide, by name; every scorer has `even`, from which on it says fake.
    """

    name: str
    digest: str
    cuts: Mapping[str, float]

    def answers(self, files: Sequence[bytes]) -> list[Answer]:
        """One answer per file, in order; it never raises for a bad file."""


class ReleaseScorer:
    """A detector release as it serves."""

    def __init__(self, detector: Detector, face_model: Path | None = None) -> None:
        """`face_model` is the file that `detector` was loaded with in place of its own finder."""
        release = detector.release
        self.detector = detector
        self.name = f"{release.name} {release.version}"
        self.digest = _digest(release, face_model)
        cuts = release.thresholds
        self.cuts: Mapping[str, float] = {"even": metrics.EVEN, "review": cuts.review, "fake": cuts.fake}

    def answers(self, files: Sequence[bytes]) -> list[Answer]:
        """See `Scorer.answers`."""
        return [_answer(content, said) for content, said in zip(files, self.detector.score(files), strict=True)]


def _digest(release: releases.Release, face_model: Path | None) -> str:
    """SHA-256 over all that moves a score or its band: not the card, the figures or the training list."""
    record: dict[str, Any] = json.loads((release.directory / releases.RECORD).read_text())
    told = {key: value for key, value in record.items() if key not in {"metrics", "training", "files"}}
    # An ensemble's members are pinned by the digest of their records, which stand in `told`.
    told["files"] = {name: sha for name, sha in release.files.items() if name not in {releases.CARD, releases.LIST}}
    told["face_model"] = releases.digest(face_model) if face_model else None
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _answer(content: bytes, said: Judgement | Failure) -> Answer:
    if isinstance(said, Failure):
        return Answer(None, failure=said.slug)
    # The face that decided: where several are sound, the most suspicious.
    face = max(said.faces, key=lambda face: face.score, default=None)
    return Answer(said.score, said.band, tuple(said.reasons), quality=_quality(content, face))


def _quality(content: bytes, face: Face | None) -> dict[str, float]:
    if face is None:
        return {}
    tone = _tone(content, face) if face.frame == 0 else None
    return dict(face.quality) if tone is None else {**face.quality, conditions.TONE: tone}


def _tone(content: bytes, face: Face) -> float | None:
    try:
        return conditions.tone_angle(next(pixels.decode(content)).pixels, face.box)
    except (BadImage, StopIteration):
        return None
