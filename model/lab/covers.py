"""What people put over faces: captions, stickers, bars, dark glasses and masks, drawn by code.

A caption across forehead and chin is enough to turn a known forgery's score around, so training shows such covers over
real faces and forgeries alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]
Floats = NDArray[Any]

_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX)
_LETTERS = "ABCDEFGHIJKLMNOPRSTUVWXYZ abcdefghiklmnoprstuvwz 0123456789 !?#@"


def cover(view: Image, box: Floats, landmarks: Floats, chance: np.random.Generator) -> Image:
    """uint8, the shape of `view`: one or two covers over the face in `box` (x, y, width, height). Landmarks (5, 2) may
    be NaN; glasses and masks are then left out.
    """
    kinds: list[Callable[..., None]] = [_caption, _caption, _sticker, _bar]
    if not np.isnan(landmarks).any():
        kinds += [_glasses, _mask]
    picture = np.ascontiguousarray(view).copy()
    for _ in range(1 + int(chance.random() < 0.35)):
        kinds[int(chance.integers(len(kinds)))](picture, box, landmarks, chance)
    return picture


def _colour(chance: np.random.Generator) -> tuple[int, int, int]:
    usual = ((255, 255, 255), (0, 0, 0), (255, 235, 40), (230, 30, 30))
    if chance.random() < 0.7:
        return usual[int(chance.integers(len(usual)))]
    red, green, blue = (int(value) for value in chance.integers(0, 256, 3))
    return red, green, blue


def _caption(picture: Image, box: Floats, _marks: Floats, chance: np.random.Generator) -> None:
    """A line or two of text across the face, outlined or on a ground, as memes and clips have them."""
    x, y, width, height = (float(value) for value in box)
    for _ in range(int(chance.integers(1, 3))):
        text = "".join(chance.choice(list(_LETTERS), int(chance.integers(5, 16))))
        font = int(chance.choice(_FONTS))
        scale = height * chance.uniform(0.12, 0.28) / 22
        thick = max(1, round(scale * 2))
        (wide, high), _ = cv2.getTextSize(text, font, scale, thick)
        left = int(x + width / 2 - wide / 2 + chance.uniform(-0.2, 0.2) * width)
        base = int(y + height * chance.uniform(0.05, 1.02))
        ink = _colour(chance)
        if chance.random() < 0.35:
            ground = tuple(255 - value for value in ink)
            cv2.rectangle(picture, (left - 4, base - high - 4), (left + wide + 4, base + 6), ground, -1)
        elif chance.random() < 0.7:
            cv2.putText(picture, text, (left, base), font, scale, tuple(255 - v for v in ink), thick * 3, cv2.LINE_AA)
        cv2.putText(picture, text, (left, base), font, scale, ink, thick, cv2.LINE_AA)


def _sticker(picture: Image, box: Floats, _marks: Floats, chance: np.random.Generator) -> None:
    """A round or square emblem with a smaller shape in it."""
    x, y, width, height = (float(value) for value in box)
    reach = int(width * chance.uniform(0.1, 0.28))
    centre = (int(x + width * chance.uniform(0.1, 0.9)), int(y + height * chance.uniform(0.05, 0.95)))
    ink, inner = _colour(chance), _colour(chance)
    if chance.random() < 0.6:
        cv2.circle(picture, centre, reach, ink, -1, cv2.LINE_AA)
        cv2.circle(picture, centre, max(1, reach // 2), inner, -1, cv2.LINE_AA)
        return
    near, far = (centre[0] - reach, centre[1] - reach), (centre[0] + reach, centre[1] + reach)
    cv2.rectangle(picture, near, far, ink, -1)
    cv2.line(picture, near, far, inner, max(1, reach // 4), cv2.LINE_AA)


def _bar(picture: Image, box: Floats, _marks: Floats, chance: np.random.Generator) -> None:
    """A bar over a third of the face or less, blurred, in squares or of one colour."""
    x, y, width, height = (float(value) for value in box)
    top, deep = y + height * chance.uniform(0, 0.8), height * chance.uniform(0.12, 0.33)
    rows = slice(max(0, int(top)), max(1, int(top + deep)))
    columns = slice(max(0, int(x - width * 0.1)), max(1, int(x + width * 1.1)))
    part = picture[rows, columns]
    if not part.size:
        return
    kind = chance.random()
    if kind < 0.5:
        picture[rows, columns] = _colour(chance)
    elif kind < 0.75:
        picture[rows, columns] = cv2.GaussianBlur(part, (0, 0), width * 0.08)
    else:
        small = cv2.resize(
            part, (max(1, part.shape[1] // 14), max(1, part.shape[0] // 14)), interpolation=cv2.INTER_AREA
        )
        picture[rows, columns] = cv2.resize(small, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _glasses(picture: Image, _box: Floats, landmarks: Floats, chance: np.random.Generator) -> None:
    """Dark glasses over both eyes, with a bridge."""
    left, right = landmarks[0], landmarks[1]
    apart = float(np.linalg.norm(right - left))
    size = (max(2, int(apart * chance.uniform(0.36, 0.46))), max(2, int(apart * chance.uniform(0.26, 0.38))))
    ink = tuple(int(value) for value in chance.integers(0, 60, 3))
    angle = float(np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0])))
    for eye in (left, right):
        cv2.ellipse(picture, (int(eye[0]), int(eye[1])), size, angle, 0, 360, ink, -1, cv2.LINE_AA)
    ends = [(int(eye[0]), int(eye[1])) for eye in (left, right)]
    cv2.line(picture, ends[0], ends[1], ink, max(2, int(apart * 0.06)), cv2.LINE_AA)


def _mask(picture: Image, box: Floats, landmarks: Floats, chance: np.random.Generator) -> None:
    """A cloth over nose, mouth and chin."""
    x, y, width, height = (float(value) for value in box)
    nose = landmarks[2]
    low = y + height * chance.uniform(0.97, 1.06)
    corners = np.array(
        [[x + width * 0.04, nose[1]], [nose[0], nose[1] - height * 0.06], [x + width * 0.96, nose[1]],
         [x + width * 0.8, low - height * 0.08], [nose[0], low], [x + width * 0.2, low - height * 0.08]]
    ).astype(np.int32)  # fmt: skip
    ink = ((235, 240, 245), (150, 190, 220), (30, 30, 35), _colour(chance))[int(chance.integers(4))]
    cv2.fillPoly(picture, [corners], ink, cv2.LINE_AA)
