"""How a face is lit, turned and toned, measured roughly from its pixels and landmarks, to count recall by.

None of it says anything about a person. The tone is the individual typology angle of the pixels between eyes and
mouth, which the light changes as much as the skin does: it is a proxy, good for comparing finders on the same pictures.
"""

from __future__ import annotations

import cv2
import numpy as np

from model import faces, views

LIGHT = ((0, "under 50"), (50, "50 to 100"), (100, "over 100"))  # mean brightness of the face's box, 0 to 255
TONE = ((-90, "dark"), (10, "middle"), (41, "light"))  # typology angle in degrees: Del Bino's limits, joined to three
POSE = ((0, "frontal"), (0.25, "turned"), (0.5, "profile"))  # how far the nose is from the eyes' middle, see `pose`


def traits(image: views.Image, row: faces.Floats) -> list[str]:
    """What the face of `row` in `image` is counted under: "light: ...", "pose: ..." and "tone: ..."."""
    x, y, width, height = (round(float(value)) for value in row[:4])
    box = image[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    told = [f"pose: {_named(POSE, pose(row))}"]
    if box.size:
        told.append(f"light: {_named(LIGHT, float(box.mean()))}")
    middle = np.concatenate([row[4:8].reshape(2, 2), row[10:14].reshape(2, 2)])
    (left, top), (right, bottom) = middle.min(0).round().astype(int), middle.max(0).round().astype(int)
    inner = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if inner.size:
        angle = tone(inner)
        told.append(f"tone: {'grey picture' if angle is None else _named(TONE, angle)}")
    return told


def pose(row: faces.Floats) -> float:
    """How far the face of `row` is turned aside: the nose's distance from the line between the middles of eyes and
    mouth, in lengths of that line. About 0 from the front, .5 and more in profile.
    """
    eyes, nose, mouth = row[4:8].reshape(2, 2).mean(0), row[8:10], row[10:14].reshape(2, 2).mean(0)
    down = mouth - eyes
    length = max(1e-6, float(np.hypot(*down)))
    return abs(float((nose - eyes)[0] * down[1] - (nose - eyes)[1] * down[0])) / length**2


def tone(skin: views.Image) -> float | None:
    """The individual typology angle of `skin`, uint8 (h, w, 3) RGB, in degrees, from medians; None where it is grey."""
    lab = cv2.cvtColor(skin.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    lightness, red, yellow = np.median(lab, 0)
    if abs(red) < 1 and abs(yellow) < 1:
        return None
    return float(np.degrees(np.arctan2(lightness - 50, max(1e-3, yellow))))


def _named(classes: tuple[tuple[float, str], ...], value: float) -> str:
    return [name for least, name in classes if value >= least or least == classes[0][0]][-1]
