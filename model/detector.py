"""The detector: the bytes of files in, one calibrated P(fake) or one reason for none each, in the same order.

`prepare` is the CPU's work (decode, find faces, cut them out) and may run in a thread while `judge` has the device
with the files before. It refuses to let one file change another's score, and to turn a failure into a score.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model import backends, bands, crops, faces, pixels, releases
from model.backends import Backend
from model.errors import BadImage, ReleaseError
from model.faces import FaceFinder, FoundFace
from model.heads import HEADS, fake_logit
from model.releases import Release

AT_ONCE = 64  # crops a forward pass: more is not faster on a CPU and would only cost memory


@dataclass(frozen=True, slots=True)
class Face:
    """One face: `box` (x, y, width, height) in pixels of the upright image, its own P(fake), `quality` (size_px: the
    box's longer side; sharpness: variance of the crop's Laplacian; confidence: the finder's), and of an animation
    the `frame` it was seen in.
    """

    box: tuple[int, int, int, int]
    score: float
    quality: Mapping[str, float]
    frame: int = 0


@dataclass(frozen=True, slots=True)
class FrameScore:
    """One frame of an animation: its place in the sequence and its P(fake)."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the detector says of one file. `band` is clear, review, fake or inconclusive; `reasons` are words for
    machines, never empty when inconclusive; `frames` is empty for a still image.
    """

    score: float
    band: str
    reasons: tuple[str, ...]
    faces: tuple[Face, ...]
    width: int
    height: int
    frames: tuple[FrameScore, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same in lists, numbers and words that JSON can carry."""
        return {
            "score": self.score,
            "band": self.band,
            "reasons": list(self.reasons),
            "faces": [
                {"box": list(face.box), "score": face.score, "quality": dict(face.quality), "frame": face.frame}
                for face in self.faces
            ],
            "width": self.width,
            "height": self.height,
            "frames": [{"index": frame.index, "score": frame.score} for frame in self.frames],
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file has no score: a stable `slug` for machines, `detail` for people."""

    slug: str
    detail: str


@dataclass(frozen=True, slots=True)
class Cut:
    """One crop on its way to the network: of a face, or of a whole frame when `box` is None."""

    frame: int
    crop: NDArray[np.uint8]
    box: tuple[int, int, int, int] | None = None
    quality: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One decoded file: the size of its first frame and the crops of all its frames, faces largest first."""

    width: int
    height: int
    cuts: tuple[Cut, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that is ready to be judged: per file a sheet, or the failure that it stays."""

    sheets: tuple[Sheet | Failure, ...]


class Detector:
    """A release, a face finder and a device. Its methods are safe from many threads."""

    def __init__(self, release: Release, backend: Backend, finder: FaceFinder, threads: int, max_pixels: int) -> None:
        self.release = release
        self.backend = backend
        self._finder, self._max_pixels = finder, max_pixels
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="prepare")

    @classmethod
    def load(
        cls,
        release: Path | None = None,
        device: str = "auto",
        face_model: Path | None = None,
        threads: int | None = None,
        max_pixels: int = pixels.MAX_PIXELS,
    ) -> Detector:
        """A detector from the release in a directory (the shipped one when None) on `auto`, `cpu` or `cuda:N`, with
        the face network `face_model` in place of the release's own. Raises ReleaseError and DeviceError.
        """
        found = releases.read(release)
        threads = threads or len(os.sched_getaffinity(0))
        try:
            finder = faces.load(face_model or found.file(releases.FACES))
        except ValueError as error:
            raise ReleaseError(str(error)) from error
        return cls(found, backends.start(found, device, threads), finder, threads, max_pixels)

    def score(self, files: Sequence[bytes]) -> list[Judgement | Failure]:
        """One answer per file, in order. It never raises for a bad file."""
        return self.judge(self.prepare(files))

    def prepare(self, files: Sequence[bytes]) -> Prepared:
        """Decode, find faces and cut them out, several files at a time."""
        return Prepared(tuple(self._pool.map(self._sheet, files)))

    def judge(self, prepared: Prepared) -> list[Judgement | Failure]:
        """Run the network over all crops of the batch and judge each file by its own."""
        stack = [cut.crop for sheet in prepared.sheets if isinstance(sheet, Sheet) for cut in sheet.cuts]
        logits = iter(self.logits(stack))
        return [
            sheet if isinstance(sheet, Failure) else self._judgement(sheet, [next(logits) for _ in sheet.cuts])
            for sheet in prepared.sheets
        ]

    def logits(self, stack: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """float32 (n, 2): the network's two logits of each crop, uncalibrated."""
        parts = [
            self.backend.forward(np.stack(stack[start : start + AT_ONCE])) for start in range(0, len(stack), AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(HEADS)), np.float32)

    def _sheet(self, content: bytes) -> Sheet | Failure:
        cuts: list[Cut] = []
        height = width = 0
        try:
            for frame in pixels.decode(content, self._max_pixels):
                height, width = (height, width) if cuts else frame.pixels.shape[:2]
                cuts += self._cuts(frame)
        except BadImage as error:
            return Failure(error.slug, str(error))
        return Sheet(width, height, tuple(cuts))

    def _cuts(self, frame: pixels.Frame) -> list[Cut]:
        steps = self.release.preprocessing
        found = self._finder.find(frame.pixels)
        if not found:
            return [Cut(frame.index, crops.whole(frame.pixels, steps.size))]
        return [
            Cut(frame.index, crop, _clipped(face, frame.pixels), _quality(face, crop))
            for face in found
            for crop in [crops.square(frame.pixels, face.box, steps.margin, steps.size)]
        ]

    def _judgement(self, sheet: Sheet, logits: Sequence[NDArray[np.float32]]) -> Judgement:
        """The file's score is a robust maximum. One forged face makes a file fake, however many real ones stand
        beside it, so a mean would dilute it; but tiny and soft faces score at random, so they count only where no
        other is; and over an animation the better half of the frames is averaged, since one bad frame is noise.
        """
        faced = any(cut.box for cut in sheet.cuts)
        scored = [
            (cut, float(self.release.calibration.apply(fake_logit(pair) if cut.box else pair[1])), pair)
            for cut, pair in zip(sheet.cuts, logits, strict=True)
            if cut.box or not faced
        ]
        sound = [entry for entry in scored if not self._doubts(entry[0])]
        voting = sound or scored
        by_frame: dict[int, float] = {}
        for cut, score, _ in voting:
            by_frame[cut.frame] = max(score, by_frame.get(cut.frame, 0.0))
        ranked = sorted(by_frame.values(), reverse=True)
        score = float(np.mean(ranked[: (len(ranked) + 1) // 2]))
        doubts = () if sound else tuple(dict.fromkeys(word for entry in scored for word in self._doubts(entry[0])))
        band = bands.band(score, self.release.thresholds, doubts)
        top = max(voting, key=lambda entry: entry[1])[2]
        return Judgement(
            score=score,
            band=band,
            reasons=doubts or (() if band == bands.CLEAR else (_word(top),)),
            faces=tuple(Face(cut.box, p, cut.quality or {}, cut.frame) for cut, p, _ in scored if cut.box),
            width=sheet.width,
            height=sheet.height,
            frames=tuple(FrameScore(*pair) for pair in sorted(by_frame.items()))
            if len({cut.frame for cut in sheet.cuts}) > 1
            else (),
        )

    def _doubts(self, cut: Cut) -> tuple[str, ...]:
        if cut.box is None or cut.quality is None:
            return (bands.NO_FACE,)
        limits = self.release.limits
        if cut.quality["size_px"] < limits.face_pixels:
            return (bands.FACE_TOO_SMALL,)
        return (bands.LOW_QUALITY,) if cut.quality["sharpness"] < limits.sharpness else ()


def _word(logits: NDArray[np.float32]) -> str:
    return "manipulated_face" if logits[0] >= logits[1] else "synthetic_image"


def _clipped(face: FoundFace, image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The box in whole pixels, without what lies outside the image."""
    x, y, width, height = face.box
    left, top = max(0, round(x)), max(0, round(y))
    right, bottom = min(image.shape[1], round(x + width)), min(image.shape[0], round(y + height))
    return left, top, right - left, bottom - top


def _quality(face: FoundFace, crop: NDArray[np.uint8]) -> dict[str, float]:
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return {
        "size_px": round(max(face.box[2], face.box[3]), 1),
        "sharpness": round(float(cv2.Laplacian(grey, cv2.CV_32F).var()), 2),
        "confidence": round(face.confidence, 3),
    }
