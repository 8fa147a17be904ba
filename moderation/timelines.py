"""The frames of a clip as people look at them: which one is shown, and which ones stand for the rest.

Worker and dashboard both ask here, so that what was rendered and what is written below it are the same frames.
"""

from itertools import pairwise
from typing import Any

STRIP = 8  # pictures in a strip

Frame = dict[str, Any]  # `{index, time, score}`, as a verdict carries it


def best(frames: list[Frame]) -> int:
    """Returns the index of the frame that is shown: of a clip the most suspicious, or the first of several; of a still,
    or of pages that have no time, 0.
    """
    timed = [frame for frame in frames if frame.get("time") is not None]
    return int(max(timed, key=lambda frame: frame["score"])["index"]) if timed else 0


def strip(frames: list[Frame]) -> list[Frame]:
    """Returns up to `STRIP` frames in their order: the most suspicious of each of so many parts of equal length."""
    parts = min(STRIP, len(frames))
    bounds = [len(frames) * part // parts for part in range(parts + 1)] if parts else []
    return [max(frames[first:last], key=lambda frame: frame["score"]) for first, last in pairwise(bounds)]
