"""An album: every training face cut out once with some surroundings, so that an epoch decodes no file.

A folder of three arrays (views, boxes, landmarks) and the list they were made from. Views are wider than what the
network sees, which leaves room to move, turn and zoom. It refuses to be reused for another list or another finder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import crops, pixels
from model.errors import BadImage
from model.faces import FaceFinder
from model.sources import Item

SIDE = 224  # pixels
_ARRAYS = ("views", "boxes", "landmarks")
MARGIN = 1.4  # side of the view / longer side of the face's box


@dataclass(frozen=True, slots=True)
class Album:
    """Of `items` with a face: `views` uint8 (n, 224, 224, 3), and in the views' pixels `boxes` float32 (n, 4) and
    `landmarks` float32 (n, 5, 2), NaN where the finder has none. `faceless` counts the items left out.
    """

    items: list[Item]
    views: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
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
    return Album(chosen, arrays["views"], arrays["boxes"], arrays["landmarks"], len(items) - len(chosen))


def _key(items: Sequence[Item], finder_name: str) -> str:
    listed = "\n".join([f"{finder_name} {SIDE} {MARGIN}", *(f"{item.name} {item.path}" for item in items)])
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def _build(home: Path, items: Sequence[Item], finder: FaceFinder, done: Callable[[], object]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    views = np.lib.format.open_memmap(home / "views.npy", "w+", np.uint8, (len(items), SIDE, SIDE, 3))
    boxes = np.zeros((len(items), 4), np.float32)
    landmarks = np.zeros((len(items), 5, 2), np.float32)
    with_face: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        for index, cut in enumerate(pool.map(lambda item: cut_out(item, finder), items)):
            done()
            if cut is not None:
                row = len(with_face)
                views[row], boxes[row], landmarks[row] = cut
                with_face.append(index)
    views.flush()
    np.save(home / "boxes.npy", boxes)
    np.save(home / "landmarks.npy", landmarks)
    # Written last: its presence says that the arrays are whole.
    (home / "album.json").write_text(json.dumps(with_face))


def cut_out(
    item: Item, finder: FaceFinder
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]] | None:
    """View, box and landmarks of the largest face; None where no face is found or the file cannot be read."""
    try:
        image = next(pixels.decode(item.path.read_bytes())).pixels
    except BadImage:
        return None
    found = finder.find(image)
    if not found:
        return None
    x, y, width, height = found[0].box
    scale = SIDE / (max(width, height) * MARGIN)
    origin = np.array([x + width / 2, y + height / 2], np.float32) - SIDE / scale / 2
    box = np.array([x, y, width, height], np.float32) * scale
    box[:2] -= origin * scale
    points = found[0].landmarks
    marks = np.full((5, 2), np.nan, np.float32) if points is None else (points - origin) * scale
    return crops.square(image, found[0].box, MARGIN, SIDE), box, np.asarray(marks, np.float32)
