"""Does a heatmap point at what moves the score? Taking its hottest part away must lower P(fake) more than taking away
as much anywhere else (the deletion test of Petsiuk et al., "RISE", BMVC 2018).

Elsewhere means blobs of chance as smooth as heat is: lone pixels of chance would be an easy opponent. It refuses to
average before subtracting: each face is its own comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.backends import Crops
from model.evidence.heatmaps import blurred
from model.panels import PLAIN, Seat

SHARES = (0.1, 0.2, 0.3)  # of the crop that is taken away
CHANCES = 8  # masks of chance a share
SMOOTH = 0.09  # of the side: the standard deviation that makes noise into blobs

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Deletion:
    """One face: how much P(fake) fell when `share` of it was blurred, where the heat is and (mean) by chance."""

    share: float
    heat: float
    chance: float

    @property
    def gain(self) -> float:
        """How much more the heat explains, in P(fake)."""
        return self.heat - self.chance


def measure(seat: Seat, crop: Crops, heat: Floats, chance: np.random.Generator) -> list[Deletion]:
    """The deletion test of uint8 (side, side, 3) at each of `SHARES`; `heat` is float32 (side, side)."""
    side = crop.shape[0]
    masks = [
        mask
        for share in SHARES
        for mask in (hottest(heat, share), *(hottest(blobs(side, chance), share) for _ in range(CHANCES)))
    ]
    logits = seat.opinions([crop, *(blurred(crop, mask) for mask in masks)]).face
    scores = seat.release.calibration.apply(logits) if seat.calibration == PLAIN else PLAIN.apply(logits)
    falls = (scores[0] - scores[1:]).reshape(len(SHARES), 1 + CHANCES)
    return [Deletion(share, float(fall[0]), float(fall[1:].mean())) for share, fall in zip(SHARES, falls, strict=True)]


def hottest(heat: Floats, share: float) -> Floats:
    """float32 (side, side): 1 on that share of the places where `heat` is highest, with soft edges."""
    count = max(1, round(share * heat.size))
    chosen = np.zeros(heat.size, np.float32)
    chosen[np.argpartition(heat.ravel(), -count)[-count:]] = 1
    return np.asarray(cv2.GaussianBlur(chosen.reshape(heat.shape), (0, 0), 0.01 * heat.shape[0]), np.float32)


def blobs(side: int, chance: np.random.Generator) -> Floats:
    """Noise of no meaning, as smooth as heat is."""
    noise = chance.standard_normal((side, side)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), SMOOTH * side, borderType=cv2.BORDER_REFLECT), np.float32)


def interval(gains: Sequence[float], draws: int = 2000) -> tuple[float, float, float]:
    """Mean, and the 95 % bootstrap interval over faces."""
    values = np.asarray(gains, np.float64)
    chance = np.random.default_rng(0)
    means = values[chance.integers(0, len(values), (draws, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)
