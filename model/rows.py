"""What a face network answers, as rows: float32 (n, 15) of x, y, width, height, five (x, y) landmarks, confidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.views import CANVAS, DARK, FINE, Image, View

STRIDES = (8, 16, 32)
OVERLAP = 0.5  # of the smaller box: unlike IoU this also drops a part of a face found as a face of its own
LARGE = 64.0  # canvas pixels: a face this long makes a finer look unnecessary
SEEN = 2 * LARGE * CANVAS / FINE  # canvas pixels: a coarser look shows faces of this size, so a finer one need not
FILLING = 0.5  # of the image's shorter side: what the look from further away is there for

Floats = NDArray[np.float32]


def decoded(outputs: dict[str, Floats], threshold: float) -> Floats:
    """The rows, in canvas pixels, of one canvas's outputs, (cells, 1 | 4 | 10) each. The confidence is sqrt(cls * obj)
    and at least `threshold`, as OpenCV's FaceDetectorYN reads them.
    """
    parts = []
    for stride in STRIDES:
        cls, obj, bbox, kps = (outputs[f"{kind}_{stride}"] for kind in ("cls", "obj", "bbox", "kps"))
        score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))[:, 0]
        told = np.flatnonzero(score >= threshold)
        cell = np.stack([told % (CANVAS // stride), told // (CANVAS // stride)], 1).astype(np.float32)
        size = np.exp(bbox[told, 2:])
        corner = cell + bbox[told, :2] - size / 2
        places = np.hstack([corner, size, kps[told] + np.tile(cell, 5)]) * stride
        parts.append(np.hstack([places, score[told, None]]))
    return np.concatenate(parts)


def placed(rows: Floats, view: View) -> Floats:
    """`rows` of the canvas in the pixels of the image that `view` lies on."""
    rows[:, :14] /= view.scale
    rows[:, [0, 4, 6, 8, 10, 12]] += view.left
    rows[:, [1, 5, 7, 9, 11, 13]] += view.top
    return rows


def suppressed(rows: Floats) -> Floats:
    """The rows, most confident first, less those that share over `OVERLAP` of the smaller box with a better one."""
    rows = rows[np.argsort(-rows[:, 14])]
    low, high = rows[:, :2], rows[:, :2] + rows[:, 2:4]
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    area = rows[:, 2] * rows[:, 3]
    doubled = shared.clip(0).prod(-1) > OVERLAP * np.minimum(area[:, None], area)
    kept: list[int] = []
    for index in range(len(rows)):
        if not doubled[index, kept].any():
            kept.append(index)
    return rows[kept]


def uncut(rows: Floats, view: View, shape: tuple[int, ...], coarser: float) -> Floats:
    """`rows` less what the edge of a tile cuts, unless it is also the edge of the image (of `shape`), because a
    neighbour has that face whole; and less what is so large that the look at the scale `coarser` should have seen it.
    """
    low = (rows[:, :2] - (view.left, view.top)) * view.scale
    size = rows[:, 2:4] * view.scale
    corner = np.array([view.left, view.top])
    first = corner <= 0
    last = corner + CANVAS / view.scale >= (shape[1], shape[0])
    whole = ((low >= 0) | first) & ((low + size <= CANVAS) | last)
    return rows[(whole & (size <= SEEN * view.scale / coarser)).all(axis=1)]


def filling(rows: Floats, shape: tuple[int, ...]) -> Floats:
    """`rows` that fill an image of `shape`, for which one looks from further away."""
    filled: Floats = rows[rows[:, 2:4].max(axis=1, initial=0) >= FILLING * min(shape[:2])]
    return filled


def unlit(rows: Floats, image: Image) -> Floats:
    """`rows` that lie in the dark in `image`, for which one looks at a brightened one: brightening makes faces of
    spoons, so that elsewhere the look at the image as it is decides.
    """
    return rows[[_median(image, row) < DARK for row in rows]] if len(rows) else rows


def _median(image: Image, row: Floats) -> float:
    height, width = image.shape[:2]
    left, top = (int(min(max(0.0, value), side - 1)) for value, side in zip(row[:2], (width, height), strict=True))
    box = image[top : max(top + 1, int(row[1] + row[3])), left : max(left + 1, int(row[0] + row[2]))]
    return float(np.median(box.max(2)))


def alike(box: Floats, rows: Floats) -> Floats:
    """IoU float32 (n,) of `box` (4,) and the boxes of `rows`."""
    low, high = np.maximum(rows[:, :2], box[:2]), np.minimum(rows[:, :2] + rows[:, 2:4], box[:2] + box[2:])
    shared = (high - low).clip(0).prod(1)
    return np.asarray(shared / (rows[:, 2:4].prod(1) + box[2:].prod() - shared), np.float32)
