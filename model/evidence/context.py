"""Maps that experts read beside a score: error level, noise residual, spectrum. They are context and never scored.

Each also lights up on honest pictures (edges, texture, repeated saving), so none means anything by itself. It refuses
to put a number on them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

QUALITY = 90  # of the JPEG that error levels are measured against
GAIN = 12.0  # how much error levels and noise are made brighter

Picture = NDArray[np.uint8]


def maps(picture: Picture) -> dict[str, Picture]:
    """Every map of uint8 (height, width, 3) by name, each a picture that can be shown."""
    return {"error-level": error_level(picture), "noise": noise(picture), "spectrum": spectrum(picture)}


def error_level(picture: Picture) -> Picture:
    """uint8, the picture's shape: how much each place changes when saved as JPEG once more (Krawetz, "A Picture's
    Worth", 2007). Parts saved less often than the rest are brighter; so are edges.
    """
    _, coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    again = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1]
    return _brighter(np.abs(picture.astype(np.float32) - again))


def noise(picture: Picture) -> Picture:
    """uint8, the picture's shape: what a median of nine neighbours does not explain, around middle grey. Pasted parts
    often have another grain.
    """
    rest = picture.astype(np.float32) - cv2.medianBlur(picture, 3)
    return np.asarray(np.clip(128 + rest * GAIN / 2, 0, 255), np.uint8)


def spectrum(picture: Picture) -> Picture:
    """uint8 (side, side, 3): the logarithm of the Fourier amplitudes of the middle square's brightness, low frequencies
    in the middle. Generators and enlargement leave regular points (Frank et al., ICML 2020); so does JPEG.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    side = min(grey.shape)
    top, left = (grey.shape[0] - side) // 2, (grey.shape[1] - side) // 2
    square = grey[top : top + side, left : left + side]
    window = np.outer(np.hanning(side), np.hanning(side))
    amplitudes = np.log1p(np.abs(np.fft.fftshift(np.fft.fft2((square - square.mean()) * window))))
    shown = (255 * amplitudes / max(float(amplitudes.max()), 1e-9)).astype(np.uint8)
    return np.repeat(shown[..., None], 3, axis=2)


def _brighter(levels: NDArray[np.float32]) -> Picture:
    return np.asarray(np.clip(levels * GAIN, 0, 255), np.uint8)
