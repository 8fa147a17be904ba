"""How a peer sees a file: the faces that our own finder finds in its first picture, cut as the peer wants them.

The peer's score of a file is the highest among its faces of `SOUND` pixels and more, as it is with our releases. It
refuses a file without such a face, which is then left out of a comparison for all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import faces, metrics, pixels, releases
from model.bands import FACE_TOO_SMALL, NO_FACE
from model.crops import Cutting
from model.errors import BadImage, ReleaseError
from model.evaluation.answers import Answer

SOUND = 64.0  # pixels of the box's longer side

Crops = NDArray[np.uint8]
Probabilities = NDArray[np.float64]


class FaceScorer:
    """A `Scorer` around any function from uint8 crops (n, size, size, 3) RGB to P(fake), float64 (n,)."""

    def __init__(
        self,
        path: Path,
        judge: Callable[[Crops], Probabilities],
        cutting: Cutting,
        cut: float = metrics.EVEN,
        face_model: Path | None = None,
        told: str = "",
    ) -> None:
        """`path` names it and `told` is whatever else its answers depend on, such as faces that come through a view; it
        says fake from `cut` on.
        """
        try:
            self._finder = faces.load(face_model)
        except ValueError as error:
            raise ReleaseError(str(error)) from error
        self.name = path.stem
        self.cuts: Mapping[str, float] = {"even": cut}
        finder = releases.digest(face_model or faces.LOCATOR)
        parts = (releases.digest(path), finder, str(cutting.size), f"{cutting.margin:g}", told)
        self.digest = hashlib.sha256(" ".join(parts).encode()).hexdigest()
        self._judge, self._cutting = judge, cutting

    def answers(self, files: Sequence[bytes]) -> list[Answer]:
        """See `Scorer.answers`."""
        cut = [self._cut(content) for content in files]
        stacks = [found for found in cut if not isinstance(found, Answer)]
        scores = iter(self._judge(np.concatenate(stacks)) if stacks else ())
        return [
            found if isinstance(found, Answer) else Answer(max(float(next(scores)) for _ in found)) for found in cut
        ]

    def _cut(self, content: bytes) -> Crops | Answer:
        try:
            image = next(pixels.decode(content)).pixels
        except BadImage as error:
            return Answer(None, failure=error.slug)
        found = self._finder.find(image)
        sound = [face.box for face in found if max(face.box[2:]) >= SOUND]
        if not sound:
            return Answer(None, failure=FACE_TOO_SMALL if found else NO_FACE)
        return np.stack([self._cutting.face(image, box) for box in sound])


def sigmoid(logits: NDArray[Any]) -> Probabilities:
    """float64, the shape of `logits`."""
    return np.asarray(1 / (1 + np.exp(-np.clip(np.asarray(logits, np.float64), -60, 60))), np.float64)
