"""Which band a score falls into, and the words for why. It refuses to let a high score hide a doubtful input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.releases import Limits

CLEAR, REVIEW, FAKE, INCONCLUSIVE = "clear", "review", "fake", "inconclusive"
SUSPICION = {CLEAR: 0, INCONCLUSIVE: 0, REVIEW: 1, FAKE: 2}

# Why a file is inconclusive.
NO_FACE, FACE_TOO_SMALL, LOW_QUALITY = "no_face", "face_too_small", "low_quality"
OUT_OF_DISTRIBUTION, DISAGREEMENT = "out_of_distribution", "disagreement"
FACES_NOT_JUDGED = "faces_not_judged"  # there are more than are judged, so the others may be anything
NOT_A_PHOTOGRAPH, FACE_COVERED = "not_a_photograph", "face_covered"
# What a suspicious one looks like; the last is all that a detector with one head can say.
MANIPULATED, SYNTHETIC, FAKE_FACE = "manipulated_face", "synthetic_image", "fake_face"


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


def doubts(quality: Mapping[str, float], limits: Limits) -> tuple[str, ...]:
    """Why a face with this quality (see `detector.Face`) should not be believed. What was not measured is no doubt."""
    soft = quality.get("sharpness", limits.sharpness) < limits.sharpness
    coarse = quality.get("jpeg_quality", limits.jpeg_quality) < limits.jpeg_quality
    found = {
        FACE_TOO_SMALL: quality.get("size_px", limits.face_pixels) < limits.face_pixels,
        LOW_QUALITY: soft or coarse,
        OUT_OF_DISTRIBUTION: quality.get("distance", 0.0) > 1,
        DISAGREEMENT: quality.get("spread", 0.0) > limits.spread,
        NOT_A_PHOTOGRAPH: quality.get("photograph", 1.0) < limits.photograph,
        FACE_COVERED: quality.get("covered", 0.0) > limits.covered,
    }
    return tuple(word for word, holds in found.items() if holds)
