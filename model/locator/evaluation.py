"""How well a finder finds, on held-out images: recall by source and size, false faces, landmarks, and time.

The truth is the teacher's answer, so a figure here says how far a finder agrees with it; faces that the teacher
misses or doubts count neither for nor against anybody.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from model import faces, views
from model.locator import backdrops, photographs, questions, scenes, traits
from model.locator.photographs import Stock
from model.locator.questions import Question
from model.locator.teacher import SURE, Taught

MATCH = 0.5  # IoU
PROPOSED = 0.3  # confidence from which a locator's proposals get a second look
BANDS = ((16, 40), (40, 80), (80, 160), (160, 10_000), (40, 10_000))  # pixels, the root of a face's area


@dataclass(slots=True)
class Tally:
    """Counts of one finder under one heading."""

    images: int = 0
    truths: int = 0
    found: int = 0
    false: int = 0
    overlaps: list[float] = field(default_factory=list)
    astray: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float | int | None]:
        """Recall, false faces an image, and medians of IoU and of the landmarks' error in face sizes, of what was
        found; None where there was nothing to measure.
        """
        return {
            "images": self.images,
            "faces": self.truths,
            "recall": round(self.found / self.truths, 4) if self.truths else None,
            "false_per_image": round(self.false / self.images, 4) if self.images else None,
            "median_iou": round(statistics.median(self.overlaps), 3) if self.overlaps else None,
            "median_landmark_error": round(statistics.median(self.astray), 3) if self.astray else None,
        }


def ask(finder: faces.FaceFinder, asked: Iterable[Question]) -> dict[str, Tally]:
    """`finder`'s answers to `asked`, by what they are counted under and by size of face: "all: 16-40 px" over the
    images as they are, "afar: ..." and others over those made of them; and images as they are by "light: ...", "pose:
    ..." and "tone: ...".
    """
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    for name, image, rows in asked:
        answers = finder.find(image)
        boxes = np.array([face.box for face in answers], np.float32).reshape(-1, 4)
        sure = rows[rows[:, 14] >= SURE]
        tally = tallies[name]
        tally.images += 1
        tally.false += int((overlaps(boxes, rows[:, :4]).max(1, initial=0) < 0.3).sum())
        for truth, row in zip(overlaps(sure[:, :4], boxes), sure, strict=True):
            for counted in (tally, *(tallies[heading] for heading in _headings(name, image, row))):
                counted.truths += 1
                if truth.max(initial=0) >= MATCH:
                    counted.found += 1
                    counted.overlaps.append(float(truth.max()))
                    counted.astray += _astray(answers[int(truth.argmax())], row)
    return dict(tallies)


def _headings(name: str, image: views.Image, row: faces.Floats) -> list[str]:
    """What else a face of `row` is counted under: its size, and in images as they are its light, pose and tone."""
    size = float(np.sqrt(row[2] * row[3]))
    as_it_is = name not in (questions.FAR, questions.SCENES, *questions.HARD, *questions.LARGE)
    made = "all" if as_it_is else name
    bands = [f"{made}: {least}-{most} px" for least, most in BANDS if least <= size < most]
    return bands + (traits.traits(image, row) if as_it_is else [])


def _astray(face: faces.FoundFace, row: faces.Floats) -> list[float]:
    if face.landmarks is None:
        return []
    return [float(np.linalg.norm(face.landmarks - row[4:14].reshape(5, 2), axis=1).mean() / np.sqrt(row[2] * row[3]))]


class HaarFinder:
    """OpenCV's frontal cascade, the yardstick below: no landmarks, and a confidence that only orders its answers."""

    def __init__(self) -> None:
        folder = cv2.data.haarcascades  # type: ignore[attr-defined]  # missing from its stubs
        self._cascade = cv2.CascadeClassifier(folder + "haarcascade_frontalface_default.xml")
        self._turn = threading.Lock()  # a cascade keeps state while it runs

    def find(self, image: views.Image) -> list[faces.FoundFace]:
        """See `faces.FaceFinder.find`."""
        scale = min(1.0, views.FINE / max(image.shape[:2]))
        grey = cv2.cvtColor(views.resized(image, scale), cv2.COLOR_RGB2GRAY)
        with self._turn:
            boxes, _, weights = self._cascade.detectMultiScale3(grey, 1.1, 5, minSize=(16, 16), outputRejectLevels=True)
        return [
            faces.FoundFace((x / scale, y / scale, w / scale, h / scale), None, float(1 / (1 + np.exp(-weight))))
            for (x, y, w, h), weight in zip(boxes, weights, strict=True)
        ]


def overlaps(first: faces.Floats, second: faces.Floats) -> NDArray[np.float32]:
    """IoU float32 (n, m) of (n, 4) and (m, 4) boxes x, y, width, height."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    shared = (high - low).clip(0).prod(-1)
    area = first[:, 2:].prod(-1)[:, None] + second[:, 2:].prod(-1)[None] - shared
    return np.asarray(shared / np.maximum(area, 1e-6), np.float32)


def threshold(
    finder: faces.NetworkFinder,
    taught: list[Taught],
    pictures: list[views.Image],
    at_most: float = 0.01,
    count: int = 600,
) -> float:
    """The least confidence, of 0.40 to 0.80 in steps of 0.02, that leaves `at_most` false faces a picture: on scenes
    made like those of training, on their backgrounds, and on `pictures` as they are; nothing held out is looked at.
    `finder` must tell all from 0.4.
    """
    rng = np.random.default_rng(questions.SEED + 2)
    lessons = [one for one in taught if not one.held_out and len(one.sure)]
    stock = Stock(pictures, [])
    false: list[float] = []
    for turn in range(count):
        if turn % 4 < 2:
            scene = scenes.compose(rng, lessons, stock, views.CANVAS)
        elif turn % 4 == 2:
            scene = scenes.Scene(backdrops.backdrop(rng, stock, lessons, views.CANVAS))
        else:
            scene = scenes.Scene(pictures[rng.integers(len(pictures))])
        found = finder.find(scene.image)
        boxes = np.array([face.box for face in found], np.float32).reshape(-1, 4)
        alone = overlaps(boxes, scene.rows[:, :4]).max(1, initial=0) < 0.3
        false += [face.confidence for face, lonely in zip(found, alone, strict=True) if lonely]
    steps = np.arange(0.4, 0.8, 0.02)
    return float(next((step for step in steps if sum(one >= step for one in false) <= at_most * count), 0.8))


def settle(path: Path, taught: list[Taught], pictures: list[views.Image]) -> float:
    """Pin in the metadata of the locator file at `path` from what confidence faces get a second look, and are told;
    returns the latter.
    """
    found = threshold(faces.NetworkFinder(path, 0.4, PROPOSED), taught, pictures)
    graph = onnx.load(path)
    pinned = {entry.key: entry.value for entry in graph.metadata_props}
    pinned |= {"threshold": f"{found:.2f}", "proposed": f"{PROPOSED:.2f}"}
    onnx.helper.set_model_props(graph, pinned)
    onnx.save(graph, path)
    return found


def milliseconds(finder: faces.FaceFinder, repeats: int = 30) -> float:
    """Median time of one 320-pixel image with a face in it, OpenCV held to one thread."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    image = photographs.samples(("astronaut.png",))[0][:320, 64:384].copy()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        finder.find(image)
        times.append(time.perf_counter() - start)
    cv2.setNumThreads(threads)
    return statistics.median(times) * 1000
