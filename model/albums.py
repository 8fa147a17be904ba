"""An album: every training face cut out once with some surroundings, so that an epoch decodes no file.

A folder of arrays and the list they were made from. Views are wider than what the network sees, which leaves room to
move, turn and zoom. A forgery that shows the same frame as an original of its group is cut by the original's box, so
that the two lie pixel on pixel and their difference is kept. It refuses to be reused for another list or finder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model import crops, pairs, pixels
from model.crops import VIEW, VIEW_MARGIN
from model.errors import BadImage
from model.faces import FaceFinder, FoundFace
from model.sources import Item

_ARRAYS = ("views", "boxes", "landmarks", "changes", "originals")
NONE = -1


class Views(Protocol):
    """An array of views, or some rows of one."""

    def __getitem__(self, row: int, /) -> NDArray[np.uint8]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Album:
    """Of `items` with a face: `views` uint8 (n, 224, 224, 3), and in the views' pixels `boxes` float32 (n, 4) and
    `landmarks` float32 (n, 5, 2), NaN where the finder has none. `originals` int32 (n,) is the row of the original that
    shows a forgery's own frame, else -1; `changes` uint8 (n, 56, 56) is where they differ, see `pairs.changes`.
    `faceless` counts the items left out.
    """

    items: list[Item]
    views: Views
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    changes: NDArray[np.uint8]
    originals: NDArray[np.int32]
    faceless: int


def open_or_build(
    folder: Path, items: Sequence[Item], finder: FaceFinder, finder_name: str, done: Callable[[], object]
) -> Album:
    """The album of `items` in `folder`, made first where there is none of this list and finder; `done` is called
    once per image. Takes about 10 ms an image and 150 kB of disk.
    """
    key = _key(items, finder_name)
    home = folder / key
    if not (home / "album.json").exists():
        _build(home, items, finder, done)
    with_face = json.loads((home / "album.json").read_text())
    arrays = {name: np.load(home / f"{name}.npy", mmap_mode="r")[: len(with_face)] for name in _ARRAYS}
    chosen = [items[index] for index in with_face]
    return Album(chosen, faceless=len(items) - len(chosen), **arrays)


class Chosen:
    """Some rows of an array that stays on disk, read one at a time."""

    def __init__(self, array: Views, rows: NDArray[np.int64]) -> None:
        self._array, self._rows = array, rows

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        return np.asarray(self._array[self._rows[row]])

    def __len__(self) -> int:
        return len(self._rows)


def chosen(album: Album, wanted: Callable[[Item], bool]) -> Album:
    """The album of the items that are `wanted`, over the same views. An original that is not among them is none."""
    rows = np.array([row for row, item in enumerate(album.items) if wanted(item)], np.int64)
    places = np.full(len(album.items) + 1, NONE, np.int32)  # the last one stands for NONE
    places[rows] = np.arange(len(rows), dtype=np.int32)
    return Album(
        [album.items[row] for row in rows], Chosen(album.views, rows), album.boxes[rows], album.landmarks[rows],
        album.changes[rows], places[album.originals[rows]], 0,
    )  # fmt: skip


def _key(items: Sequence[Item], finder_name: str) -> str:
    listed = "\n".join([f"2 {finder_name} {VIEW} {VIEW_MARGIN}", *(f"{item.name} {item.path}" for item in items)])
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def _build(home: Path, items: Sequence[Item], finder: FaceFinder, done: Callable[[], object]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    count = len(items)
    views = np.lib.format.open_memmap(home / "views.npy", "w+", np.uint8, (count, VIEW, VIEW, 3))
    boxes, landmarks = np.zeros((count, 4), np.float32), np.zeros((count, 5, 2), np.float32)
    changes, originals = np.zeros((count, pairs.CELLS, pairs.CELLS), np.uint8), np.full(count, NONE, np.int32)
    with_face: list[int] = []
    groups: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(item.key, []).append(index)
    with ThreadPoolExecutor(2) as pool:
        for indices, cuts in zip(
            groups.values(),
            pool.map(lambda rows: cut_group([items[index] for index in rows], finder), groups.values()),
            strict=True,
        ):
            first = len(with_face)
            for cut in cuts:
                done()
                if cut.face is None:
                    continue
                row = len(with_face)
                views[row], boxes[row], landmarks[row] = cut.face
                if cut.change is not None and cut.original is not None:
                    changes[row] = cut.change
                    originals[row] = first + sum(before.face is not None for before in cuts[: cut.original])
                with_face.append(indices[cut.place])
    views.flush()
    kept: dict[str, NDArray[Any]] = {
        "boxes": boxes, "landmarks": landmarks, "changes": changes, "originals": originals,
    }  # fmt: skip
    for name, array in kept.items():
        np.save(home / f"{name}.npy", array)
    # Written last: its presence says that the arrays are whole.
    (home / "album.json").write_text(json.dumps(with_face))


Face = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of the item at `place` in its group: view, box and landmarks of its largest face, or None; and for a
    forgery the place of the original of the same frame with the map of changes.
    """

    place: int
    face: Face | None
    original: int | None = None
    change: NDArray[np.uint8] | None = None


def cut_group(items: Sequence[Item], finder: FaceFinder) -> list[Cut]:
    """One cut an item, in order."""
    images = [_decoded(item) for item in items]
    found = [None if image is None else next(iter(finder.find(image)), None) for image in images]
    reals = [place for place, item in enumerate(items) if not item.label and found[place] is not None]
    return [_cut(place, items[place].label, images, found, reals) for place in range(len(items))]


def _cut(
    place: int, label: int, images: Sequence[NDArray[np.uint8] | None], found: Sequence[FoundFace | None],
    reals: Sequence[int],
) -> Cut:  # fmt: skip
    image, face = images[place], found[place]
    if image is None:
        return Cut(place, None)
    for original in reals if label else ():
        real, its_face = images[original], found[original]
        if real is not None and its_face is not None and pairs.same_frame(real, image):
            mine = _face(image, its_face)
            return Cut(place, mine, original, pairs.changes(_face(real, its_face)[0], mine[0]))
    return Cut(place, None if face is None else _face(image, face))


def _decoded(item: Item) -> NDArray[np.uint8] | None:
    try:
        return next(pixels.decode(item.path.read_bytes())).pixels
    except BadImage:
        return None


def _face(image: NDArray[np.uint8], face: FoundFace) -> Face:
    view, place = crops.view(image, face.box)
    box, scale = np.array(place, np.float32), max(place[2:]) / max(face.box[2:])
    if face.landmarks is None:
        return view, box, np.full((5, 2), np.nan, np.float32)
    return view, box, np.asarray((face.landmarks - np.array(face.box[:2])) * scale + box[:2], np.float32)
