"""Self-blended images: a real face blended onto itself, so that only the traces of blending tell it from the rest.

After Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022, written from the paper: one
copy is shifted in colour, sharpness and place, and laid over the other through a soft mask of the face. It teaches
face swaps; it teaches nothing about whole-image synthesis.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# uint8 and float32; OpenCV's stubs know no element types.
Image = NDArray[Any]
Floats = NDArray[Any]

_STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)


def blend(view: Image, box: Floats, landmarks: Floats, chance: np.random.Generator) -> tuple[Image, Image]:
    """uint8, the shape of `view`: its face replaced by an altered copy of itself; and uint8 (side, side), 255 where it
    was. `box` is (x, y, width, height) and `landmarks` (5, 2) in the view's pixels; NaN landmarks make the mask an
    ellipse.
    """
    altered = recoloured(view, chance)
    source, target = (altered, view) if chance.random() < 0.5 else (view, altered)
    mask = face_mask(view.shape[0], box, landmarks, chance)
    source, mask = _moved(source, mask, box, chance)
    return laid_over(source, target, mask, chance)


def laid_over(source: Image, target: Image, mask: Floats, chance: np.random.Generator) -> tuple[Image, Image]:
    """`source` over `target` through the softened `mask`, wholly or in part; and the mask as uint8."""
    alpha = _softened(mask, chance)
    blended: Image = target + (source.astype(np.float32) - target) * (alpha * chance.choice(_STRENGTHS))[..., None]
    return np.clip(blended, 0, 255).round().astype(np.uint8), (alpha * 255).astype(np.uint8)


def recoloured(image: Image, chance: np.random.Generator) -> Image:
    """A copy with its colour shifted and its high frequencies sharpened, softened or lost to rescaling."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + chance.uniform(-8, 8)) % 180
    hsv[..., 1:] = np.clip(hsv[..., 1:] * chance.uniform(0.75, 1.3, 2).astype(np.float32), 0, 255)
    shifted = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32)
    shifted += chance.uniform(-15, 15, 3).astype(np.float32)
    changed: Image = np.clip(shifted, 0, 255).astype(np.uint8)
    kind = chance.random()
    if kind < 0.35:
        soft = cv2.GaussianBlur(changed, (0, 0), chance.uniform(0.8, 2.5))
        changed = cv2.addWeighted(changed, 1.6, soft, -0.6, 0)
    elif kind < 0.8:
        small = max(8, int(image.shape[0] * chance.uniform(0.3, 0.8)))
        shrunk = cv2.resize(changed, (small, small), interpolation=cv2.INTER_LINEAR)
        changed = cv2.resize(shrunk, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(changed, np.uint8)


def face_mask(side: int, box: Floats, landmarks: Floats, chance: np.random.Generator) -> Floats:
    """float32 (side, side), 1 on the face: an ellipse over it, or the hull around eyes, nose and mouth."""
    mask = np.zeros((side, side), np.float32)
    x, y, width, height = (float(value) for value in box)
    if np.isnan(landmarks).any() or chance.random() < 0.5:
        centre = (int(x + width / 2), int(y + height * chance.uniform(0.5, 0.6)))
        axes = (int(width * chance.uniform(0.3, 0.48)), int(height * chance.uniform(0.3, 0.46)))
        cv2.ellipse(mask, centre, axes, float(chance.uniform(-8, 8)), 0, 360, 1.0, -1)
        return mask
    middle = landmarks.mean(axis=0)
    corners = np.concatenate([landmarks, landmarks[:2] - [0, chance.uniform(0.05, 0.2) * height]])
    reach = chance.uniform(1.15, 1.9, (len(corners), 1)).astype(np.float32)
    hull = cv2.convexHull(((corners - middle) * reach + middle).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 1.0)
    return mask


def _moved(source: Image, mask: Floats, box: Floats, chance: np.random.Generator) -> tuple[Image, Floats]:
    """Both shifted and scaled a little, and the mask bent out of shape."""
    side, face = source.shape[0], float(max(box[2], box[3]))
    zoom = chance.uniform(0.96, 1.04)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), 0.0, zoom)
    turn[:, 2] = turn[:, 2] + chance.uniform(-0.025, 0.025, 2) * face
    source, mask = (
        cv2.warpAffine(picture, turn, (side, side), borderMode=border)
        for picture, border in ((source, cv2.BORDER_REPLICATE), (mask, cv2.BORDER_CONSTANT))
    )
    coarse = chance.normal(0, face * 0.03, (5, 5, 2)).astype(np.float32)
    bend = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    mask = cv2.remap(mask, columns + bend[..., 0], rows + bend[..., 1], cv2.INTER_LINEAR)
    return source, mask


def _softened(mask: Floats, chance: np.random.Generator) -> Floats:
    """Two blurs with a threshold between them, as in the paper: soft to the inside and to the outside of the edge."""
    inner = cv2.GaussianBlur(mask, (0, 0), chance.uniform(1.5, 6))
    grown = np.where(inner > chance.uniform(0.4, 0.9), 1.0, inner).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grown, (0, 0), chance.uniform(1.0, 6)), np.float32)
