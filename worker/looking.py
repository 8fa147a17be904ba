"""What a worker wants of each frame that the detector looks at, taken while its pixels are there.

Of every frame its PDQ, which finds near-duplicates; of a clip's frames also a picture, from which previews are made
once it is known which frames matter. So no clip is decoded twice. The picture is a JPEG of our own making.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from model import perceptual
from model.pixels import Frame

SIDE = 1600  # of a clip's pictures, in pixels
QUALITY = 88


@dataclass(frozen=True, slots=True)
class Look:
    """One frame: its place and time in the file, its PDQ (64 hexadecimal digits), that hash's quality (0 to 100), and
    of a clip's frame a JPEG of at most 1600 pixels a side.
    """

    index: int
    time: float | None
    pdq: str
    quality: int
    picture: bytes | None


def look(frame: Frame) -> Look:
    """Looks at one frame."""
    pdq, quality = perceptual.pdq(frame.pixels)
    is_clip = frame.time is not None
    return Look(frame.index, frame.time, pdq, quality, _picture(frame.pixels) if is_clip else None)


def _picture(seen: NDArray[np.uint8]) -> bytes:
    height, width = seen.shape[:2]
    scale = SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        seen = np.asarray(cv2.resize(seen, size, interpolation=cv2.INTER_AREA), np.uint8)
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(seen), QUALITY, "RGB", "420"))
