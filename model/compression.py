"""How hard a JPEG was pressed, as its quantisation tables tell.

libjpeg and most cameras scale the example tables of the standard (ITU-T T.81, annex K) by a quality of 1 to 100. The
estimate is the quality whose scaled table is nearest; tables of another family get the nearest equivalent. It speaks of
the last coding alone: a file that was coded badly and then well says "well".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

# The standard's luminance table with its entries in rising order: files keep theirs in more than one.
_LUMINANCE = np.sort([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip


def quality(tables: Mapping[int, Sequence[int]]) -> int | None:
    """1 (rubble) to 100 from a JPEG's quantisation tables by number, the first being luminance; None without one."""
    table = np.asarray(tables.get(0, ()))
    if table.shape != (64,):
        return None
    return 1 + int(np.abs(_scaled() - np.sort(table)).sum(axis=1).argmin())


@cache
def _scaled() -> NDArray[np.int64]:
    """int64 (100, 64): the standard's table at every quality, as libjpeg scales it."""
    qualities = np.arange(1, 101)
    percent = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    return np.asarray(np.clip((_LUMINANCE * percent[:, None] + 50) // 100, 1, 255), np.int64)
