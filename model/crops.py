"""From a face's box to the square of pixels that the network sees: one margin for every source.

The margin is small because the largest training set is cropped tightly: pixels that are missing there must be made
up by repeating edges, and a network can tell made-up pixels from seen ones.

Training holds every face as a *view* of one size and cuts its crops from that. A network learns how such resampled
pixels look, so what it judges later goes the same way, through a view. It refuses boxes without an area.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

MARGIN = 1.15  # side of the crop / longer side of the face's box
VIEW = 224  # pixels a side of a view
VIEW_MARGIN = 1.4  # side of a view / longer side of the face's box

Image = NDArray[np.uint8]
Box = tuple[float, float, float, float]


class Cutting(NamedTuple):
    """How a network wants its crops: `size` in pixels, `margin`, and whether faces come `through` a view."""

    size: int
    margin: float
    through: bool = False

    def face(self, image: Image, box: Box) -> Image:
        """uint8 (size, size, 3): see `square`."""
        seen, place = view(image, box) if self.through else (image, box)
        return square(seen, place, self.margin, self.size)

    def picture(self, image: Image) -> Image:
        """uint8 (size, size, 3): see `whole`."""
        return whole(image, self.size)


def view(image: Image, box: Box) -> tuple[Image, Box]:
    """uint8 (224, 224, 3) around the face, whose longer side becomes 160 pixels, and the box in the view's pixels.
    Raises ValueError as `square`.
    """
    seen = square(image, box, VIEW_MARGIN, VIEW)
    scale = VIEW / (max(box[2:]) * VIEW_MARGIN)
    width, height = box[2] * scale, box[3] * scale
    return seen, ((VIEW - width) / 2, (VIEW - height) / 2, width, height)


def square(image: Image, box: Box, margin: float, size: int) -> Image:
    """uint8 (size, size, 3): the square around `box` (x, y, width, height, pixels), its side `margin` times the
    box's longer one, edges repeated where it reaches past the image, resized. Raises ValueError on an empty box.
    """
    x, y, width, height = box
    side = round(max(width, height) * margin)
    if side < 1:
        raise ValueError(f"a face's box needs an area: {box}")
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    return resized(_cut(image, left, top, side), size)


def whole(image: Image, size: int) -> Image:
    """uint8 (size, size, 3): the central square of the image, for a picture in which no face was found."""
    height, width = image.shape[:2]
    side = min(height, width)
    return resized(_cut(image, (width - side) // 2, (height - side) // 2, side), size)


def resized(image: Image, size: int) -> Image:
    """The image as a square of `size` pixels, averaged when it shrinks and cubic when it grows."""
    if image.shape[:2] == (size, size):
        return np.ascontiguousarray(image)
    kernel = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (size, size), interpolation=kernel), np.uint8)


def _cut(image: Image, left: int, top: int, side: int) -> Image:
    height, width = image.shape[:2]
    right, bottom = left + side, top + side
    seen = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if not seen.size:
        raise ValueError("the square lies outside the image")
    before_y, after_y = max(0, -top), max(0, bottom - height)
    before_x, after_x = max(0, -left), max(0, right - width)
    if not (before_x or before_y or after_x or after_y):
        return seen
    padded = cv2.copyMakeBorder(seen, before_y, after_y, before_x, after_x, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)
