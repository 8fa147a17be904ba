"""Square backgrounds without a face: pieces of photographs, patches beside faces, and drawn clutter."""

from __future__ import annotations

import cv2
import numpy as np

from model import views
from model.locator.photographs import Stock
from model.locator.teacher import Taught

HARD = 0.35  # of the photographs' turns go to what was once taken for a face


def backdrop(rng: np.random.Generator, stock: Stock, taught: list[Taught], side: int) -> views.Image:
    """uint8 (side, side, 3): one of every kind, drawn by `rng`."""
    kind = rng.random()
    if kind < 0.6:
        if stock.hard and rng.random() < HARD:
            return photograph(rng, stock.hard[rng.integers(len(stock.hard))], side, least=0.5)
        return photograph(rng, stock.plain[rng.integers(len(stock.plain))], side)
    if kind < 0.85:
        return beside(rng, taught[rng.integers(len(taught))], side)
    return drawn(rng, side)


def photograph(rng: np.random.Generator, image: views.Image, side: int, least: float = 0.25) -> views.Image:
    """A square of `image`, a share of `least` to 1 of its shorter side, turned and mirrored at will."""
    short = min(image.shape[:2])
    reach = int(rng.integers(max(8, int(short * least)), short + 1))
    top, left = (int(rng.integers(0, extent - reach + 1)) for extent in image.shape[:2])
    square = np.rot90(image[top : top + reach, left : left + reach], int(rng.choice([0, 0, 0, 1, 2, 3])))
    return _squared(square[:, :: int(rng.choice([-1, 1]))], side)


def beside(rng: np.random.Generator, taught: Taught, side: int) -> views.Image:
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


def drawn(rng: np.random.Generator, side: int) -> views.Image:
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
    for _ in range(int(rng.choice([0, 0, 3, 8, 20]))):
        _mark(rng, image)
    return image


def _mark(rng: np.random.Generator, image: views.Image) -> None:
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


def _painted_over(rng: np.random.Generator, taught: Taught) -> views.Image:
    image = taught.pixels.copy()
    for x, y, width, height in taught.rows[:, :4]:
        left, top = max(0, int(x - 0.1 * width)), max(0, int(y - 0.15 * height))
        region = image[top : int(y + 1.1 * height), left : int(x + 1.1 * width)]
        if region.size:
            region[:] = cv2.resize(drawn(rng, 64), (region.shape[1], region.shape[0]))
    return image


def _squared(image: views.Image, side: int) -> views.Image:
    kernel = cv2.INTER_AREA if min(image.shape[:2]) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=kernel), np.uint8)
