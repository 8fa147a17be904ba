"""A forgery beside its original: whether both show the same frame, and where they differ.

Collections of face swaps often hold the frame that a forgery was made from. Where the surroundings agree, the
difference says which pixels were altered, which is worth more than a label. It refuses pairs whose surroundings
differ: another frame differs everywhere, and that says nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 56  # side of a map of changes
RIM = 8  # the rim is an eighth of the side
SAME_FRAME = 6.0  # mean difference of the rims, in grey levels; between two frames it is typically 10 to 40
NOTICEABLE, PLAIN = 2.0, 9.0  # grey levels above the rim's own: where a change begins, and where it is sure

Image = NDArray[np.uint8]


def same_frame(real: Image, fake: Image) -> bool:
    """Whether the rims of two uint8 (side, side, 3) pictures agree but for coding noise."""
    return real.shape == fake.shape and _rim(_difference(real, fake)) < SAME_FRAME


def changes(real: Image, fake: Image) -> Image:
    """uint8 (56, 56), 0 where two pictures of the same frame agree and 255 where they plainly differ. How much the rims
    differ is taken for coding noise.
    """
    difference = _difference(real, fake)
    noise = _rim(difference)
    sure = np.clip((difference - noise - NOTICEABLE) / (PLAIN - NOTICEABLE), 0, 1)
    # Skin between altered features is altered too, and lone specks are noise: both ask for a wide blur.
    joined = np.minimum(cv2.GaussianBlur(sure, (0, 0), real.shape[0] / 32) * 1.6, 1)
    return np.asarray(cv2.resize(joined * 255, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.uint8)


def _difference(real: Image, fake: Image) -> NDArray[np.float32]:
    """float32 (height, width): the largest channel's difference after a blur that coding noise does not survive."""
    soft = [cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 2) for picture in (real, fake)]
    return np.asarray(np.abs(soft[0] - soft[1]).max(axis=2), np.float32)


def _rim(difference: NDArray[np.float32]) -> float:
    height, width = difference.shape
    down, across = height // RIM, width // RIM
    rim = np.ones(difference.shape, bool)
    rim[down : height - down, across : width - across] = False
    return float(difference[rim].mean())
