"""Under what conditions a face was seen: JPEG quality, sharpness, size, and a proxy of skin tone; and their bins.

The proxy is the individual typology angle (Chardon et al., Int. J. Cosmetic Science 1991) of the cheeks' pixels in
CIELAB. Light, white balance, make-up and cameras move it by whole bins, so it tells of brightness in the picture as
much as of skin: it can show that a detector fails on dark faces, not that it is fair. It refuses faces without colour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# The first three as `detector.Face.quality` names them.
SIZE, SHARPNESS, QUALITY, TONE = "size_px", "sharpness", "jpeg_quality", "tone_angle"

# Lower ends of the bins; the first bin is all that lies below the second end.
BINS: Mapping[str, Sequence[tuple[float, str]]] = {
    SIZE: (
        (0, "below 96 px"), (96, "96 to 128 px"), (128, "128 to 192 px"), (192, "192 to 256 px"),
        (256, "256 px and more"),
    ),
    SHARPNESS: (
        (0, "below 30"), (30, "30 to 100"), (100, "100 to 300"), (300, "300 to 1000"), (1000, "1000 and more"),
    ),
    QUALITY: ((0, "below 50"), (50, "50 to 74"), (75, "75 to 84"), (85, "85 to 94"), (95, "95 to 100")),
    TONE: (
        (-90, "dark"), (-30, "brown"), (10, "tan"), (28, "intermediate"), (41, "light"), (55, "very light"),
    ),
}  # fmt: skip
TITLES = {
    SIZE: "longer side of the face",
    SHARPNESS: "sharpness of the crop (variance of its Laplacian)",
    QUALITY: "JPEG quality of the file",
    TONE: "skin tone proxy (ITA angle of the cheeks)",
}

# Two patches of a face's box, (left, top, right, bottom) as shares of it: below the eyes, beside nose and mouth.
_CHEEKS = ((0.18, 0.50, 0.36, 0.68), (0.64, 0.50, 0.82, 0.68))
_COLOURLESS = 2.0  # CIELAB chroma below which a picture is grey, and the angle would be noise


def bin_of(condition: str, value: float | None) -> str:
    """The name of the bin of `value`; `not measured` for None."""
    if value is None or math.isnan(value):
        return "not measured"
    named = BINS[condition]
    return next((name for low, name in reversed(named) if value >= low), named[0][1])


def tone_angle(image: NDArray[np.uint8], box: tuple[int, int, int, int]) -> float | None:
    """The angle arctan((L* - 50) / b*) in degrees, -90 (dark) to 90 (light), of the cheeks' median colour in uint8
    (height, width, 3) RGB; `box` is (x, y, width, height). None where the picture is grey or the cheeks lie outside.
    """
    x, y, width, height = box
    patches = [
        image[round(y + top * height) : round(y + bottom * height), round(x + left * width) : round(x + right * width)]
        for left, top, right, bottom in _CHEEKS
    ]
    pixels = np.concatenate([patch.reshape(-1, 3) for patch in patches])
    if not len(pixels):
        return None
    lab = cv2.cvtColor((pixels[None] / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    light, a, b = (float(value) for value in np.median(lab, axis=0))
    if math.hypot(a, b) < _COLOURLESS:
        return None
    return round(math.degrees(math.atan2(light - 50, max(b, 1e-6))), 1)
