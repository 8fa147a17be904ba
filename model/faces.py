"""Finding faces: boxes and five landmarks in the pixels of the image given, whatever its size.

One decoder serves every network in YuNet's output layout (per stride 8, 16 and 32: ``cls``, ``obj``, ``bbox``,
``kps``; BGR 0..255 in), so an operator's YuNet file and our own locator are read alike. The pixels are upright RGB:
EXIF rotation is undone by whoever decodes. It does not recognise, align or judge anybody.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model import rows as found_rows
from model import views
from model.rows import STRIDES, Floats, alike, decoded, filling, placed, suppressed, uncut
from model.views import BESIDE, CANVAS, FINE, Image, View, centred, close, mosaic, resized

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


class Look(NamedTuple):
    """A view of an image, and which of the rows found through it, in the image's pixels, count; all where None."""

    image: Image
    view: View
    keep: Callable[[Floats], Floats] | None = None


class Search:
    """What was found in one image so far, and where to look next: first at the whole image, then in tiles, closer each
    time, until a face is large enough or the looks end.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self.height, self.width = image.shape[:2]
        self.reduced = self._at(FINE / max(image.shape[:2]))
        self.rows = np.zeros((0, 15), np.float32)
        self._scales = [CANVAS / max(image.shape[:2]), *views.scales(self.height, self.width)]
        self._now = 0

    def goes_on(self) -> bool:
        """Whether a closer look may find more; step to it if so."""
        scale = self._scales[self._now]
        large = self.rows[:, 2:4].max(initial=0) * scale >= found_rows.LARGE
        if self._now + 1 == len(self._scales) or (large and min(self.height, self.width) * scale >= views.NARROW):
            return False
        self._now += 1
        return True

    def closer(self) -> list[Look]:
        """The tiles of the present look."""
        return self._tiles(self._at(self._scales[self._now]))

    def lifted(self) -> list[Look]:
        """Looks at a dark image made brighter: whole, in tiles as far as the first closer look, and from further away.
        None for an image that is not dark.
        """
        if not views.dark(self.reduced):
            return []
        image = views.lifted(self.reduced)
        self._now = min(1, len(self._scales) - 1)
        tiled = self._tiles(image) if self._now else []
        return [Look(image, centred(image, CANVAS)), *tiled, self.further(image)]

    def further(self, image: Image | None = None) -> Look:
        """A look from further away, for a face that fills the picture; at `image` in place of the reduced one."""
        image = self.reduced if image is None else image
        return Look(image, centred(image, CANVAS // 2), lambda rows: filling(rows, image.shape))

    def add(self, look: Look, rows: Floats) -> None:
        """Take up what `look` found."""
        rows[:, :14] *= max(self.height, self.width) / max(look.image.shape[:2])
        self.rows = np.concatenate([self.rows, rows])

    def _tiles(self, image: Image) -> list[Look]:
        grown = max(self.height, self.width) / max(image.shape[:2])
        scale, coarser = self._scales[self._now] * grown, self._scales[self._now - 1] * grown
        return [
            Look(image, view, lambda rows, view=view: uncut(rows, view, image.shape, coarser))  # type: ignore[misc]
            for view in views.tiles(image, scale)
        ]

    def _at(self, scale: float) -> Image:
        return self.image if scale >= 1 else resized(self.image, scale)


class NetworkFinder:
    """A network in YuNet's layout, with which an image is looked at through one to some 170 views (see `views.scales`)."""

    def __init__(
        self, path: Path, threshold: float | None = None, proposed: float | None = None, most: int = LIMIT
    ) -> None:
        """Load `path`; faces below `threshold` (0 to 1) are not told. From `proposed` up to `SURE` they get a second
        look, and the mean of both looks is their confidence; none do where it is None. Both are the file's own where no
        threshold is given. At most `most` faces of an image are told. Raises ValueError when it is not a face network in YuNet's layout.
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
