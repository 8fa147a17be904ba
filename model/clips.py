"""From the frames of an animation or a video to one score.

The best frame never counts by itself: one odd frame is noise, a blink or a cut. The score is the mean of the few ranks
right below it: enough that chance does not fill them, and few enough that a swap which lasts some seconds of a long
clip is not averaged away. Frames are ranked, not joined: their order does not matter. It refuses to score no frames.
"""

from __future__ import annotations

from collections.abc import Sequence

SHARE = 8  # of the frames, one in so many counts
FEWEST = 2  # but never fewer


def score(frames: Sequence[float]) -> float:
    """P(fake) of a clip from its frames' P(fake): of one or two frames their mean, of n the mean of the max(2,
    ceil(n / 8)) ranks below the best. It lies between the lowest and the highest frame, and no frame that rises
    lowers it. Raises ValueError for no frames.
    """
    if not frames:
        raise ValueError("a clip needs at least one frame")
    ranked = sorted(frames, reverse=True)
    count = max(FEWEST, -(-len(ranked) // SHARE))
    counted = ranked[1 : 1 + count] if len(ranked) > FEWEST else ranked
    return float(min(max(sum(counted) / len(counted), counted[-1]), counted[0]))  # rounding stays within them, too
