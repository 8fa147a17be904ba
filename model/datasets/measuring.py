"""What a picture's bytes say of it: digest, perceptual hash, size, format and estimated JPEG quality.

PDQ (Facebook, 2019) sees through re-encoding and resizing: 256 bits, and a quality below which it means little. It
refuses what cannot be decoded, so that no row of a manifest is a file that training stumbles over.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model import pixels

PDQ_SIDE = 512  # larger pictures are shrunk first, as the reference program does


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one picture, named as the columns of `manifest.Row`; sides are those of the upright picture."""

    sha256: str
    pdq: str
    pdq_quality: int
    width: int
    height: int
    format: str
    bytes: int
    jpeg_quality: int | None


def measured(content: bytes) -> Facts:
    """The facts of a picture; of an animation, of its first frame. Raises BadImage."""
    frame = next(pixels.decode(content))
    with Image.open(io.BytesIO(content), formats=pixels.FORMATS) as file:
        form = file.format or ""
    pdq, quality = perceptual(frame.pixels)
    height, width = frame.pixels.shape[:2]
    digest = hashlib.sha256(content).hexdigest()
    return Facts(digest, pdq, quality, width, height, form, len(content), frame.jpeg_quality)


def perceptual(image: NDArray[np.uint8]) -> tuple[str, int]:
    """PDQ of uint8 (height, width, 3) RGB as 64 hex digits, and its quality 0 to 100."""
    import pdqhash

    scale = PDQ_SIDE / max(image.shape[:2])
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bits, quality = pdqhash.compute(np.ascontiguousarray(image))
    return np.packbits(bits).tobytes().hex(), int(quality)
