"""How much of a found face is covered: by a mask, a bar, a caption, a sticker or whatever else lies before it.

A small network (`covers.onnx`, trained on covers drawn by `drawing`) looks at the face, upright and at one size, and
says of each of 16 x 16 cells whether skin and features of a face are seen there. The measure is the mean over the
cells in the face's oval. It says nothing about why something is covered: a scarf counts like a censor's bar.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

COVERS = Path(__file__).parent / "covers.onnx"
SIDE, CELLS = 64, 16  # pixels and cells a side of an upright face
EYES, MOUTH = (32.0, 24.0), (32.0, 44.0)  # where the middles of eyes and mouth come to lie
OVAL = ((32.0, 31.0), (21.0, 28.0))  # its middle and half-axes in an upright face

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


def covered(crop: Image, landmarks: Floats) -> float:
    """The share of the face, 0 to 1, that something covers. `crop` is uint8 (height, width, 3) upright RGB, the whole
    picture or a piece of it, with some room around the face; `landmarks` are float (5, 2) in the crop's pixels, ordered
    as in `faces.FoundFace`. Raises ValueError when eyes and mouth coincide. Safe from many threads.
    """
    return float(shares(upright(crop, landmarks)[None])[0])


def shares(faces: Image) -> Floats:
    """What `covered` says of each upright face in uint8 (n, 64, 64, 3), as float32 (n,)."""
    blob = np.ascontiguousarray(faces.transpose(0, 3, 1, 2), np.float32)
    cells = _session().run(["covered"], {"faces": blob})[0]
    return np.asarray((cells * oval()).sum((1, 2)) / oval().sum(), np.float32)


def upright(crop: Image, landmarks: Floats) -> Image:
    """uint8 (64, 64, 3): the face turned upright and scaled so that eyes and mouth lie at `EYES` and `MOUTH`; black
    where it reaches past the crop. Raises ValueError when eyes and mouth coincide.
    """
    moving = turn(landmarks)
    scale = float(np.hypot(*moving[0, :2]))
    if scale < 0.5:  # average first: a warp reads four pixels only
        crop = np.asarray(cv2.blur(crop, (max(1, round(0.5 / scale)),) * 2), np.uint8)
    return np.asarray(cv2.warpAffine(crop, moving, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.uint8)


def turn(landmarks: Floats) -> NDArray[np.float64]:
    """The similarity, float64 (2, 3), from pixels of the crop to those of the upright face."""
    points = np.asarray(landmarks, np.float64).reshape(5, 2)
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    across, down = mouth - eyes
    length = float(np.hypot(across, down))
    if not length > 1e-6:
        raise ValueError("a face's eyes and mouth must lie apart")
    cosine, sine = down / length, across / length
    scale = (MOUTH[1] - EYES[1]) / length
    turning = scale * np.array([[cosine, -sine], [sine, cosine]])
    return np.hstack([turning, (np.array(EYES) - turning @ eyes)[:, None]])


@lru_cache(maxsize=1)
def oval() -> Floats:
    """float32 (16, 16): how much of each cell lies in the face's oval, 0 to 1."""
    drawn = np.zeros((SIDE * 4, SIDE * 4), np.float32)
    middle, axes = (tuple(round(4 * value) for value in pair) for pair in OVAL)
    cv2.ellipse(drawn, (middle[0], middle[1]), (axes[0], axes[1]), 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.resize(drawn, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.float32)


@lru_cache(maxsize=1)
def _session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # callers bring their own threads
    return onnxruntime.InferenceSession(COVERS, options, providers=["CPUExecutionProvider"])
