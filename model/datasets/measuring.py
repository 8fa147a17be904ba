"""What a picture's bytes say of it: digest, perceptual hash, size, format and estimated JPEG quality.

PDQ (Facebook, 2019) sees through re-encoding and resizing: 256 bits, and a quality below which it means little. It
refuses what cannot be decoded, so that no row of a manifest is a file that training stumbles over.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model import pixels

PDQ_SIDE = 512  # larger pictures are shrunk first, as the reference program does
# The luminance table of the JPEG standard's Annex K, of which libjpeg's qualities are multiples.
_ANNEX_K = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


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
    image = next(pixels.decode(content)).pixels
    with Image.open(io.BytesIO(content), formats=pixels.FORMATS) as file:
        form, tables = file.format or "", getattr(file, "quantization", None)
    pdq, quality = perceptual(image)
    height, width = image.shape[:2]
    digest = hashlib.sha256(content).hexdigest()
    return Facts(digest, pdq, quality, width, height, form, len(content), jpeg_quality(tables[0]) if tables else None)


def perceptual(image: NDArray[np.uint8]) -> tuple[str, int]:
    """PDQ of uint8 (height, width, 3) RGB as 64 hex digits, and its quality 0 to 100."""
    import pdqhash

    scale = PDQ_SIDE / max(image.shape[:2])
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bits, quality = pdqhash.compute(np.ascontiguousarray(image))
    return np.packbits(bits).tobytes().hex(), int(quality)


def _sum_at(quality: int) -> int:
    """The sum of libjpeg's luminance table at a quality."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(255, max(1, (value * scale + 50) // 100)) for value in _ANNEX_K)


_SUMS = [_sum_at(quality) for quality in range(1, 101)]


def jpeg_quality(luminance: Sequence[int]) -> int:
    """The quality 1 to 100 at which libjpeg's luminance table has most nearly this sum, in any order of its values."""
    total = sum(luminance)
    return 1 + min(range(100), key=lambda index: abs(_SUMS[index] - total))
