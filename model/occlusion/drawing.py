"""Covers drawn over faces: masks, sunglasses, bars, captions, stickers, mosaics, and pieces of other pictures.

They stand in for what people put over faces. The finder is trained to see the face behind them, and the measure of
occlusion is trained to see the cover, because the drawing says exactly which pixels it changed.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Floats = NDArray[np.float32]
Draw = Callable[[np.random.Generator, Image, "Place"], Mask]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz 0123456789 !?.,#@"
OVAL = 0.48  # half-axes of the face's oval as a share of its box


class Place:
    """Where a face lies: box (x, y, width, height) and landmarks (5, 2), in pixels, as floats. `eyes`, `nose` and
    `mouth` are points; `right` and `down` are vectors of the length of the distance between the eyes and of the
    distance from the eyes to the mouth.
    """

    def __init__(self, box: Floats, landmarks: Floats) -> None:
        self.box = np.asarray(box, np.float64)
        self.landmarks = np.asarray(landmarks, np.float64).reshape(5, 2)
        self.eyes, self.nose, self.mouth = self.landmarks[:2].mean(0), self.landmarks[2], self.landmarks[3:].mean(0)
        self.down = self.mouth - self.eyes
        across = self.landmarks[1] - self.landmarks[0]
        least = 0.45 * np.hypot(*self.down)  # in profile the eyes fall together
        self.right = across if np.hypot(*across) > least else np.array([self.down[1], -self.down[0]])

    @property
    def size(self) -> float:
        """The root of the box's area."""
        return float(np.sqrt(max(1.0, self.box[2] * self.box[3])))

    def at(self, right: float, down: float) -> NDArray[np.float64]:
        """The point that lies `right` and `down` of the middle between the eyes, in the face's own units."""
        point: NDArray[np.float64] = self.eyes + right * self.right + down * self.down
        return point


def oval(shape: tuple[int, int], place: Place) -> Mask:
    """uint8 (height, width), 255 inside the face's oval: what a share of a face is a share of."""
    mask = np.zeros(shape, np.uint8)
    x, y, width, height = place.box
    cv2.ellipse(mask, _int((x + width / 2, y + height / 2)), _int((OVAL * width, OVAL * height)), 0, 0, 360, 255, -1)
    return mask


def share(covered: Mask, place: Place) -> float:
    """The share of the face's oval, 0 to 1, that `covered` (255 where a cover lies) hides; 0 for no oval."""
    face = oval((covered.shape[0], covered.shape[1]), place) > 0
    return float(covered[face].mean() / 255) if face.any() else 0.0


def draw(rng: np.random.Generator, image: Image, place: Place, kinds: tuple[str, ...] | None = None) -> Mask:
    """Draw one cover of `kinds` (any where None) on `image` in place; uint8 (height, width), 255 where it lies."""
    names = kinds or tuple(KINDS)
    return KINDS[names[int(rng.integers(len(names)))]](rng, image, place)


def mask(rng: np.random.Generator, image: Image, place: Place) -> Mask:
    """A surgical or cloth mask from the nose to below the chin, with pleats or a pattern, perhaps with straps."""
    top = rng.uniform(0.3, 0.62)
    side, chin = rng.uniform(0.75, 1.05), rng.uniform(1.6, 1.95)
    outline = [(-side, top + 0.05), (-0.3, top), (0, top - rng.uniform(0, 0.15)), (0.3, top), (side, top + 0.05),
               (side * 0.9, 1.15), (side * 0.55, chin - 0.15), (0, chin), (-side * 0.55, chin - 0.15),
               (-side * 0.9, 1.15)]  # fmt: skip
    where = _filled(image, np.array([place.at(*point) for point in outline]))
    pale = rng.random() < 0.6
    tones = [(200, 215, 225), (240, 240, 240), (150, 190, 215), (160, 205, 195), (30, 30, 34)]
    colour = np.array(tones[rng.integers(len(tones))], np.float64) if pale else rng.uniform(10, 245, 3)
    cloth = _shaded(rng, image, where, colour)
    for fold in range(int(rng.integers(0, 5))):
        down = top + (fold + 1) * (chin - top) / 6
        ends = (_int(place.at(-side * 0.8, down)), _int(place.at(side * 0.8, down)))
        cv2.line(cloth, *ends, [int(value) for value in (colour * 0.85).clip(0, 255)], _thick(place, 0.012))
    _put(image, cloth, where, place)
    if rng.random() < 0.5:
        for edge in (-1, 1):
            ends = (_int(place.at(edge * side, top + 0.1)), _int(place.at(edge * 1.35, rng.uniform(0, 0.4))))
            cv2.line(image, *ends, [int(value) for value in (colour * 0.9).clip(0, 255)], _thick(place, 0.015))
    return where


def glasses(rng: np.random.Generator, image: Image, place: Place) -> Mask:
    """Dark or tinted sunglasses."""
    where = np.zeros(image.shape[:2], np.uint8)
    width, height = rng.uniform(0.36, 0.5), rng.uniform(0.24, 0.42)
    angle = float(np.degrees(np.arctan2(place.right[1], place.right[0])))
    axes = _int((width * np.hypot(*place.right), height * np.hypot(*place.down)))
    for edge in (-0.5, 0.5):
        cv2.ellipse(where, _int(place.at(edge * 1.05, 0.02)), axes, angle, 0, 360, 255, -1)
    cv2.line(where, _int(place.at(-0.5, -0.05)), _int(place.at(0.5, -0.05)), 255, _thick(place, 0.03))
    colour = rng.uniform(0, 60, 3) if rng.random() < 0.8 else rng.uniform(0, 200, 3)
    _put(image, _shaded(rng, image, where, colour), where, place, solid=rng.uniform(0.85, 1.0))
    return where


def bar(rng: np.random.Generator, image: Image, place: Place) -> Mask:
    """A flat bar over the eyes, the nose or the mouth, as censors and banners put them, perhaps lettered."""
    down = (0.0, 0.5, 1.0, -0.5, 1.5)[rng.integers(5)]
    reach, half = rng.uniform(0.75, 2.5), rng.uniform(0.15, 0.5)
    corners = [(-reach, down - half), (reach, down - half), (reach, down + half), (-reach, down + half)]
    points = np.array([place.at(*corner) for corner in corners])
    if rng.random() < 0.5:  # upright in the picture rather than along the face
        low, high = points.min(0), points.max(0)
        points = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
    where = _filled(image, points)
    dark = rng.random() < 0.6
    colour = rng.uniform(0, 30, 3) if dark else rng.uniform(0, 255, 3)
    image[where > 0] = colour.astype(np.uint8)
    if rng.random() < 0.4:
        lettered = image.copy()
        ink = (255, 255, 255) if colour.mean() < 128 else (0, 0, 0)
        at = _int(place.at(-reach * 0.9, down + half * 0.5))
        _write(rng, lettered, at, place.size * rng.uniform(0.003, 0.006), ink)
        image[where > 0] = lettered[where > 0]
    return where


def caption(rng: np.random.Generator, image: Image, place: Place) -> Mask:
    """One to three lines of outlined letters across the face; the letters and their outlines are the cover."""
    before = image.copy()
    scale = place.size * rng.uniform(0.005, 0.013)
    down = rng.uniform(-0.9, 1.4)
    ink = (255, 255, 255) if rng.random() < 0.6 else tuple(int(value) for value in rng.integers(0, 256, 3))
    for _ in range(int(rng.integers(1, 4))):
        _write(rng, image, _int(place.at(-rng.uniform(0.9, 1.6), down)), scale, ink, outlined=rng.random() < 0.8)
        down += 26 * scale / max(1.0, float(np.hypot(*place.down)))
    return np.asarray((image != before).any(2) * 255, np.uint8)


def sticker(rng: np.random.Generator, image: Image, place: Place) -> Mask:
    """One to three plain discs, hearts of two discs, or smileys."""
    where = np.zeros(image.shape[:2], np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        middle = place.at(rng.uniform(-0.8, 0.8), rng.uniform(-0.7, 1.5))
        radius = place.size * rng.uniform(0.1, 0.3)
        one = np.zeros_like(where)
        axes = _int((radius, radius * rng.uniform(0.6, 1.2)))
        cv2.ellipse(one, _int(middle), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        colour = rng.uniform(40, 255, 3)
        image[one > 0] = colour.astype(np.uint8)
        if rng.random() < 0.6:
            for edge in (-0.35, 0.35):
                cv2.circle(
                    image, _int(middle + radius * np.array([edge, -0.25])), _thick(place, 0.03), (20, 20, 20), -1
                )
            arc = _int((radius * 0.5, radius * 0.4))
            cv2.ellipse(image, _int(middle), arc, 0, 20, 160, (20, 20, 20), _thick(place, 0.02))
        where |= one
    return where


def mosaic(rng: np.random.Generator, image: Image, place: Place) -> Mask:
    """A part of the face as coarse squares or blurred beyond recognition."""
    low = place.at(-rng.uniform(0.4, 1.2), -rng.uniform(0.2, 0.9))
    high = place.at(rng.uniform(0.4, 1.2), rng.uniform(0.2, 1.7))
    left, right = sorted((int(low[0]), int(high[0])))
    top, bottom = sorted((int(low[1]), int(high[1])))
    where = np.zeros(image.shape[:2], np.uint8)
    where[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 255
    region = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if region.size:
        cells = int(rng.integers(2, 7))
        small = cv2.resize(region, (cells, cells), interpolation=cv2.INTER_AREA)
        kernel = cv2.INTER_NEAREST if rng.random() < 0.7 else cv2.INTER_CUBIC
        region[:] = cv2.resize(small, (region.shape[1], region.shape[0]), interpolation=kernel)
    return where


def patch(rng: np.random.Generator, image: Image, place: Place) -> Mask:
    """An object before the face: a piece of noise, of a gradient, or of the picture's own surroundings, as a convex
    shape that comes in from a random side.
    """
    angle = rng.uniform(0, 2 * np.pi)
    middle = place.at(0.9 * np.cos(angle), 0.5 + 1.2 * np.sin(angle))
    turns = np.sort(rng.uniform(0, 2 * np.pi, 8))
    spread = place.size * rng.uniform(0.2, 0.6) * rng.uniform(0.7, 1.1, 8)
    where = _filled(image, middle + spread[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1))
    kind = rng.random()
    if kind < 0.4:
        step = np.array(image.shape[:2]) * rng.uniform(0.2, 0.8, 2)
        filled = np.roll(image, step.astype(int), (0, 1))[:, :: int(rng.choice([-1, 1]))]
    elif kind < 0.7:
        cells = rng.integers(0, 256, (4, 4, 3), np.uint8)
        filled = np.asarray(cv2.resize(cells, image.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    else:
        filled = _shaded(rng, image, where, rng.uniform(0, 255, 3))
    _put(image, filled, where, place)
    return where


KINDS: dict[str, Draw] = {
    "mask": mask, "glasses": glasses, "bar": bar, "caption": caption, "sticker": sticker, "mosaic": mosaic,
    "patch": patch,
}  # fmt: skip


def _shaded(rng: np.random.Generator, image: Image, where: Mask, colour: NDArray[np.float64]) -> Image:
    """Cloth of `colour` under the light that falls on what it hides, with a grain of its own."""
    grey = cv2.GaussianBlur(image, (0, 0), max(1.0, float(np.sqrt((where > 0).sum())) / 6)).mean(2)
    level = max(1.0, float(grey[where > 0].mean())) if (where > 0).any() else 1.0
    light = (grey / level).clip(0.4, 1.6) * rng.uniform(0.8, 1.1)
    grain = rng.normal(0, rng.uniform(0, 6), image.shape[:2])
    return np.asarray((light[..., None] * colour + grain[..., None]).clip(0, 255), np.uint8)


def _put(image: Image, cover: Image, where: Mask, place: Place, solid: float = 1.0) -> None:
    soft = cv2.GaussianBlur(where, (0, 0), max(0.3, place.size * 0.006)).astype(np.float32)[..., None] / 255 * solid
    image[:] = (cover * soft + image * (1 - soft)).astype(np.uint8)


def _write(
    rng: np.random.Generator, image: Image, at: tuple[int, int], scale: float, ink: tuple[int, ...],
    outlined: bool = False,
) -> None:  # fmt: skip
    text = "".join(LETTERS[at] for at in rng.integers(0, len(LETTERS), rng.integers(4, 16)))
    font, thick = int(rng.choice([0, 2, 3, 4])), max(1, round(scale * rng.uniform(1.5, 4)))
    if outlined:
        cv2.putText(image, text, at, font, scale, (0, 0, 0), 2 * thick + 1, cv2.LINE_AA)
    cv2.putText(image, text, at, font, scale, ink, thick, cv2.LINE_AA)


def _filled(image: Image, points: NDArray[np.float64]) -> Mask:
    where = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(where, [points.round().astype(np.int32)], 255)
    return where


def _thick(place: Place, share_of_size: float) -> int:
    return max(1, round(place.size * share_of_size))


def _int(point: tuple[float, float] | NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
