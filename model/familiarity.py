"""How far a face is from those that a release was validated on, by the features that its network sees.

Features are brought to length one and the principal directions of familiar faces (their 32 largest) taken off; the
length of what is left, squared, is the distance. Noise, drawings, text, pictures that hold no face and faces coded to
rubble lie beyond the limit; a forgery that looks like familiar ones does not, and nobody should think so. It refuses to
fit and to set its limit on the same faces.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import ReleaseError

DIRECTIONS = 32
PERCENTILE = 99.0  # of familiar faces that are within the limit
FEWEST = 8 * DIRECTIONS  # faces; of fewer neither the directions nor the limit can be told

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Familiarity:
    """`centre` float32 (d,) and `directions` float32 (k, d) of features of length one; `limit` is the distance that
    99 % of familiar faces stay within.
    """

    centre: Floats
    directions: Floats
    limit: float

    def distance(self, features: Floats) -> NDArray[np.float64]:
        """float64 (n,): the distance of features (n, d) in units of the limit, 0 or more."""
        return _residual(features, self.centre, self.directions) / self.limit

    def write(self, path: Path) -> None:
        """As arrays without a pickle."""
        np.savez(path, centre=self.centre, directions=self.directions, limit=np.float64(self.limit))


def read(path: Path) -> Familiarity:
    """What `Familiarity.write` wrote. Raises ReleaseError for anything else."""
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
            found = Familiarity(
                np.asarray(arrays["centre"], np.float32),
                np.asarray(arrays["directions"], np.float32),
                float(arrays["limit"]),
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ReleaseError(f"{path} holds no familiar features: {error}") from error
    if found.directions.shape[1:] != found.centre.shape or not found.limit > 0:
        raise ReleaseError(f"{path} holds no familiar features: its arrays do not belong together")
    return found


def fit(features: Floats, weights: NDArray[np.float64] | None = None) -> Familiarity | None:
    """From features (n, d) in no particular order: every other one tells what is familiar, by its weight (n,) where
    there are weights, and the rest set the limit. None where n is below `FEWEST`.
    """
    if len(features) < FEWEST:
        return None
    known, fresh = _unit(features[::2]), features[1::2]
    told = np.ones(len(known)) if weights is None else weights[::2]
    shares = np.asarray(told / told.sum(), np.float32)[:, None]
    centre = (shares * known).sum(axis=0)
    _, _, directions = np.linalg.svd(np.sqrt(shares) * (known - centre), full_matrices=False)
    kept = np.ascontiguousarray(directions[:DIRECTIONS])
    limit = float(np.percentile(_residual(fresh, centre, kept), PERCENTILE))
    return Familiarity(centre, kept, max(limit, 1e-9))


def _unit(features: Floats) -> Floats:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-9), np.float32)


def _residual(features: Floats, centre: Floats, directions: Floats) -> NDArray[np.float64]:
    away = _unit(features) - centre
    along = away @ directions.T
    return np.asarray((away**2).sum(axis=1) - (along**2).sum(axis=1), np.float64).clip(min=0)
