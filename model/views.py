"""Where a face network looks: squares of 320 pixels laid on an image of any size, and what is seen through them.

A canvas is what a network takes; a view says where it lies on the image. Nothing here knows what a face is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

CANVAS = 320  # pixels a side, what the networks were trained on
FINE = 568  # long side of the finer look: its tiles share 72 pixels, and 16:9 needs one row of them
FINE_STEP = FINE - CANVAS
CLOSE = 100.0  # canvas pixels: the size at which a second look shows what the first was unsure of
BESIDE = CANVAS // 2  # pixels a side of a second look: four share a canvas

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class View:
    """Where a canvas lies on the image: canvas = (image - origin) * scale."""

    left: float
    top: float
    scale: float

    def see(self, image: Image, canvas: int = CANVAS) -> Image:
        """uint8 (canvas, canvas, 3) of what the view covers; black where it reaches past the image."""
        reach = canvas / self.scale
        x0, y0 = max(0, round(self.left)), max(0, round(self.top))
        part = image[y0 : max(y0 + 1, round(self.top + reach)), x0 : max(x0 + 1, round(self.left + reach))]
        whole = np.zeros((canvas, canvas, 3), np.uint8)
        if not part.size:
            return whole
        width, height = (min(canvas, max(1, round(side * self.scale))) for side in (part.shape[1], part.shape[0]))
        kernel = cv2.INTER_AREA if self.scale < 0.5 else cv2.INTER_LINEAR
        x, y = (
            max(0, min(round((at - origin) * self.scale), canvas - side))
            for at, origin, side in ((x0, self.left, width), (y0, self.top, height))
        )
        whole[y : y + height, x : x + width] = cv2.resize(part, (width, height), interpolation=kernel)
        return whole


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


def close(box: NDArray[np.float32]) -> View:
    """The view of `BESIDE` pixels with `box` (4,), x, y, width, height, in its middle, of the size `CLOSE`."""
    scale = CLOSE / max(1.0, float(np.sqrt(box[2] * box[3])))
    left, top = box[:2] + box[2:] / 2 - BESIDE / 2 / scale
    return View(float(left), float(top), scale)


def mosaic(pieces: Sequence[Image]) -> Image:
    """A canvas of up to four pieces of `BESIDE` pixels, row by row; the rest is black."""
    canvas = np.zeros((2, BESIDE, 2, BESIDE, 3), np.uint8)
    for at, piece in enumerate(pieces):
        canvas[at // 2, :, at % 2] = piece
    return canvas.reshape(CANVAS, CANVAS, 3)


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
