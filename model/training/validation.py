"""The AUC of a run's average on an album, while it trains: faces cut as serving cuts them, without augmentation.

It steers early stopping and sweeps. What was chosen by it must be reported on other images: it refuses to call itself a
test.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from model import crops, heads, metrics
from model.albums import Album
from model.errors import DatasetError
from model.training.devices import Place
from model.training.runs import Run

AT_ONCE = 64  # crops


class Validation:
    """Faces of an album, and how well a run tells them apart."""

    def __init__(self, album: Album, mates: Mapping[str, str], place: Place) -> None:
        """`mates` joins sources of fakes to sources of reals, as in training. Raises DatasetError when a class is
        missing.
        """
        self._album, self._place = album, place
        self._labels = np.array([item.label for item in album.items])
        self._families = np.array([mates.get(item.source, item.source) for item in album.items])
        if set(self._labels) != {0, 1}:
            raise DatasetError("validation needs faces of both classes")

    def auc(self, run: Run) -> float:
        """See `area`, of the run's scores."""
        return self.area(self.scores(run))

    def area(self, scores: NDArray[np.float64]) -> float:
        """The mean AUC over families (a source and its mate) that hold both classes; where none does, of all faces."""
        areas = [
            metrics.auc(scores[rows], self._labels[rows])
            for rows in (self._families == name for name in sorted(set(self._families)))
            if len(set(self._labels[rows])) == 2
        ]
        return float(np.mean(areas)) if areas else metrics.auc(scores, self._labels)

    @torch.no_grad()
    def scores(self, run: Run) -> NDArray[np.float64]:
        """float64 (n,): the logit of P(fake) of every face, uncalibrated."""
        size, margin, network = run.recipe.schedule.size, run.recipe.data.margin, run.average.eval()
        found = []
        for first in range(0, len(self._album.items), AT_ONCE):
            rows = range(first, min(first + AT_ONCE, len(self._album.items)))
            cut = np.stack([self._cut(row, margin, size) for row in rows])
            with self._place.autocast(run.recipe.optimiser.precision):
                found.append(network(torch.from_numpy(cut).to(self._place.device)).cpu().numpy())
        return heads.fake_logit(np.concatenate(found))

    def _cut(self, row: int, margin: float, size: int) -> NDArray[np.uint8]:
        x, y, width, height = (float(value) for value in self._album.boxes[row])
        return crops.square(self._album.views[row], (x, y, width, height), margin, size)
