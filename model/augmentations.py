"""What training does to a face before the network sees it, the same for real and fake.

First comes variety (place, zoom, turn, colour, hidden parts, a screenshot or an upload), then the equaliser: every crop
is shrunk by some kernel and passes through JPEG, so that neither the format nor the size a class happened to be stored
in tells it. How probable each change is stands in `recipes.Augmentations`. It refuses to know the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from model.recipes import Augmentations

USUAL = Augmentations()

# uint8 and float32; OpenCV's stubs know no element types.
Image = NDArray[Any]
Floats = NDArray[Any]

_KERNELS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
_CHROMA = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


Colour = tuple[int, int, int]


class Rectangle(NamedTuple):
    """`edges` are left, top, right and bottom in a view's pixels, 0 or more; `colour` is of what hides there."""

    edges: tuple[int, int, int, int]
    colour: Colour


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a crop lies on a view: the affine map `turn` (2, 3) to a square of `side` pixels, turned by `quarters` of a
    circle. In some a part of the face lies behind the rectangle `bar`, and in some all beyond the rectangle `frame` is
    of one colour.
    """

    turn: Floats
    side: int
    bar: Rectangle | None = None
    frame: Rectangle | None = None
    quarters: int = 0

    def cut(self, view: Image) -> Image:
        """uint8 (side, side, 3): the crop of the view."""
        ground, cover = (0 if hiding is None else hiding.colour for hiding in (self.frame, self.bar))
        return self._cut(self._hidden(view, ground, cover), cv2.BORDER_REPLICATE)

    def cut_map(self, altered: Image, view_side: int, cells: int) -> Image:
        """uint8 (cells, cells): the same crop of a map of the view, 0 to 255. What nobody sees is unaltered."""
        spread = cv2.resize(altered, (view_side, view_side), interpolation=cv2.INTER_LINEAR)
        crop = self._cut(self._hidden(spread, 0, 0), cv2.BORDER_CONSTANT)
        return np.asarray(cv2.resize(crop, (cells, cells), interpolation=cv2.INTER_AREA), np.uint8)

    def _hidden(self, picture: Image, ground: int | Colour, cover: int | Colour) -> Image:
        """The picture, `ground` beyond the frame and `cover` behind the bar."""
        if self.frame is not None:
            left, top, right, bottom = self.frame.edges
            within = picture[top:bottom, left:right]
            picture = np.full_like(picture, ground)
            picture[top:bottom, left:right] = within
        if self.bar is not None:
            left, top, right, bottom = self.bar.edges
            picture = picture.copy()
            picture[top:bottom, left:right] = cover
        return picture

    def _cut(self, picture: Image, border: int) -> Image:
        crop = cv2.warpAffine(picture, self.turn, (self.side, self.side), flags=cv2.INTER_LINEAR, borderMode=border)
        return np.ascontiguousarray(np.rot90(crop, self.quarters))


def place(
    box: Floats, landmarks: Floats, margin: float, chance: np.random.Generator, odds: Augmentations = USUAL
) -> Placement:
    """The square around `box` (x, y, width, height) at about `margin`, its size, centre, angle and shear off by a
    little: finders differ by as much. Some are turned further, end close to the face, or have the eyes, the nose or the
    mouth hidden.
    """
    x, y, width, height = (float(value) for value in box)
    face = max(width, height)
    side = round(face * margin)
    zoom = chance.uniform(0.88, 1.12) if chance.random() < odds.zoom else 1.0
    angle = chance.uniform(-10, 10) if chance.random() < odds.rotation else 0.0
    angle = chance.uniform(-40, 40) if chance.random() < odds.tilt else angle
    shear = chance.uniform(-0.05, 0.05) if chance.random() < odds.shear else 0.0
    shift = chance.uniform(-0.06, 0.06, 2) if chance.random() < odds.shift else np.zeros(2)
    centre = np.array([x + width / 2, y + height / 2]) + shift * face
    turn = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, zoom)
    turn[0, 1] += shear
    turn[0] *= -1 if chance.random() < odds.mirror else 1
    turn[1] *= -1 if chance.random() < odds.flip else 1
    turn[:, 2] = (side - 1) / 2 - turn[:, :2] @ (centre - 0.5)  # places count from the middles of pixels
    hides = chance.random() < odds.blackout and not np.isnan(landmarks).any()
    bar = _bar(landmarks, chance) if hides else None
    frame = _frame(box, chance) if chance.random() < odds.framed else None
    quarters = int(chance.integers(1, 4)) if chance.random() < odds.quarter else 0
    return Placement(turn, side, bar, frame, quarters)


def _bar(landmarks: Floats, chance: np.random.Generator) -> Rectangle:
    """Over the eyes, the nose or the mouth. `landmarks`: see `faces.FoundFace`."""
    eyes, nose, mouth = landmarks[:2], landmarks[2:3], landmarks[3:]
    part = (eyes, nose, mouth)[chance.integers(3)]
    reach = float(np.linalg.norm(eyes[1] - eyes[0])) * chance.uniform(0.25, 0.45)
    return _rectangle(part.min(axis=0) - reach, part.max(axis=0) + reach, _colour(chance))


def _frame(box: Floats, chance: np.random.Generator) -> Rectangle:
    """Where a picture ends that was cut close to the face: each edge up to a tenth of the face's side inside its box
    or outside it. Most such grounds are black, some white.
    """
    near, far = box[:2], box[:2] + box[2:]
    reach = max(float(box[2]), float(box[3]))
    ground = ((0, 0, 0), (0, 0, 0), (255, 255, 255), _colour(chance))[chance.integers(4)]
    return _rectangle(near - chance.uniform(-0.1, 0.1, 2) * reach, far + chance.uniform(-0.1, 0.1, 2) * reach, ground)


def _rectangle(near: Floats, far: Floats, colour: Colour) -> Rectangle:
    left, top, right, bottom = (max(0, int(at)) for at in (*near, *far))
    return Rectangle((left, top, right, bottom), colour)


def _colour(chance: np.random.Generator) -> Colour:
    red, green, blue = (int(value) for value in chance.integers(0, 256, 3))
    return red, green, blue


def alter(crop: Image, chance: np.random.Generator, odds: Augmentations = USUAL) -> Image:
    """uint8, the shape of `crop`: its colours moved, some grey, soft, sharpened or noisy, some as a screenshot or an
    upload.
    """
    crop = recolour(crop, chance, odds)
    if chance.random() < odds.grey:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if chance.random() < odds.blur:
        crop = cv2.GaussianBlur(crop, (0, 0), chance.uniform(0.4, 1.6))
    if chance.random() < odds.sharpen:
        soft = cv2.GaussianBlur(crop, (0, 0), chance.uniform(0.6, 2.0))
        amount = chance.uniform(0.3, 1.0)
        crop = cv2.addWeighted(crop, 1 + amount, soft, -amount, 0)
    if chance.random() < odds.noise:
        noise = chance.standard_normal(crop.shape, np.float32) * chance.uniform(1, 8)
        crop = np.clip(crop + noise, 0, 255).astype(np.uint8)
    if chance.random() < odds.screenshot:
        crop = screenshot(crop, chance)
    if chance.random() < odds.social:
        crop = uploaded(crop, chance)
    return np.asarray(crop, np.uint8)


def recolour(crop: Image, chance: np.random.Generator, odds: Augmentations = USUAL) -> Image:
    """Brightness, contrast, saturation and hue moved a little."""
    contrast = chance.uniform(0.8, 1.2) if chance.random() < odds.contrast else 1.0
    brightness = chance.uniform(-20, 20) if chance.random() < odds.brightness else 0.0
    if contrast != 1 or brightness:
        crop = cv2.convertScaleAbs(np.maximum(crop.astype(np.float32) * contrast + brightness, 0))
    hue = chance.uniform(-6, 6) if chance.random() < odds.hue else 0.0
    saturation = chance.uniform(0.7, 1.3) if chance.random() < odds.saturation else 1.0
    if hue or saturation != 1:
        hsv = cv2.cvtColor(crop, cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + hue) % 180
        hsv[..., 1] = np.minimum(hsv[..., 1] * saturation, 255)
        crop = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    return np.asarray(crop, np.uint8)


def screenshot(crop: Image, chance: np.random.Generator) -> Image:
    """As photographed off a screen by the screen itself: resampled to another pixel grid and back, a touch of
    sharpening, and the coding of a messenger, or none.
    """
    side = crop.shape[0]
    shown = max(16, round(side * chance.uniform(0.5, 1.6)))
    crop = np.asarray(cv2.resize(crop, (shown, shown), interpolation=_KERNELS[1 + chance.integers(3)]), np.uint8)
    if chance.random() < 0.5:
        crop = np.asarray(cv2.addWeighted(crop, 1.4, cv2.GaussianBlur(crop, (0, 0), 1), -0.4, 0), np.uint8)
    if chance.random() < 0.5:
        crop = through_jpeg(crop, int(chance.integers(70, 96)), full_chroma=False)
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def uploaded(crop: Image, chance: np.random.Generator) -> Image:
    """As a platform delivers an upload: made smaller, and JPEG at 4:2:0 once or twice."""
    side = crop.shape[0]
    small = max(16, round(side * chance.uniform(0.35, 1.0)))
    crop = np.asarray(cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
    for _ in range(int(chance.integers(1, 3))):
        crop = through_jpeg(crop, int(chance.integers(60, 88)), full_chroma=False)
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def equalise(crop: Image, size: int, chance: np.random.Generator, odds: Augmentations = USUAL) -> Image:
    """uint8 (size, size, 3): shrunk by a random kernel, through JPEG once or twice, and resized to `size`; where the
    equaliser is off, resized alone.
    """
    if odds.equaliser:
        if chance.random() < odds.shrink:
            small = round(size * chance.uniform(0.4, 1.0))
            crop = np.asarray(cv2.resize(crop, (small, small), interpolation=_KERNELS[chance.integers(4)]), np.uint8)
        for _ in range(1 + (chance.random() < odds.second_jpeg)):
            crop = through_jpeg(crop, int(chance.integers(40, 96)), bool(chance.random() < 0.5))
    kernel = cv2.INTER_AREA if crop.shape[0] > size else _KERNELS[1 + chance.integers(2)]
    return np.asarray(cv2.resize(crop, (size, size), interpolation=kernel), np.uint8)


def degrade(crop: Image, chance: np.random.Generator) -> Image:
    """uint8, the shape of `crop`: a worse copy of it, for training to answer alike on both; it does not move."""
    if chance.random() < 0.3:
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), chance.uniform(0.5, 1.5)), np.uint8)
    return uploaded(crop, chance) if chance.random() < 0.7 else through_jpeg(crop, int(chance.integers(30, 70)), False)


def through_jpeg(crop: Image, quality: int, full_chroma: bool) -> Image:
    """The crop after one JPEG of `quality` 1 to 100, with 4:4:4 chroma or 4:2:0."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _CHROMA[full_chroma]]
    _, coded = cv2.imencode(".jpg", crop[..., ::-1], settings)
    return np.ascontiguousarray(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1])
