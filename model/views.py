"""Where a face network looks: squares of 320 pixels laid on an image of any size, and what is seen through them.

A canvas is what a network takes; a view says where it lies on the image. Nothing here knows what a face is.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

CANVAS = 320  # pixels a side, what the networks were trained on
FINE = 568  # long side of the finer look: its tiles share 72 pixels, and 16:9 needs one row of them
FINE_STEP = FINE - CANVAS

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class View:
    """Where a canvas lies on the image: canvas = (image - origin) * scale."""

    left: float
    top: float
    scale: float

    def see(self, image: Image) -> Image:
        """uint8 (320, 320, 3) of what the view covers; black where it reaches past the image."""
        reach = CANVAS / self.scale
        x0, y0 = max(0, round(self.left)), max(0, round(self.top))
        part = image[y0 : max(y0 + 1, round(self.top + reach)), x0 : max(x0 + 1, round(self.left + reach))]
        width, height = (min(CANVAS, max(1, round(side * self.scale))) for side in (part.shape[1], part.shape[0]))
        kernel = cv2.INTER_AREA if self.scale < 0.5 else cv2.INTER_LINEAR
        seen = cv2.resize(part, (width, height), interpolation=kernel)
        if width == height == CANVAS:
            return np.asarray(seen, np.uint8)
        canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
        x, y = (
            max(0, min(round((at - origin) * self.scale), CANVAS - side))
            for at, origin, side in ((x0, self.left, width), (y0, self.top, height))
        )
        canvas[y : y + height, x : x + width] = seen
        return canvas


def centred(image: Image, side: int) -> View:
    """The whole image, its long side made `side` canvas pixels, in the middle of the canvas."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    return View((width - CANVAS / scale) / 2, (height - CANVAS / scale) / 2, scale)


def tiles(image: Image) -> list[View]:
    """Overlapping views that cover the image at a long side of `FINE` canvas pixels."""
    height, width = image.shape[:2]
    scale = FINE / max(height, width)
    across, down = (1 + (round(side * scale) > CANVAS) for side in (width, height))
    return [
        View(FINE_STEP * column / scale, FINE_STEP * row / scale, scale)
        for row in range(down)
        for column in range(across)
    ]


def resized(image: Image, scale: float) -> Image:
    """`image` at `scale` times its size, 1 or less: averaged over whole pixels as far as a whole divisor goes, which
    costs a third of averaging over parts of pixels, and interpolated over what is left, less than half.
    """
    divisor = int(1 / scale + 1e-6)
    height, width = (max(1, side // divisor) * divisor for side in image.shape[:2])
    if divisor > 1 and (height, width) <= image.shape[:2]:
        size = (width // divisor, height // divisor)
        image = np.asarray(cv2.resize(image[:height, :width], size, interpolation=cv2.INTER_AREA), np.uint8)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == image.shape[1::-1]:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
