"""What a leak gate found, and whether that fails the dataset.

A figure fails only where it is over its limit and too far from chance for the number of groups it was taken on: on
forty files, .60 says nothing. It refuses to round a leak down to a warning.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

PASSED, NOTED, WARNED, LEAKED = "passed", "noted", "warned", "leaked"
TOO_FEW = "too few files to tell it from chance"
CHANCE = 0.5  # AUC of a guess
CERTAIN = 3.0  # standard errors from chance
# Cross-validated AUCs of dealt labels were seen to scatter 1.1 to 1.7 times as far as those of independent scores.
_SCATTER = 1.5


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one gate on one source (or the whole dataset): a verdict, the words for it, and figure and limit if any."""

    gate: str
    about: str
    verdict: str
    words: str = ""
    figure: float | None = None
    limit: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def standard_error(reals: int, fakes: int) -> float:
    """Of a cross-validated AUC without signal: that of the Mann-Whitney statistic, widened by `_SCATTER`."""
    return _SCATTER * math.sqrt((reals + fakes + 1) / (12 * reals * fakes))


def judged(gate: str, about: str, figure: float, limit: float, error: float, over: str = LEAKED) -> Finding:
    """An AUC against its limit: `over` where it is above and `CERTAIN`, noted where it is above but may be chance, or
    NaN.
    """
    if math.isnan(figure):
        return Finding(gate, about, NOTED, TOO_FEW)
    if figure <= limit:
        return Finding(gate, about, PASSED, "", figure, limit)
    if figure - CHANCE <= CERTAIN * error:
        return Finding(gate, about, NOTED, TOO_FEW, figure, limit)
    return Finding(gate, about, over, "it tells the label", figure, limit)
