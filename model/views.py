"""Where a face network looks: squares of 320 pixels laid on an image of any size, and what is seen through them.

A canvas is what a network takes; a view says where it lies on the image. Nothing here knows what a face is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

CANVAS = 320  # pixels a side, what the networks were trained on
FINE = 568  # long side of the finer look: its tiles share 72 pixels, and 16:9 needs one row of them
FINE_STEP = FINE - CANVAS
CLOSEST = 1416  # long side of the closest look, at which 1.5 % of it are 21 pixels; 4:3 needs six by four tiles
CLOSER = 1.3  # times as close as the look before, or it is not worth its tiles
LEAST_SHARE = 0.015  # of the long side: the smallest face looked for
SMALLEST = 16.0  # pixels of the image given: smaller faces are not told
THINNEST = 24.0  # canvas pixels: a strip thinner than this shows no face
STRIP = 2.5  # long side by short side: from here on a large face does not end the search for small ones
MOST_TILES = 160  # of one image, all closer looks together
LIT = 170.0  # brightness, 0 to 255, towards which dark places are lifted
DARK = 64.0  # brightness, 0 to 255
DARK_SHARE = 0.1  # of the picture
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


def scales(height: int, width: int) -> list[float]:
    """How closely an image is looked at in tiles, in canvas pixels a pixel, ascending; empty where it fits a canvas.

    The first look after the one at the whole image makes its long side `FINE`. The last shows a face of 1.5 % of the
    long side at 21 pixels (`CLOSEST`), or makes the short side `FINE`, but never enlarges the image, and there is none
    where such a face has under `SMALLEST` pixels. Between them each look is up to 2.5 times closer than the one before,
    so that every face has a size somewhere at which it is seen and at which tiles do not cut it. Long strips leave out
    the looks in which their short side is thinner than a face must be. All of it takes at most `MOST_TILES` tiles: the
    last look of a longer strip is less close.
    """
    long, short = max(height, width), min(height, width)
    if long <= CANVAS:
        return []
    first = FINE / long
    last = min(1.0, max(CLOSEST / long, FINE / short))
    if long * LEAST_SHARE < SMALLEST or last < CLOSER * first:
        return [first]
    while True:
        steps = math.ceil(math.log(last / first) / math.log(CLOSEST / FINE) - 1e-9)
        laid = [first * (last / first) ** (step / steps) for step in range(steps + 1)]
        laid = [scale for scale in laid if short * scale >= THINNEST] or laid[-1:]
        if sum(across * down for across, down in (_grid(height, width, scale) for scale in laid)) <= MOST_TILES:
            return laid
        last *= 0.9


def tiles(image: Image, scale: float | None = None) -> list[View]:
    """Overlapping views that cover the image at `scale`; at a long side of `FINE` canvas pixels where None."""
    height, width = image.shape[:2]
    scale = scale or FINE / max(height, width)
    across, down = _grid(height, width, scale)
    return [
        View(FINE_STEP * column / scale, FINE_STEP * row / scale, scale)
        for row in range(down)
        for column in range(across)
    ]


def _grid(height: int, width: int, scale: float) -> tuple[int, int]:
    across, down = (
        1 + max(0, math.ceil((round(side * scale) - CANVAS) / FINE_STEP)) for side in (width, height)
    )  # fmt: skip
    return across, down


def lifted(image: Image) -> Image:
    """uint8 like `image`: dark places brightened by a smooth map of how much light each has, so that a dark face before
    a bright window gains and the window does not.
    """
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA).max(2).astype(np.float32)
    around = np.asarray(cv2.GaussianBlur(small, (0, 0), 4.0), np.float32)
    gain = (LIT / np.maximum(around, 8.0)).clip(1.0, 16.0) ** 0.75
    whole = cv2.resize(gain, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray((image * whole[..., None]).clip(0, 255), np.uint8)


def dark(image: Image) -> bool:
    """Whether a good part of `image` has so little light that a face may be lost in it."""
    small = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).max(2)
    return bool((small < DARK).mean() >= DARK_SHARE)


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
