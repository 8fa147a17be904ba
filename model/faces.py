"""Finding faces: boxes and five landmarks in the pixels of the image given, whatever its size.

One decoder serves every network in YuNet's output layout (per stride 8, 16 and 32: ``cls``, ``obj``, ``bbox``,
``kps``; BGR 0..255 in), so an operator's YuNet file and our own locator are read alike. The pixels are upright RGB:
EXIF rotation is undone by whoever decodes. It does not recognise, align or judge anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

LOCATOR = Path(__file__).parent / "locator" / "locator.onnx"
CANVAS = 320  # pixels a side, what both networks were trained on
STRIDES = (8, 16, 32)
OVERLAP = 0.5  # of the smaller box: unlike IoU this also drops a part of a face found as a face of its own
SMALLEST = 16.0  # pixels of the image given
MOST = 16
FINE = 576  # long side of the finer look: its tiles share 64 pixels, more than the faces it is there for
FINE_STEP = 256
LARGE = 64.0  # canvas pixels: a face this large makes the finer look unnecessary
FILLING = 0.5  # of the image's shorter side: what the look from further away is there for
YUNET_THRESHOLD = 0.6

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FoundFace:
    """One face: `box` is (x, y, width, height) in pixels and may reach past the edges of a tight crop;
    `landmarks` is float32 (5, 2): the eye at the image's left, the other eye, nose, the mouth's two corners;
    `confidence` is the network's own, 0 to 1.
    """

    box: tuple[float, float, float, float]
    landmarks: Floats | None
    confidence: float


class FaceFinder(Protocol):
    """Whoever can find faces."""

    def find(self, image: Image) -> list[FoundFace]:
        """Faces in uint8 (height, width, 3) upright RGB, largest first, at most `MOST`. Safe from many threads."""


@dataclass(frozen=True, slots=True)
class View:
    """Where a canvas lies on the image: canvas = (image - origin) * scale."""

    left: float
    top: float
    scale: float

    def see(self, image: Image) -> Image:
        """uint8 (320, 320, 3) of what the view covers; black where it reaches past the image."""
        reach = CANVAS / self.scale
        x0, y0 = max(0, round(self.left)), max(0, round(self.top))
        part = image[y0 : max(y0 + 1, round(self.top + reach)), x0 : max(x0 + 1, round(self.left + reach))]
        width, height = (min(CANVAS, max(1, round(side * self.scale))) for side in (part.shape[1], part.shape[0]))
        kernel = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
        x, y = (
            max(0, min(round((at - origin) * self.scale), CANVAS - side))
            for at, origin, side in ((x0, self.left, width), (y0, self.top, height))
        )
        canvas[y : y + height, x : x + width] = cv2.resize(part, (width, height), interpolation=kernel)
        return canvas


class NetworkFinder:
    """A network in YuNet's layout, looked through up to six views of the image."""

    def __init__(self, path: Path, threshold: float | None = None) -> None:
        """Load `path`; faces below `threshold` (0 to 1; the file's own when None) are not told. Raises ValueError when
        it is not a face network in YuNet's layout.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # callers bring their own threads; more here only fight them
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no public base class for its errors
            raise ValueError(f"{path} is not a readable ONNX file: {error}") from error
        self._names = [f"{kind}_{stride}" for stride in STRIDES for kind in ("cls", "obj", "bbox", "kps")]
        if not set(self._names) <= {output.name for output in self._session.get_outputs()}:
            raise ValueError(f"{path} is no face network: it lacks outputs of YuNet's layout")
        self._entry = self._session.get_inputs()[0].name
        pinned = self._session.get_modelmeta().custom_metadata_map
        self._threshold = float(pinned.get("threshold", YUNET_THRESHOLD)) if threshold is None else threshold

    def find(self, image: Image) -> list[FoundFace]:
        """See `FaceFinder.find`. A look at the whole image; a closer one where it found only small faces in a
        large image; one from further away, for a face that fills the picture, where it found none.
        """
        long = max(image.shape[:2])
        shrunk = min(1.0, FINE / long)
        reduced = image if shrunk == 1 else resized(image, shrunk)
        rows = self.look(reduced, centred(reduced, CANVAS))
        if long > CANVAS and not (len(rows) and rows[:, 2].max() * CANVAS / max(reduced.shape[:2]) >= LARGE):
            rows = np.concatenate([rows, *(self._look_closer(reduced, view) for view in tiles(reduced))])
        if not len(rows):
            rows = self.look(reduced, centred(reduced, CANVAS // 2))
            rows = rows[rows[:, 2:4].max(axis=1, initial=0) >= FILLING * min(reduced.shape[:2])]
        rows[:, :14] /= shrunk
        return largest(suppressed(rows))

    def _look_closer(self, image: Image, view: View) -> Floats:
        """As `look`, less what a tile's edge cuts, which a neighbour has whole, and what is so large that the look at
        the whole image should have seen it.
        """
        rows = self.look(image, view)
        low = (rows[:, :2] - (view.left, view.top)) * view.scale
        size = rows[:, 2:4] * view.scale
        return rows[((low >= 0) & (low + size <= CANVAS) & (size <= 2 * LARGE)).all(axis=1)]

    def look(self, image: Image, view: View) -> Floats:
        """float32 (n, 15) in the image's pixels: x, y, width, height, five landmarks, confidence."""
        blob = view.see(image)[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        outputs = self._session.run(self._names, {self._entry: blob})
        rows = decoded(dict(zip(self._names, outputs, strict=True)), self._threshold)
        rows[:, :14] /= view.scale
        rows[:, [0, 4, 6, 8, 10, 12]] += view.left
        rows[:, [1, 5, 7, 9, 11, 13]] += view.top
        return rows


def load(path: Path | None = None) -> FaceFinder:
    """The finder of `path` (a YuNet file or our locator), our own locator when None. Raises ValueError for a file
    that is no face network.
    """
    return NetworkFinder(path or LOCATOR)


def centred(image: Image, side: int) -> View:
    """The whole image, its long side made `side` canvas pixels, in the middle of the canvas."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    return View((width - CANVAS / scale) / 2, (height - CANVAS / scale) / 2, scale)


def tiles(image: Image) -> list[View]:
    """Overlapping views that cover the image at a long side of `FINE` canvas pixels."""
    height, width = image.shape[:2]
    scale = FINE / max(height, width)
    across, down = (1 + (side * scale > CANVAS) for side in (width, height))
    return [
        View(FINE_STEP * column / scale, FINE_STEP * row / scale, scale)
        for row in range(down)
        for column in range(across)
    ]


def decoded(outputs: dict[str, Floats], threshold: float) -> Floats:
    """float32 (n, 15): x, y, width, height, five (x, y) in canvas pixels and sqrt(cls * obj), which is `threshold` or
    more, as OpenCV's FaceDetectorYN reads them.
    """
    parts = []
    for stride in STRIDES:
        cls, obj, bbox, kps = (outputs[f"{kind}_{stride}"][0] for kind in ("cls", "obj", "bbox", "kps"))
        score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))[:, 0]
        told = np.flatnonzero(score >= threshold)
        cell = np.stack([told % (CANVAS // stride), told // (CANVAS // stride)], 1).astype(np.float32)
        size = np.exp(bbox[told, 2:])
        corner = cell + bbox[told, :2] - size / 2
        places = np.hstack([corner, size, kps[told] + np.tile(cell, 5)]) * stride
        parts.append(np.hstack([places, score[told, None]]))
    return np.concatenate(parts)


def suppressed(rows: Floats) -> Floats:
    """The rows, most confident first, less those that share over `OVERLAP` of the smaller box with a better one."""
    rows = rows[np.argsort(-rows[:, 14])]
    low, high = rows[:, :2], rows[:, :2] + rows[:, 2:4]
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    area = rows[:, 2] * rows[:, 3]
    doubled = shared.clip(0).prod(-1) > OVERLAP * np.minimum(area[:, None], area)
    kept: list[int] = []
    for index in range(len(rows)):
        if not doubled[index, kept].any():
            kept.append(index)
    return rows[kept]


def largest(rows: Floats) -> list[FoundFace]:
    """Faces of `SMALLEST` pixels and more, largest area first, at most `MOST`."""
    rows = rows[rows[:, 2:4].min(axis=1) >= SMALLEST]
    rows = rows[np.argsort(-rows[:, 2] * rows[:, 3])][:MOST]
    return [
        FoundFace(
            (float(x), float(y), float(w), float(h)),
            None if np.isnan(points).any() else points.reshape(5, 2),
            float(confidence),
        )
        for (x, y, w, h), points, confidence in zip(rows[:, :4], rows[:, 4:14], rows[:, 14], strict=True)
    ]


def resized(image: Image, scale: float) -> Image:
    """`image` at `scale` times its size, 1 or less, averaged over the pixels it loses."""
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
