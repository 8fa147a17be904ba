"""Calibration and thresholds of a release with heads, from what the heads say of strangers.

In-domain scores are surer than they should be, since the pictures that a platform sends are of sources and kinds that
no training holds. So temperature and bias are fitted on the validation split together with kinds that were left out,
each source weighing the same; and thresholds come from real faces of sources that were left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model import calibration
from model.bands import Thresholds
from model.calibration import Calibration

# Shares of reals: above `review` of all, and of each source of enough reals; the same of `fake`.
REVIEW, REVIEW_WORST, FAKE, FAKE_WORST = 0.10, 0.15, 0.01, 0.02
ENOUGH = 100  # real faces, below which one odd face would set the cut of a source

Floats = NDArray[np.float64]
Pairs = Mapping[str, tuple[Floats, NDArray[np.int64]]]


@dataclass(frozen=True, slots=True)
class Fitted:
    """The calibration, the thresholds, and what they promise in words."""

    calibration: Calibration
    thresholds: Thresholds
    promise: str


def fit(known: Pairs, strangers: Pairs, reals: Mapping[str, Floats]) -> Fitted:
    """From logits of P(fake) and labels of validation sources (`known`) and of kinds left out (`strangers`), by name;
    and logits of `reals` of sources left out.
    """
    pairs = {**{f"known {name}": pair for name, pair in known.items()},
             **{f"left out {name}": pair for name, pair in strangers.items()}}  # fmt: skip
    fitted = calibration.fit_on_sources(pairs)
    scores = {name: fitted.apply(logits) for name, logits in reals.items()}
    fake = max(
        calibration.threshold_on_sources(scores, FAKE),
        calibration.threshold_on_sources(scores, FAKE_WORST, worst=True, least=ENOUGH),
    )
    review = max(
        calibration.threshold_on_sources(scores, REVIEW),
        calibration.threshold_on_sources(scores, REVIEW_WORST, worst=True, least=ENOUGH),
    )
    count = sum(map(len, scores.values()))
    return Fitted(
        fitted,
        Thresholds(min(review, fake), fake),
        f"Of {count} real faces from {len(scores)} sources, each judged by heads that saw nothing of its source, the "
        f"thresholds put at most {REVIEW:.0%} before people and call at most {FAKE:.0%} fake; of each source with "
        f"{ENOUGH} faces or more, at most {REVIEW_WORST:.0%} and {FAKE_WORST:.0%}; by a "
        f"{calibration.CONFIDENCE:.0%} upper bound.",
    )
