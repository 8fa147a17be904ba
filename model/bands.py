"""Which band a score falls into, and the words for why. It refuses to let a high score hide a doubtful input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CLEAR, REVIEW, FAKE, INCONCLUSIVE = "clear", "review", "fake", "inconclusive"

NO_FACE, FACE_TOO_SMALL, LOW_QUALITY = "no_face", "face_too_small", "low_quality"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores from `review` on go before people; from `fake` on the detector is sure. 0 <= review <= fake <= 1."""

    review: float
    fake: float


def band(score: float, thresholds: Thresholds, doubts: Sequence[str] = ()) -> str:
    """`inconclusive` where there are doubts, else `clear`, `review` or `fake`."""
    if doubts:
        return INCONCLUSIVE
    if score >= thresholds.fake:
        return FAKE
    return REVIEW if score >= thresholds.review else CLEAR
