"""Finding faces: boxes and five landmarks in the pixels of the image given, whatever its size.

One decoder serves every network in YuNet's output layout (per stride 8, 16 and 32: ``cls``, ``obj``, ``bbox``,
``kps``; BGR 0..255 in), so an operator's YuNet file and our own locator are read alike. The pixels are upright RGB:
EXIF rotation is undone by whoever decodes. It does not recognise, align or judge anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model import views
from model.rows import STRIDES, Floats, alike, decoded, placed, suppressed
from model.searches import Look, Search
from model.views import BESIDE, CANVAS, Image, View, centred, close, mosaic

__all__ = [
    "AT_ONCE", "LIMIT", "LOCATOR", "MOST", "STRIDES", "SURE", "YUNET_THRESHOLD", "FaceFinder", "Floats", "FoundFace",
    "NetworkFinder", "alike", "decoded", "largest", "load", "placed", "suppressed",
]  # fmt: skip

LOCATOR = Path(__file__).parent / "locator" / "locator.onnx"
MOST = 64  # faces of a picture that are judged, unless a setting says otherwise
LIMIT = 256  # faces of a picture that are found at all
PROPOSALS = 64  # of one look
SURE = 0.8  # confidence that needs no second look
SAME = 0.4  # IoU of what both looks found
YUNET_THRESHOLD = 0.6
AT_ONCE = {"CUDAExecutionProvider": 64, "CPUExecutionProvider": 4}  # canvases a run, the preferred provider first


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
        """Faces in uint8 (height, width, 3) upright RGB, largest first. Safe from many threads.

        There are at most `LIMIT`, or fewer where the finder was loaded with a bound of its own. Judge the first `MOST`
        and count the rest.
        """


class NetworkFinder:
    """A network in YuNet's layout. It looks at an image through one to some 170 views (see `views.scales`)."""

    def __init__(
        self, path: Path, threshold: float | None = None, proposed: float | None = None, most: int = LIMIT
    ) -> None:
        """Load `path`; faces below `threshold` (0 to 1) are not told, nor more than `most` faces of an image. From
        `proposed` up to `SURE` they get a second look, and the mean of both looks is their confidence; none do where it
        is None. Both are the file's own where no threshold is given. Raises ValueError when it is not a face network in
        YuNet's layout.
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
        self._most = most
        self._threshold = threshold
        self._proposed = threshold if proposed is None else proposed

    def find(self, image: Image) -> list[FoundFace]:
        """See `FaceFinder.find`."""
        return self.find_many([image])[0]

    def find_many(self, images: Sequence[Image]) -> list[list[FoundFace]]:
        """What `find` says of each image, several canvases a run. A look at the whole image; closer ones while only
        small faces were found in a large image; where none was found, one from further away, for a face that fills the
        picture; and where there is still none in a dark picture, the same looks at a brightened one.
        """
        searches = [Search(image) for image in images]
        self._take(searches, [[Look(each.reduced, centred(each.reduced, CANVAS))] for each in searches])
        going = [each for each in searches if each.goes_on()]
        while going:
            self._take(going, [each.closer() for each in going])
            going = [each for each in going if each.goes_on()]
        none = [each for each in searches if not len(each.rows)]
        self._take(none, [[each.further()] for each in none])
        none = [each for each in none if not len(each.rows)]
        self._take(none, [each.lifted() for each in none])
        return [largest(suppressed(each.rows), self._most) for each in searches]

    def _take(self, searches: Sequence[Search], looks: Sequence[Sequence[Look]]) -> None:
        """Look through `looks`, a list for each of `searches`, and add what is found to it."""
        pairs = [(search, look) for search, laid in zip(searches, looks, strict=True) for look in laid]
        for (search, look), rows in zip(pairs, self._looks([look for _, look in pairs]), strict=True):
            search.add(look, rows)

    def look(self, image: Image, view: View) -> Floats:
        """float32 (n, 15) in the image's pixels: x, y, width, height, five landmarks, confidence."""
        return self._looks([Look(image, view)])[0]

    def _looks(self, looks: Sequence[Look]) -> list[Floats]:
        """`look` for each of `looks`; of the first look's rows only those that it keeps."""
        outputs = self._run([look.view.see(look.image) for look in looks])
        found = [
            placed(decoded(answers, self._proposed), look.view) for answers, look in zip(outputs, looks, strict=True)
        ]
        found = [look.keep(rows) if look.keep else rows for rows, look in zip(found, looks, strict=True)]
        if self._proposed == self._threshold:
            return found
        found = [suppressed(rows)[:PROPOSALS] for rows in found]
        fours = [
            (look.image, rows, some[start : start + 4])
            for rows, look in zip(found, looks, strict=True)
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
            mosaic([view.see(image, BESIDE) for view in pieces])
            for (image, _, _), pieces in zip(fours, laid, strict=True)
        ]
        for (_, rows, four), pieces, answers in zip(fours, laid, self._run(canvases), strict=True):
            again = decoded(answers, 0.05)
            for place, (at, view) in enumerate(zip(four, pieces, strict=True)):
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


def load(path: Path | None = None, most: int = LIMIT) -> FaceFinder:
    """The finder of `path` (a YuNet file or our locator), our own locator when None, which tells at most `most` faces
    of an image. Raises ValueError for a file that is no face network.
    """
    return NetworkFinder(path or LOCATOR, most=most)


def largest(rows: Floats, most: int = LIMIT) -> list[FoundFace]:
    """Faces of `views.SMALLEST` pixels and more, largest area first, at most `most`."""
    rows = rows[rows[:, 2:4].min(axis=1) >= views.SMALLEST]
    rows = rows[np.argsort(-rows[:, 2] * rows[:, 3])][:most]
    return [
        FoundFace(
            (float(x), float(y), float(w), float(h)),
            None if np.isnan(points).any() else points.reshape(5, 2),
            float(confidence),
        )
        for (x, y, w, h), points, confidence in zip(rows[:, :4], rows[:, 4:14], rows[:, 14], strict=True)
    ]
