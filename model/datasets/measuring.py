"""What a picture's bytes say of it: digest, perceptual hash, size, format and estimated JPEG quality.

It refuses what cannot be decoded, so that no row of a manifest is a file that training stumbles over.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from PIL import Image

from model import perceptual, pixels
from model.readable import readable


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
    with Image.open(io.BytesIO(readable(content).content), formats=pixels.FORMATS) as file:
        form = file.format or ""
    pdq, quality = perceptual.pdq(frame.pixels)
    width, height = frame.size
    digest = hashlib.sha256(content).hexdigest()
    return Facts(digest, pdq, quality, width, height, form, len(content), frame.jpeg_quality)
