"""The detector: the bytes of files in, one calibrated P(fake) or one reason for none each, in the same order.

`prepare` is the CPU's work (decode, find faces, cut them out) and may run in a thread while `judge` has the device
with the files before. It refuses to let one file change another's score, and to turn a failure into a score.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from formats import complexity
from formats.complexity import Bounds
from model import bands, clips, faces, occlusion, pixels, presentations, releases
from model.errors import BadImage, ReleaseError, TooComplex
from model.faces import FaceFinder, FoundFace
from model.panels import Panel
from model.pixels import Frame
from model.sandbox import Limits, PutOff, Sandbox
from model.traits import Traits
from model.videos import Budget

PUT_OFF = "put-off"  # the slug of a failure that says nothing of its file: there was no time left for it
_FACELESS = (bands.NO_FACE,)


@dataclass(frozen=True, slots=True)
class Face:
    """One face: `box` (x, y, width, height) in pixels of the upright image, its own P(fake), `quality` (size_px: the
    box's longer side; sharpness: variance of the crop's Laplacian; confidence: the finder's, 0 to 1; jpeg_quality: of
    a JPEG, as its tables say; distance: how unfamiliar the face is, 1 being the limit; spread: of the members' P(fake);
    photograph: P(this is a photograph); covered: the share of it that something hides; each only where it is known),
    and of a clip (a video or an animation) the `frame` it was seen in. `traits` are what can be kept of it, where
    `judge` was asked for them.
    """

    box: tuple[int, int, int, int]
    score: float
    quality: Mapping[str, float]
    frame: int = 0
    traits: Traits | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FrameScore:
    """One frame of a clip: its place in the sequence, its P(fake), and the seconds from the beginning at which it is
    shown; None for the pages of a TIFF.
    """

    index: int
    score: float
    time: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the detector says of one file. `band` is clear, review, fake or inconclusive; `reasons` are words for
    machines, never empty when inconclusive; `frames` is empty for a still image. Of a file with several parts (see
    `presentations`) all of it is the worst part's, which is number `part`. `faces_not_judged` are those that were found
    beyond the bound; with any, the band is not clear.
    """

    score: float
    band: str
    reasons: tuple[str, ...]
    faces: tuple[Face, ...]
    width: int
    height: int
    frames: tuple[FrameScore, ...] = ()
    part: int = 0
    faces_not_judged: int = 0

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
            "faces_not_judged": self.faces_not_judged,
            "width": self.width,
            "height": self.height,
            "frames": [{"index": frame.index, "time": frame.time, "score": frame.score} for frame in self.frames],
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file has no score: a stable `slug` for machines, `detail` for people."""

    slug: str
    detail: str


@dataclass(frozen=True, slots=True)
class Cut:
    """One picture on its way to the network, as one crop for each of the panel's cuttings: of a face whose `place` is
    the finder's own box, or of a whole frame when there is none. `place` is in pixels of the frame that was looked at,
    `box` in those of the file.
    """

    frame: int
    time: float | None
    crops: tuple[NDArray[np.uint8], ...]
    place: tuple[float, float, float, float] | None = None
    box: tuple[int, int, int, int] | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    part: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """One decoded file: width and height of its first frame, the crops of all its frames, faces largest first, what an
    onlooker (see `Detector.load`) made of each frame, and of each part width and height, and how many of its faces are
    too many to be judged.
    """

    width: int
    height: int
    cuts: tuple[Cut, ...]
    seen: tuple[Any, ...] = ()
    sizes: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    missed: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that is ready to be judged: per file a sheet, or the failure that it stays."""

    sheets: tuple[Sheet | Failure, ...]


@dataclass(frozen=True, slots=True)
class Vote:
    """What the networks said of one cut: P(fake), a word for what it looks like, and why it may not count."""

    cut: Cut
    score: float
    word: str
    quality: Mapping[str, float]
    doubts: tuple[str, ...]
    traits: Traits | None = None


class Detector:
    """A release, a face finder and a device. Its methods are safe from many threads."""

    def __init__(
        self,
        panel: Panel,
        finder: FaceFinder,
        threads: int,
        max_pixels: int,
        budget: Budget | None = None,
        onlooker: Callable[[Frame], Any] | None = None,
        bounds: Bounds | None = None,
        sandbox: Sandbox | None = None,
        max_jpeg_pixels: int = pixels.MAX_JPEG_PIXELS,
        most_faces: int = faces.MOST,
    ) -> None:
        self.release = panel.release
        self.panel = panel
        self.max_pixels = max_pixels
        self.max_jpeg_pixels = max_jpeg_pixels
        self.most_faces = most_faces
        self.budget = budget or Budget()
        self._onlooker = onlooker
        self._finder = finder
        self._bounds = bounds or Bounds()
        self._sandbox = sandbox
        # With a sandbox, threads wait for cells: more of them, so that slow files hold up nobody.
        self._pool = ThreadPoolExecutor(2 * threads + 4 if sandbox else threads, thread_name_prefix="prepare")

    @classmethod
    def load(
        cls,
        release: Path | None = None,
        device: str = "auto",
        face_model: Path | None = None,
        threads: int | None = None,
        max_pixels: int = pixels.MAX_PIXELS,
        budget: Budget | None = None,
        onlooker: Callable[[Frame], Any] | None = None,
        cache: Path | None = None,
        bounds: Bounds | None = None,
        limits: Limits | None = None,
        max_jpeg_pixels: int = pixels.MAX_JPEG_PIXELS,
        most_faces: int = faces.MOST,
    ) -> Detector:
        """A detector from the release in a directory (the shipped lite one when None) on `auto`, `cpu` or `cuda:N`,
        with the face network `face_model` in place of the release's own. `max_pixels` bounds images, `max_jpeg_pixels`
        JPEGs, `budget` clips, `most_faces` the faces of a picture that are judged; `cache` is where encoders lie.
        `onlooker` is called with each frame that is looked at, in `prepare`'s threads: whoever wants something else of
        the pixels need not decode them again. `bounds` are of the parts of a file. With `limits`, files are prepared by
        other processes, which are ended when they exceed them; `onlooker` is a function of a module then. Raises
        ReleaseError, EncoderError and DeviceError.
        """
        found = releases.read(release)
        threads = threads or len(os.sched_getaffinity(0))
        look = face_model or found.file(releases.FACES)
        try:
            finder = faces.load(look)
        except ValueError as error:
            raise ReleaseError(str(error)) from error
        panel = Panel.load(found, device, threads, cache)
        sandbox = None
        if limits is not None:
            from model import confined  # which is made of this module

            told = (
                found, panel.cuttings, look, max_pixels, budget or Budget(), onlooker, bounds or Bounds(),
                max_jpeg_pixels, most_faces,
            )  # fmt: skip
            sandbox = Sandbox(confined.make, told, threads, limits)
        return cls(panel, finder, threads, max_pixels, budget, onlooker, bounds, sandbox, max_jpeg_pixels, most_faces)

    def score(self, files: Sequence[bytes]) -> list[Judgement | Failure]:
        """One answer per file, in order. It never raises for a bad file."""
        return self.judge(self.prepare(files))

    def prepare(self, files: Sequence[bytes], until: float | None = None) -> Prepared:
        """Decode, find faces and cut them out, several files at a time. In a sandbox, files for which there is no time
        before `until` (of `time.monotonic`) are failures with the slug `PUT_OFF`.
        """
        return Prepared(tuple(self._pool.map(lambda content: self._prepared(content, until), files)))

    def apart(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """`function(detector, *arguments)` where files are prepared: in the sandbox, if there is one, with its limits
        and its errors.
        """
        if self._sandbox is None:
            return function(self, *arguments)
        return self._sandbox.call(function, *arguments)

    def _prepared(self, content: bytes, until: float | None) -> Sheet | Failure:
        if self._sandbox is None:
            return self.sheet(content)
        from model import confined  # which is made of this module

        try:
            prepared: Sheet | Failure = self._sandbox.call(confined.sheet, content, until=until)
        except BadImage as error:
            return Failure(error.slug, str(error))
        except PutOff:
            return Failure(PUT_OFF, "there was no time left for this file")
        return prepared

    def judge(self, prepared: Prepared, keep_features: bool = False) -> list[Judgement | Failure]:
        """Run the networks over all crops of the batch and judge each file by its own. With `keep_features`, each face
        carries its traits where the release has an encoder; that takes no second forward pass.
        """
        cuts = [cut for sheet in prepared.sheets if isinstance(sheet, Sheet) for cut in sheet.cuts]
        votes = iter(self._votes(cuts, keep_features))
        return [
            sheet if isinstance(sheet, Failure) else self._worst(sheet, [next(votes) for _ in sheet.cuts])
            for sheet in prepared.sheets
        ]

    def frames(self, content: bytes) -> Iterator[Frame]:
        """The frames of a file that are looked at: one of a still image, up to `budget.frames` of a clip, and those of
        whatever else it may show. Raises BadImage.
        """
        try:
            complexity.check(content, self._bounds)
        except complexity.TooComplex as error:
            raise TooComplex(str(error)) from error
        return presentations.frames(content, self.max_pixels, self.max_jpeg_pixels, self.budget)

    def sheet(self, content: bytes) -> Sheet | Failure:
        """One file, prepared here and now."""
        cuts: list[Cut] = []
        seen: list[Any] = []
        sizes: dict[int, tuple[int, int]] = {}
        missed: Counter[int] = Counter()
        try:
            for frame in self.frames(content):
                sizes.setdefault(frame.part, frame.size)
                found = self._finder.find(frame.pixels)
                missed[frame.part] += len(found[self.most_faces :])
                cuts += self._cuts(frame, found[: self.most_faces])
                if self._onlooker:
                    seen.append(self._onlooker(frame))
        except BadImage as error:
            return Failure(error.slug, str(error))
        return Sheet(*next(iter(sizes.values())), tuple(cuts), tuple(seen), sizes, dict(missed))

    def _cuts(self, frame: Frame, found: Sequence[FoundFace]) -> list[Cut]:
        index, time, part, cuttings = frame.index, frame.time, frame.part, self.panel.cuttings
        if not found:
            return [Cut(index, time, tuple(each.picture(frame.pixels) for each in cuttings), part=part)]
        return [
            Cut(index, time, seen, face.box, _clipped(face, frame), self._quality(face, seen[0], frame), part)
            for face in found
            for seen in [tuple(each.face(frame.pixels, face.box) for each in cuttings)]
        ]

    def _quality(self, face: FoundFace, crop: NDArray[np.uint8], frame: Frame) -> dict[str, float]:
        measured = _quality(face, crop, frame.jpeg_quality)
        if self.release.limits.covered < 1 and face.landmarks is not None:
            measured["covered"] = round(_covered(frame.pixels, face), 3)
        return measured

    def _votes(self, cuts: Sequence[Cut], keep_features: bool = False) -> list[Vote]:
        """What the panel says of each cut, calibrated, with what speaks against believing it."""
        said = self.panel.opinions([cut.crops for cut in cuts], keep_features)
        faced = np.array([cut.box is not None for cut in cuts], bool)
        scores = self.release.calibration.apply(np.where(faced, said.face, said.whole))
        measured = {"distance": said.distance, "photograph": said.photograph}
        if len(self.panel.seats) > 1 and self.panel.fusion is None:
            measured["spread"] = said.spread
        return [
            self._vote(
                cut,
                float(scores[row]),
                float(said.synthetic[row]),
                {name: float(values[row]) for name, values in measured.items()},
                said.traits[row] if said.traits else None,
            )
            for row, cut in enumerate(cuts)
        ]

    def _vote(
        self, cut: Cut, score: float, synthetic: float, measured: Mapping[str, float], traits: Traits | None
    ) -> Vote:
        known = {name: round(value, 3) for name, value in measured.items() if not math.isnan(value)}
        quality = {**cut.quality, **known}
        word = bands.MANIPULATED if synthetic <= 0.5 else bands.SYNTHETIC if synthetic > 0.5 else bands.FAKE_FACE
        doubts = bands.doubts(quality, self.release.limits) if cut.box else _FACELESS
        return Vote(cut, score, word, quality, doubts, traits)

    def _worst(self, sheet: Sheet, votes: Sequence[Vote]) -> Judgement:
        """The judgement of the part that is shown first, unless another one is more suspicious. A doubt about another
        part is none about this one: behind a good photo lies a second of blurred film.
        """
        parts = dict.fromkeys(vote.cut.part for vote in votes)
        worst, *others = (self._judgement(sheet, n, [vote for vote in votes if vote.cut.part == n]) for n in parts)
        for other in others:
            above = bands.SUSPICION[other.band] - bands.SUSPICION[worst.band]
            is_like = other.band == worst.band != bands.INCONCLUSIVE
            is_worse = above > 0 or (is_like and other.score > worst.score)
            if is_worse or (worst.band == bands.CLEAR and other.faces_not_judged):
                worst = other
        return worst

    def _judgement(self, sheet: Sheet, part: int, votes: Sequence[Vote]) -> Judgement:
        """The part's score is a robust maximum. One forged face makes a file fake, however many real ones stand
        beside it, so a mean would dilute it; but tiny, soft and strange faces score at random, so they count only where
        no other is; and of a clip's frames the best does not count by itself (see `clips`).
        """
        faced = any(vote.cut.box for vote in votes)
        scored = [vote for vote in votes if vote.cut.box or not faced]
        sound = [vote for vote in scored if not vote.doubts]
        voting = sound or scored
        by_frame: dict[int, float] = {}
        for vote in voting:
            by_frame[vote.cut.frame] = max(vote.score, by_frame.get(vote.cut.frame, 0.0))
        timeline = sorted(by_frame.items())
        score = clips.score([score for _, score in timeline])
        doubts = () if sound else tuple(dict.fromkeys(word for vote in scored for word in vote.doubts))
        missed = sheet.missed.get(part, 0)
        band = bands.band(score, self.release.thresholds, doubts)
        if missed and band in {bands.CLEAR, bands.INCONCLUSIVE}:
            band, doubts = bands.INCONCLUSIVE, (*doubts, bands.FACES_NOT_JUDGED)
        top = max(voting, key=lambda vote: vote.score)
        times = {vote.cut.frame: vote.cut.time for vote in votes}
        width, height = sheet.sizes.get(part, (sheet.width, sheet.height))
        return Judgement(
            score=score,
            band=band,
            reasons=doubts or (() if band == bands.CLEAR else (top.word,)),
            faces=tuple(
                Face(vote.cut.box, vote.score, vote.quality, vote.cut.frame, vote.traits)
                for vote in scored
                if vote.cut.box
            ),
            width=width,
            height=height,
            frames=tuple(FrameScore(index, score, times[index]) for index, score in timeline) if len(times) > 1 else (),
            part=part,
            faces_not_judged=missed,
        )


def _clipped(face: FoundFace, frame: Frame) -> tuple[int, int, int, int]:
    """The box in whole pixels of the file's picture, without what lies outside it."""
    x, y, width, height = (side * frame.shrunk for side in face.box)
    across, down = frame.size
    left, top = max(0, round(x)), max(0, round(y))
    right, bottom = min(across, round(x + width)), min(down, round(y + height))
    return left, top, right - left, bottom - top


def _covered(image: NDArray[np.uint8], face: FoundFace) -> float:
    """See `occlusion.covered`; of a piece of the picture around the face, and 0 where the landmarks make no face."""
    assert face.landmarks is not None
    x, y, width, height = face.box
    left, top = max(0, round(x - width / 2)), max(0, round(y - height / 2))
    piece = image[top : round(y + height * 1.5), left : round(x + width * 1.5)]
    try:
        return occlusion.covered(piece, face.landmarks - np.array([left, top], np.float32))
    except ValueError:
        return 0.0


def _quality(face: FoundFace, crop: NDArray[np.uint8], jpeg_quality: int | None) -> dict[str, float]:
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    measured = {
        "size_px": round(max(face.box[2], face.box[3]), 1),
        "sharpness": round(float(cv2.Laplacian(grey, cv2.CV_32F).var()), 2),
        "confidence": round(face.confidence, 3),
    }
    return measured if jpeg_quality is None else {**measured, "jpeg_quality": jpeg_quality}
