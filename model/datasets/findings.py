"""What a leak gate found, and whether that fails the dataset.

A figure fails only where it is over its limit and too far from chance for the number of groups it was taken on: on
forty files, .60 says nothing. It refuses to round a leak down to a warning.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

PASSED, NOTED, WARNED, LEAKED = "passed", "noted", "warned", "leaked"
CHANCE = 0.5  # AUC of a guess
CERTAIN = 3.0  # standard errors from chance


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
    """Of an AUC without signal on independent files (the Mann-Whitney statistic's)."""
    return math.sqrt((reals + fakes + 1) / (12 * reals * fakes))


def judged(gate: str, about: str, figure: float, limit: float, error: float, over: str = LEAKED) -> Finding:
    """An AUC against its limit: `over` where it is above and `CERTAIN`, noted where it is above but may be chance."""
    if figure <= limit:
        return Finding(gate, about, PASSED, "", figure, limit)
    if figure - CHANCE <= CERTAIN * error:
        return Finding(gate, about, NOTED, "too few files to tell this from chance", figure, limit)
    return Finding(gate, about, over, "it tells the label", figure, limit)
