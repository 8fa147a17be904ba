"""Pictures made by arithmetic, for golden sets: the same numbers on every machine, and nobody's photograph.

Gradients, noise, checks and drawn faces: an oval of skin under light from one side, with brows, eyes, a nose and a
mouth, enough for a finder to see a face. It refuses to pretend that a detector's score of them means anything.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

_SKINS: tuple[Colour, ...] = ((224, 182, 155), (141, 96, 70), (244, 214, 196))
_HAIRS: tuple[Colour, ...] = ((60, 42, 30), (20, 18, 18), (150, 116, 70))


def noise(side: int, seed: int) -> Picture:
    """uint8 (side, side, 3), every value as likely as any other."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def gradient(side: int) -> Picture:
    """uint8 (side, side, 3): red grows to the right, green downwards, blue to the upper left."""
    down, right = np.indices((side, side)) * 255 // max(1, side - 1)
    return np.stack([right, down, 255 - (down + right) // 2], axis=-1).astype(np.uint8)


def checks(side: int, cell: int) -> Picture:
    """uint8 (side, side, 3): black and white squares of `cell` pixels."""
    down, right = np.indices((side, side)) // cell
    return np.repeat(((down + right) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)


def portrait(width: int, height: int, face: float, seed: int) -> tuple[Picture, Box]:
    """A drawn face `face` pixels high in the middle of uint8 (height, width, 3), and its box (x, y, width, height)."""
    chance = np.random.default_rng(seed)
    skin, hair = _SKINS[seed % len(_SKINS)], _HAIRS[seed % len(_HAIRS)]
    scale = face / 200  # the drawing is 200 units high
    canvas = _backdrop(width, height, chance)
    centre = (width / 2, height / 2)

    def oval(x: float, y: float, wide: float, high: float, colour: Colour, angle: float = 0.0) -> None:
        at = (round((centre[0] + x * scale) * 16), round((centre[1] + y * scale) * 16))
        axes = (max(1, round(wide * scale * 16)), max(1, round(high * scale * 16)))
        cv2.ellipse(canvas, at, axes, angle, 0, 360, colour, -1, cv2.LINE_AA, 4)

    shade = _toned(skin, 0.72)
    oval(0, 170, 120, 62, (70, 84, 120))  # shoulders
    oval(0, 95, 34, 50, shade)  # neck
    oval(0, -22, 88, 104, hair)
    for side in (-1, 1):
        oval(side * 76, 2, 10, 20, shade)  # ears
    oval(0, 0, 75, 100, skin)
    oval(0, -86, 62, 22, hair)
    for side in (-1, 1):
        oval(side * 31, -24, 19, 12, shade)  # sockets
        oval(side * 31, -42, 19, 4.5, hair, side * 6)
        oval(side * 31, -20, 14, 7, (246, 244, 240))
        oval(side * 31, -20, 6.5, 6.5, (72, 50, 34))
        oval(side * 31, -20, 3, 3, (8, 8, 8))
        oval(side * 31 - 2, -22, 1.2, 1.2, (255, 255, 255))
        oval(side * 8, 24, 6, 4, _toned(skin, 0.55))  # nostrils
    oval(0, 6, 7, 24, _toned(skin, 1.06))  # bridge
    oval(0, 53, 27, 8, (168, 82, 80))
    oval(0, 52, 25, 1.6, (96, 40, 42))
    oval(0, 68, 16, 3, shade)
    lit = _lit(cv2.GaussianBlur(canvas, (0, 0), max(0.4, 1.6 * scale)), centre[0], scale)
    grain = chance.normal(0, 3, (height, width, 1))
    return np.clip(lit + grain, 0, 255).astype(np.uint8), (
        centre[0] - 75 * scale, centre[1] - 85 * scale, 150 * scale, 185 * scale,
    )  # fmt: skip


def coded(picture: Picture, form: str, **options: int) -> bytes:
    """The file that holds `picture` in Pillow's format `form` (PNG, JPEG)."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form, **options)
    return file.getvalue()


def _backdrop(width: int, height: int, chance: np.random.Generator) -> Picture:
    coarse = chance.integers(70, 190, (4, 5, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _toned(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(value * factor)) for value in colour)
    return red, green, blue


def _lit(picture: NDArray[Any], middle: float, scale: float) -> NDArray[np.float64]:
    """Light from the left: brighter there, darker on the far side of the face."""
    across = (np.arange(picture.shape[1]) - middle) / (75 * scale)
    return np.asarray(picture * (1.02 - 0.16 * np.tanh(across))[None, :, None], np.float64)
