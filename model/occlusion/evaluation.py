"""How well the measure of occlusion tells covered faces from uncovered ones, on pictures that training held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model import faces, metrics, occlusion
from model.locator.teacher import Taught
from model.occlusion import drawing, training

MOSTLY = 0.3  # of the face: a cover that hides so much is one that counts
PHOTOGRAPHS = {"unsplash", "unsplash_faces", "stylegan1_ffhq", "amfd", "press"}  # whose faces are hardly ever covered


@dataclass(frozen=True, slots=True)
class Figures:
    """`covered` and `bare`: what the measure says of faces that are covered and are not. `off`: how far it is from the
    share that is really covered, in the mean, where that is known.
    """

    covered: NDArray[np.float64]
    bare: NDArray[np.float64]
    off: float | None = None

    @property
    def auc(self) -> float:
        """The probability, 0 to 1, that a covered face is told more than a bare one."""
        labels = np.r_[np.ones(len(self.covered)), np.zeros(len(self.bare))]
        return metrics.auc(np.r_[self.covered, self.bare].astype(np.float64), labels.astype(np.int64))

    def rates(self, limit: float) -> tuple[float, float]:
        """The shares of the covered and of the bare faces that are told `limit` or more; NaN for none."""
        covered, bare = (float((told >= limit).mean()) if len(told) else np.nan for told in (self.covered, self.bare))
        return covered, bare


def drawn(taught: list[Taught], count: int, seed: int = 3) -> dict[str, Figures]:
    """For each kind of cover, and for "all", the figures on `count` held-out faces with a drawn cover of which at least
    `MOSTLY` of the face is hidden, against as many without one. Some of both are in bad light. Raises ValueError where
    nothing with a face is held out.
    """
    rng, pool = np.random.default_rng(seed), training.lessons(taught, held_out=True)
    if not pool:
        raise ValueError("no image that is held out has a face that is large enough")
    bare = _told([training.sampled(rng, pool[rng.integers(len(pool))], odds=0)[0] for _ in range(count)])
    figures, told, shares = {}, [], []
    for kind in drawing.KINDS:
        samples = [training.sampled(rng, pool[rng.integers(len(pool))], (kind,), 1) for _ in range(count)]
        true = np.array([training.share(where) for _, where in samples])
        said = _told([face for face, _ in samples])
        told.append(said)
        shares.append(true)
        figures[kind] = Figures(said[true >= MOSTLY], bare, float(np.abs(said - true).mean()))
    said, true = np.concatenate(told), np.concatenate(shares)
    figures["all"] = Figures(said[true >= MOSTLY], bare, float(np.abs(said - true).mean()))
    return figures


def worn(taught: list[Taught], finder: faces.FaceFinder, sources: set[str]) -> Figures:
    """The largest face that `finder` finds in each picture of `sources`, in which people wear masks, against those in
    held-out pictures of `PHOTOGRAPHS`.
    """
    covered = _measured([one for one in taught if one.source in sources], finder)
    bare = _measured([one for one in taught if one.source in PHOTOGRAPHS and one.held_out], finder)
    return Figures(covered, bare)


def _measured(pictures: list[Taught], finder: faces.FaceFinder) -> NDArray[np.float64]:
    found = [(one, face) for one in pictures for face in finder.find(one.pixels)[:1] if face.landmarks is not None]
    return np.array(
        [occlusion.covered(one.pixels, face.landmarks) for one, face in found if face.landmarks is not None]
    )


def _told(samples: list[occlusion.Image]) -> NDArray[np.float64]:
    return occlusion.shares(np.stack(samples)).astype(np.float64)
