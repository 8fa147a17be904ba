"""Square backgrounds without a face: photographs and textures, patches beside faces, and drawn clutter.

The photographs are scikit-image's public-domain samples; some are named `HELD_OUT` and never trained on. Samples that
show people, or coins with heads on them, are in neither list.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import skimage
from PIL import Image

from model import faces
from model.locator.teacher import Taught

HELD_OUT = ("brick.png", "cell.png", "chessboard_RGB.png", "coffee.png", "microaneurysms.png", "text.png")
TRAINED = (
    "chelsea.png", "clock_motion.png", "color.png", "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg",
    "ihc.png", "logo.png", "moon.png", "motorcycle_left.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip


def samples(names: tuple[str, ...]) -> list[faces.Image]:
    """scikit-image's samples of those names as uint8 RGB. Raises FileNotFoundError for one that is not in its wheel."""
    folder = Path(skimage.__file__).parent / "data"
    return [np.array(Image.open(folder / name).convert("RGB"), np.uint8) for name in names]


def backdrop(rng: np.random.Generator, photographs: list[faces.Image], taught: list[Taught], side: int) -> faces.Image:
    """uint8 (side, side, 3): one of every kind, drawn by `rng`."""
    kind = rng.random()
    if kind < 0.3:
        return photograph(rng, photographs[rng.integers(len(photographs))], side)
    if kind < 0.6:
        return beside(rng, taught[rng.integers(len(taught))], side)
    return drawn(rng, side)


def photograph(rng: np.random.Generator, image: faces.Image, side: int) -> faces.Image:
    """A square of `image`, turned and mirrored at will."""
    least = min(image.shape[:2])
    reach = int(rng.integers(max(8, least // 4), least + 1))
    top, left = (int(rng.integers(0, extent - reach + 1)) for extent in image.shape[:2])
    square = np.rot90(image[top : top + reach, left : left + reach], int(rng.choice([0, 0, 0, 1, 2, 3])))
    return _squared(square[:, :: int(rng.choice([-1, 1]))], side)


def beside(rng: np.random.Generator, taught: Taught, side: int) -> faces.Image:
    """A square of an image that meets none of its faces, sure or doubtful; where none is found in eight tries,
    the image with its faces painted over by something drawn.
    """
    image = taught.pixels
    least = min(image.shape[:2])
    for _ in range(8):
        reach = int(rng.integers(min(40, least - 1), least))
        top, left = (int(rng.integers(0, extent - reach + 1)) for extent in image.shape[:2])
        low = np.maximum(taught.rows[:, :2], (left, top))
        high = np.minimum(taught.rows[:, :2] + taught.rows[:, 2:4], (left + reach, top + reach))
        if not (high > low).all(1).any():
            return _squared(image[top : top + reach, left : left + reach], side)
    return _squared(_painted_over(rng, taught), side)


def drawn(rng: np.random.Generator, side: int) -> faces.Image:
    """A flat, graded or cloudy ground with shapes, lines and lettering on it, or with nothing."""
    ground = np.full((side, side, 3), rng.uniform(0, 255, 3), np.float32)
    if rng.random() < 0.4:
        ramp = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
        ramp = ramp.transpose(1, 0, 2) if rng.random() < 0.5 else ramp
        ground = ground * (1 - ramp) + ramp * rng.uniform(0, 255, 3).astype(np.float32)
    if rng.random() < 0.5:
        for cells in rng.choice([2, 4, 8, 16, 40, 120], 2):
            coarse = rng.normal(0, rng.uniform(5, 60), (cells, cells, 3 if rng.random() < 0.5 else 1))
            cloud = cv2.resize(coarse.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
            ground += cloud.reshape(side, side, -1)
    image = ground.clip(0, 255).astype(np.uint8)
    for _ in range(int(rng.choice([0, 0, 3, 8, 20, 40]))):
        _mark(rng, image)
    return image


def _mark(rng: np.random.Generator, image: faces.Image) -> None:
    side = len(image)
    colour = [int(value) for value in rng.integers(0, 256, 3)]
    first, second = ([int(value) for value in rng.integers(0, side, 2)] for _ in range(2))
    thick = int(rng.choice([-1, 1, 2, 5]))
    match rng.integers(4):
        case 0:
            cv2.rectangle(image, first, second, colour, thick)
        case 1:
            axes = [int(value) for value in rng.integers(2, max(3, side // 4), 2)]
            cv2.ellipse(image, first, axes, float(rng.uniform(0, 180)), 0, 360, colour, thick, cv2.LINE_AA)
        case 2:
            cv2.line(image, first, second, colour, abs(thick), cv2.LINE_AA)
        case _:
            letters = "".join(chr(code) for code in rng.integers(33, 127, rng.integers(1, 14)))
            cv2.putText(image, letters, first, int(rng.integers(0, 8)), float(rng.uniform(0.3, 2)), colour, 1)


def _painted_over(rng: np.random.Generator, taught: Taught) -> faces.Image:
    image = taught.pixels.copy()
    for x, y, width, height in taught.rows[:, :4]:
        left, top = max(0, int(x - 0.1 * width)), max(0, int(y - 0.15 * height))
        region = image[top : int(y + 1.1 * height), left : int(x + 1.1 * width)]
        if region.size:
            region[:] = cv2.resize(drawn(rng, 64), (region.shape[1], region.shape[0]))
    return image


def _squared(image: faces.Image, side: int) -> faces.Image:
    kernel = cv2.INTER_AREA if min(image.shape[:2]) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=kernel), np.uint8)
