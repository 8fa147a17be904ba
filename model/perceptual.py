"""PDQ (Facebook, 2019), a perceptual hash that sees through re-encoding and resizing: 256 bits and a quality.

Below a quality of 50 it means little. Two pictures are near-duplicates where at most 31 bits differ. It says nothing of
real or fake.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 512  # larger pictures are shrunk first, as the reference program does


def pdq(image: NDArray[np.uint8]) -> tuple[str, int]:
    """PDQ of uint8 (height, width, 3) RGB as 64 hex digits, and its quality 0 to 100."""
    import pdqhash

    scale = SIDE / max(image.shape[:2])
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bits, quality = pdqhash.compute(np.ascontiguousarray(image))
    return np.packbits(bits).tobytes().hex(), int(quality)
