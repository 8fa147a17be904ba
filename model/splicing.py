"""Another's face set into a picture: the donor's face is laid over the target's by their landmarks.

What face-swapping programs and collages of generated faces have in common is a face whose colour, sharpness and noise
come from elsewhere. It refuses faces without landmarks, and donors seen from so different a side that the warp would
tear them.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model import selfblending

# uint8 and float32; OpenCV's stubs know no element types.
Image = NDArray[Any]
Floats = NDArray[Any]

FURTHEST = 0.12  # of the face's size: how far the donor's landmarks may miss the target's


def splice(
    view: Image, box: Floats, landmarks: Floats, donor: Image, donor_landmarks: Floats, chance: np.random.Generator
) -> tuple[Image, Image] | None:
    """uint8, the shape of `view`: the donor's face in the place of the target's; and uint8 (side, side), 255 where it
    was set in. None when the two faces do not fit. Landmarks are (5, 2) in each one's pixels.
    """
    if np.isnan(landmarks).any() or np.isnan(donor_landmarks).any():
        return None
    turn: Floats | None = cv2.estimateAffinePartial2D(donor_landmarks, landmarks, method=cv2.LMEDS)[0]
    if turn is None:
        return None
    landed = donor_landmarks @ turn[:, :2].T + turn[:, 2]
    if np.linalg.norm(landed - landmarks, axis=1).max() > FURTHEST * max(box[2], box[3]):
        return None
    side = view.shape[0]
    source = cv2.warpAffine(donor, turn, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    mask = selfblending.face_mask(side, box, landmarks, chance)
    if chance.random() < 0.8:
        source = _in_colours_of(view, source, mask > 0)
    return selfblending.laid_over(source, view, mask, chance)


def _in_colours_of(target: Image, source: Image, where: Floats) -> Image:
    """The source with the target's mean and spread of each Lab channel (Reinhard et al., "Color Transfer between
    Images", 2001), both measured on the face.
    """
    inside = where.astype(np.uint8)
    labs = [cv2.cvtColor(picture, cv2.COLOR_RGB2LAB) for picture in (source, target)]
    (mean, spread), (aim, aimed) = (cv2.meanStdDev(lab, mask=inside) for lab in labs)
    factor = np.clip(aimed / np.maximum(spread, 1), 0.5, 2)[:, 0].astype(np.float32)
    moved = (labs[0] - mean[:, 0].astype(np.float32)) * factor + aim[:, 0].astype(np.float32)
    return np.asarray(cv2.cvtColor(np.clip(moved, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB), np.uint8)
