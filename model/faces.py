"""Finding faces: boxes and five landmarks in the pixels of the image given, whatever its size.

One decoder serves every network in YuNet's output layout (per stride 8, 16 and 32: ``cls``, ``obj``, ``bbox``,
``kps``; BGR 0..255 in), so an operator's YuNet file and our own locator are read alike. The pixels are upright RGB:
EXIF rotation is undone by whoever decodes. It does not recognise, align or judge anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model.views import BESIDE, CANVAS, FINE, Image, View, centred, close, mosaic, resized, tiles

LOCATOR = Path(__file__).parent / "locator" / "locator.onnx"
STRIDES = (8, 16, 32)
OVERLAP = 0.5  # of the smaller box: unlike IoU this also drops a part of a face found as a face of its own
SMALLEST = 16.0  # pixels of the image given
MOST = 16
LARGE = 64.0  # canvas pixels: a face this long makes the finer look unnecessary
SURE = 0.8  # confidence that needs no second look
SAME = 0.4  # IoU of what both looks found
FILLING = 0.5  # of the image's shorter side: what the look from further away is there for
YUNET_THRESHOLD = 0.6
AT_ONCE = {"CUDAExecutionProvider": 64, "CPUExecutionProvider": 4}  # canvases a run, the preferred provider first

Floats = NDArray[np.float32]
Look = tuple[Image, View]


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


class NetworkFinder:
    """A network in YuNet's layout, looked through up to six views of the image."""

    def __init__(self, path: Path, threshold: float | None = None, proposed: float | None = None) -> None:
        """Load `path`; faces below `threshold` (0 to 1) are not told. From `proposed` up to `SURE` they get a second
        look, and the mean of both looks is their confidence; none do where it is None. Both are the file's own where no
        threshold is given. Raises ValueError when it is not a face network in YuNet's layout.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # callers bring their own threads; more here only fight them
        providers = [name for name in AT_ONCE if name in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        except Exception as error:  # onnxruntime has no public base class for its errors
            raise ValueError(f"{path} is not a readable ONNX file: {error}") from error
        self._names = [f"{kind}_{stride}" for stride in STRIDES for kind in ("cls", "obj", "bbox", "kps")]
        if not set(self._names) <= {output.name for output in self._session.get_outputs()}:
            raise ValueError(f"{path} is no face network: it lacks outputs of YuNet's layout")
        entry = self._session.get_inputs()[0]
        self._entry = entry.name
        one_only = entry.shape[0] == 1  # YuNet's published files
        self._at_once = 1 if one_only else AT_ONCE[self._session.get_providers()[0]]
        pinned = self._session.get_modelmeta().custom_metadata_map
        if threshold is None:
            threshold = float(pinned.get("threshold", YUNET_THRESHOLD))
            proposed = float(pinned["proposed"]) if "proposed" in pinned else None
        self._threshold = threshold
        self._proposed = threshold if proposed is None else proposed

    def find(self, image: Image) -> list[FoundFace]:
        """See `FaceFinder.find`."""
        return self.find_many([image])[0]

    def find_many(self, images: Sequence[Image]) -> list[list[FoundFace]]:
        """What `find` says of each image, several canvases a run. A look at the whole image; closer ones where it found
        only small faces in a large image; one from further away, for a face that fills the picture, where none was.
        """
        shrunk = [min(1.0, FINE / max(image.shape[:2])) for image in images]
        reduced = [image if scale == 1 else resized(image, scale) for image, scale in zip(images, shrunk, strict=True)]
        found = self._looks([(image, centred(image, CANVAS)) for image in reduced])
        small = [
            number
            for number, (image, rows) in enumerate(zip(reduced, found, strict=True))
            if max(image.shape[:2]) > CANVAS and rows[:, 2:4].max(initial=0) * CANVAS / max(image.shape[:2]) < LARGE
        ]
        closer = [(number, view) for number in small for view in tiles(reduced[number])]
        looks = self._looks([(reduced[number], view) for number, view in closer], uncut)
        for (number, _), rows in zip(closer, looks, strict=True):
            found[number] = np.concatenate([found[number], rows])
        none = [number for number, rows in enumerate(found) if not len(rows)]
        looks = self._looks([(reduced[number], centred(reduced[number], CANVAS // 2)) for number in none], filling)
        for number, rows in zip(none, looks, strict=True):
            found[number] = rows
        for rows, scale in zip(found, shrunk, strict=True):
            rows[:, :14] /= scale
        return [largest(suppressed(rows)) for rows in found]

    def look(self, image: Image, view: View) -> Floats:
        """float32 (n, 15) in the image's pixels: x, y, width, height, five landmarks, confidence."""
        return self._looks([(image, view)])[0]

    def _looks(self, looks: Sequence[Look], kept: Callable[[Floats, Look], Floats] | None = None) -> list[Floats]:
        """`look` for each pair of an image and a view, of the first look's rows only those that `kept` leaves."""
        outputs = self._run([view.see(image) for image, view in looks])
        found = [
            placed(decoded(answers, self._proposed), view) for answers, (_, view) in zip(outputs, looks, strict=True)
        ]
        if kept:
            found = [kept(rows, look) for rows, look in zip(found, looks, strict=True)]
        if self._proposed == self._threshold:
            return found
        found = [suppressed(rows)[:MOST] for rows in found]
        fours = [
            (image, rows, some[start : start + 4])
            for rows, (image, _) in zip(found, looks, strict=True)
            for some in [np.flatnonzero(rows[:, 14] < SURE)]
            for start in range(0, len(some), 4)
        ]
        self._look_again(fours)
        return [rows[rows[:, 14] >= self._threshold] for rows in found]

    def _look_again(self, fours: Sequence[tuple[Image, Floats, NDArray[np.intp]]]) -> None:
        """Make the confidence of the rows at up to four indices of each image the mean of what it was and what the
        network says where it sees each of them alone and at one size; 0 where it finds nothing in its place. Images do
        not share a canvas, so that an answer does not depend on who else asks.
        """
        laid = [[close(rows[at, :4]) for at in four] for _, rows, four in fours]
        canvases = [
            mosaic([view.see(image, BESIDE) for view in views])
            for (image, _, _), views in zip(fours, laid, strict=True)
        ]
        for (_, rows, four), views, answers in zip(fours, laid, self._run(canvases), strict=True):
            again = decoded(answers, 0.05)
            for place, (at, view) in enumerate(zip(four, views, strict=True)):
                corner = np.array([place % 2, place // 2]) * BESIDE
                box = np.concatenate([(rows[at, :2] - (view.left, view.top)) * view.scale + corner,
                                      rows[at, 2:4] * view.scale])  # fmt: skip
                rows[at, 14] = (rows[at, 14] + again[alike(box, again) >= SAME, 14].max(initial=0)) / 2

    def _run(self, canvases: Sequence[Image]) -> list[dict[str, Floats]]:
        """The network's outputs for each canvas, uint8 (320, 320, 3) RGB."""
        answers = []
        for start in range(0, len(canvases), self._at_once):
            some = np.stack(canvases[start : start + self._at_once])
            blob = np.ascontiguousarray(some[..., ::-1].transpose(0, 3, 1, 2), np.float32)
            outputs = self._session.run(self._names, {self._entry: blob})
            answers += [dict(zip(self._names, each, strict=True)) for each in zip(*outputs, strict=True)]
        return answers


def load(path: Path | None = None) -> FaceFinder:
    """The finder of `path` (a YuNet file or our locator), our own locator when None. Raises ValueError for a file
    that is no face network.
    """
    return NetworkFinder(path or LOCATOR)


def placed(rows: Floats, view: View) -> Floats:
    """`rows` of the canvas in the pixels of the image that `view` lies on."""
    rows[:, :14] /= view.scale
    rows[:, [0, 4, 6, 8, 10, 12]] += view.left
    rows[:, [1, 5, 7, 9, 11, 13]] += view.top
    return rows


def uncut(rows: Floats, look: Look) -> Floats:
    """`rows` less what the edge of a tile cuts, which a neighbour has whole, and what is so large that the look at the
    whole image should have seen it.
    """
    view = look[1]
    low = (rows[:, :2] - (view.left, view.top)) * view.scale
    size = rows[:, 2:4] * view.scale
    return rows[((low >= 0) & (low + size <= CANVAS) & (size <= 2 * LARGE)).all(axis=1)]


def filling(rows: Floats, look: Look) -> Floats:
    """`rows` that fill the picture, for which one looks from further away."""
    filled: Floats = rows[rows[:, 2:4].max(axis=1, initial=0) >= FILLING * min(look[0].shape[:2])]
    return filled


def alike(box: Floats, rows: Floats) -> Floats:
    """IoU float32 (n,) of `box` (4,) and the boxes of `rows`."""
    low, high = np.maximum(rows[:, :2], box[:2]), np.minimum(rows[:, :2] + rows[:, 2:4], box[:2] + box[2:])
    shared = (high - low).clip(0).prod(1)
    return np.asarray(shared / (rows[:, 2:4].prod(1) + box[2:].prod() - shared), np.float32)


def decoded(outputs: dict[str, Floats], threshold: float) -> Floats:
    """float32 (n, 15) of one canvas's outputs, (cells, 1 | 4 | 10) each: x, y, width, height, five (x, y) in canvas
    pixels and sqrt(cls * obj), which is `threshold` or more, as OpenCV's FaceDetectorYN reads them.
    """
    parts = []
    for stride in STRIDES:
        cls, obj, bbox, kps = (outputs[f"{kind}_{stride}"] for kind in ("cls", "obj", "bbox", "kps"))
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
