"""From a find to picture files: where it lies, out of an archive, or cut out around faces.

What is cut or copied is written below the dataset's own folder, losslessly (PNG) where it was decoded, with real and
fake alike. It refuses a find without a picture in it: torn, unsafe, or without a face where faces are wanted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model import faces, pixels
from model.datasets import videos
from model.datasets.archives import Archives
from model.datasets.finds import Box, Find
from model.errors import NoFace
from model.faces import FaceFinder

# Side of a crop / longer side of the face's box: more than an album's view, so that training can find the face again.
MARGIN = 1.6
FRAMES = 8  # looked at of a video
FAINT = 2  # crops thinner than this many pixels hold nothing


@dataclass(frozen=True, slots=True)
class Picture:
    """One file of the dataset: its manifest path, its bytes, and how many faces are known to be in it."""

    path: str
    content: bytes
    faces: int | None = None


@dataclass
class Camera:
    """Takes pictures of finds: `media` is where crops and copies go, `frames` how many a video gives at most, and
    `face_model` a YuNet file to find faces with instead of our own locator, which is loaded once there is a video.
    """

    media: Path
    archives: Archives
    frames: int = FRAMES
    face_model: Path | None = None

    @cached_property
    def _finder(self) -> FaceFinder:
        return faces.load(self.face_model)

    def pictures(self, find: Find) -> Iterator[Picture]:
        """Every picture of a find, written where it is not used in place. Raises BadImage or OSError."""
        if find.in_place:
            yield Picture(find.path, find.place.read_bytes())
        elif find.member:
            yield self._kept(Picture(find.path, self.archives.read(find.place, find.member)))
        elif find.boxes:
            image = next(pixels.decode(find.place.read_bytes())).pixels
            for number, box in enumerate(find.boxes):
                if min(box[2:]) >= FAINT:
                    yield self._kept(Picture(f"{find.path}/{number:03}.png", png(surroundings(image, box)), 1))
        else:
            yield from self._of_video(find)

    def _of_video(self, find: Find) -> Iterator[Picture]:
        """The largest face of each sampled frame: in a clip with several people the label may be another's."""
        found_any = False
        for number, image in videos.sampled(find.place, self.frames):
            if found := self._finder.find(image):
                found_any = True
                crop = surroundings(image, found[0].box)
                yield self._kept(Picture(f"{find.path}/{number:05}.png", png(crop), 1))
        if not found_any:
            raise NoFace(f"no face in {self.frames} frames")

    def _kept(self, picture: Picture) -> Picture:
        target = self.media / picture.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(picture.content)
        return picture


def surroundings(image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The face with its surroundings at native resolution, as far as the image has them: no pixel is made up."""
    x, y, width, height = box
    half = max(width, height) * MARGIN / 2
    centre = (x + width / 2, y + height / 2)
    left, top = (max(0, round(middle - half)) for middle in centre)
    right, bottom = (max(0, round(middle + half)) for middle in centre)
    crop = image[top:bottom, left:right]
    if not crop.size:
        raise NoFace("the face's box lies outside the image")
    return crop


def png(crop: NDArray[np.uint8]) -> bytes:
    """Lossless, and quickly rather than tightly packed."""
    content = io.BytesIO()
    Image.fromarray(crop).save(content, "PNG", compress_level=1)
    return content.getvalue()
