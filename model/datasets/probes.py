"""Classifiers that must fail: they see what should say nothing of the label.

Each is a logistic regression, cross-validated by component. The metadata of the files as stored may tell the label,
since training equalises them; after `augmentations.equalise`, which is what a network sees, neither the size of the
coded crop, nor its border, nor its 8 x 8 thumbnail may. It refuses to be trained and tested on one component.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from model import augmentations, crops, metrics, pixels
from model.datasets.manifest import Row
from model.faces import FaceFinder

FOLDS = 5
SHUFFLES = 8
SIDE = 160  # pixels of an equalised crop
_CELLS = 16  # of a crop's side, whose outermost make its border
_THUMBNAIL = 8
_VIEW = 224  # pixels of a face before it is equalised
_STRENGTH = 0.01  # of the regression, inverse: a few hundred files, up to two hundred features
_QUALITY = 75

Floats = NDArray[np.float64]
Crop = NDArray[np.uint8]


def metadata(rows: Sequence[Row]) -> Floats:
    """float64 (n, features): format, sides, bytes and quality of the stored files."""
    forms = sorted({row.format for row in rows})
    return np.array([
        [
            math.log(row.width), math.log(row.height), math.log(row.bytes),
            math.log(row.bytes / (row.width * row.height)), row.jpeg_quality or 0,
            *(row.format == form for form in forms),
        ]
        for row in rows
    ], np.float64)  # fmt: skip


def equalised(content: bytes, finder: FaceFinder, chance: np.random.Generator) -> Crop:
    """uint8 (160, 160, 3): the largest face, or the middle where there is none, as training would show it."""
    image = next(pixels.decode(content)).pixels
    found = finder.find(image)
    view = crops.square(image, found[0].box, crops.MARGIN, _VIEW) if found else crops.whole(image, _VIEW)
    return np.asarray(augmentations.equalise(view, SIDE, chance), np.uint8)


def coded_size(shown: Sequence[Crop]) -> Floats:
    """float64 (n, 2): log bytes of each crop as JPEG and as PNG: all that is left of a file's metadata."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    sizes = [[cv2.imencode(".jpg", crop, settings)[1].size, cv2.imencode(".png", crop)[1].size] for crop in shown]
    return np.log(np.array(sizes, np.float64))


def border(shown: Sequence[Crop]) -> Floats:
    """float64 (n, 180): the outermost of 16 x 16 cells of each crop."""
    inner = np.zeros((_CELLS, _CELLS), bool)
    inner[1:-1, 1:-1] = True
    return np.stack([_shrunk(crop, _CELLS)[~inner].ravel() for crop in shown])


def thumbnail(shown: Sequence[Crop]) -> Floats:
    """float64 (n, 192): 8 x 8 pixels of each crop."""
    return np.stack([_shrunk(crop, _THUMBNAIL).ravel() for crop in shown])


def _shrunk(crop: Crop, side: int) -> Floats:
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), np.float64)


def auc(features: Floats, labels: NDArray[np.int64], groups: Sequence[str], seed: int = 0) -> float:
    """Mean AUC over folds that part no group; NaN where fewer than two folds have both classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names, member = np.unique(np.asarray(groups), return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[member]
    found = []
    for asked in (fold == number for number in range(FOLDS)):
        if all(len(np.unique(labels[part])) == 2 for part in (asked, ~asked)):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, max_iter=2000))
            model.fit(features[~asked], labels[~asked])
            found.append(metrics.auc(np.asarray(model.decision_function(features[asked])), labels[asked]))
    return float(np.mean(found)) if len(found) > 1 else math.nan


def shuffled(features: Floats, labels: NDArray[np.int64], groups: Sequence[str], seed: int = 0) -> float:
    """Mean AUC over labels dealt anew: half, or the measuring itself leaks. NaN where no deal could be measured."""
    chance = np.random.default_rng(seed)
    found = [auc(features, chance.permutation(labels), groups, deal) for deal in range(SHUFFLES)]
    told = [figure for figure in found if not math.isnan(figure)]
    return float(np.mean(told)) if told else math.nan


def drawn(rows: Sequence[Row], most: int, seed: int = 0) -> list[Row]:
    """At most `most` rows, of as many components as there are: one of each before a second of any."""
    chance = np.random.default_rng(seed)
    order = [rows[index] for index in chance.permutation(len(rows))]
    seen: dict[str, int] = {}
    turns = []
    for row in order:
        seen[row.component] = turn = seen.get(row.component, 0) + 1
        turns.append(turn)
    return [order[index] for index in np.argsort(turns, kind="stable")[:most]]


def show(
    rows: Sequence[Row], read: Callable[[Row], bytes], finder: FaceFinder, done: Callable[[], object]
) -> list[Crop]:
    """The equalised crop of each row; the equaliser's chance is the same at every check."""
    shown = []
    for number, row in enumerate(rows):
        shown.append(equalised(read(row), finder, np.random.default_rng(number)))
        done()
    return shown
