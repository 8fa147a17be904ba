"""The teacher's answers on a folder of images, kept in a cache beside the images' reduced pixels.

Answers between `DOUBT` and `SURE` are neither face nor background: training looks away there and evaluation does
not count them. Files are held out by group where a `groups.csv` lists them, by the hash of their bytes otherwise.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from model import faces, views

DOUBT = 0.3
SURE = 0.6
LONGEST = 384  # pixels a side that are kept: a scene is 320
LEVELS = 4
HELD_OUT = 8  # one in so many
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True, slots=True)
class Taught:
    """One image and its faces: `pyramid` uint8 (h, w, 3) RGB, each level half the one before; `rows` float32 (n, 15)
    as `faces.decoded` has them, in the first level's pixels.
    """

    pyramid: tuple[views.Image, ...]
    rows: faces.Floats
    source: str
    held_out: bool

    @property
    def pixels(self) -> views.Image:
        """The largest level."""
        return self.pyramid[0]

    @property
    def sure(self) -> faces.Floats:
        """The rows that are faces beyond doubt."""
        return self.rows[self.rows[:, 14] >= SURE]


def images(folder: Path, at_most: int) -> list[Path]:
    """Image files under `folder`, at most `at_most` of each first-level folder, in an order that hashes decide."""
    return [path for home in sorted(folder.iterdir()) if home.is_dir() for path in chosen(home, at_most)]


def chosen(folder: Path, at_most: int) -> list[Path]:
    """At most `at_most` image files anywhere under `folder`, in an order that hashes decide."""
    paths = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(paths, key=_shuffled)[:at_most]


def answer(finder: faces.NetworkFinder, image: views.Image) -> faces.Floats:
    """What `finder` says through every view: whole, from twice and three times as far, and in tiles."""
    laid = [views.centred(image, side) for side in (views.CANVAS, views.CANVAS // 2, views.CANVAS // 3)]
    if max(image.shape[:2]) > views.CANVAS:
        laid += views.tiles(image)
    return faces.suppressed(np.concatenate([finder.look(image, view) for view in laid]))


def ask(folder: Path, teacher: Path, cache: Path, at_most: int, told: Callable[[int, int], None]) -> list[Taught]:
    """Every image's answers, from `cache` where the same teacher has answered on the same files before.
    `told(done, total)` hears of progress. Raises ValueError for an unreadable image or teacher, or without images.
    """
    paths = images(folder, at_most)
    if not paths:
        raise ValueError(f"no images under {folder}")
    kept = cache / _key(folder, paths, teacher)
    if not (kept / "rows.npz").exists():
        finder = faces.NetworkFinder(teacher, DOUBT)
        groups = _groups(folder)
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(lambda path: _taught(finder, path, folder, groups), paths)
            _keep(kept, _counted(answers, len(paths), told))
    return _kept(kept)


def _key(folder: Path, paths: list[Path], teacher: Path) -> str:
    names = "\n".join(f"{path.relative_to(folder)} {path.stat().st_size}" for path in paths)
    return hashlib.sha256(teacher.read_bytes() + names.encode()).hexdigest()[:16]


def _taught(finder: faces.NetworkFinder, path: Path, folder: Path, groups: dict[Path, str]) -> Taught:
    content = path.read_bytes()
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError(f"{path} is not a readable image")
    image = np.ascontiguousarray(decoded[..., ::-1], np.uint8)
    rows = answer(finder, image)
    scale = min(1.0, LONGEST / max(image.shape[:2]))
    rows[:, :14] *= scale
    key = groups.get(path) or hashlib.sha256(content).hexdigest()
    held_out = hashlib.sha256(key.encode()).digest()[0] % HELD_OUT == 0
    return Taught((views.resized(image, scale),), rows, path.relative_to(folder).parts[0], held_out)


def _groups(folder: Path) -> dict[Path, str]:
    groups = {}
    for table in folder.rglob("groups.csv"):
        with table.open(newline="") as lines:
            groups.update({table.parent / row["file"]: row["group"] for row in csv.DictReader(lines)})
    return groups


def _counted(answers: Iterable[Taught], total: int, told: Callable[[int, int], None]) -> list[Taught]:
    kept = []
    for taught in answers:
        kept.append(taught)
        told(len(kept), total)
    return kept


def _keep(cache: Path, answers: list[Taught]) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    np.save(cache / "pixels.npy", np.concatenate([taught.pixels.ravel() for taught in answers]))
    np.savez(
        cache / "rows.npz",
        shapes=np.array([taught.pixels.shape for taught in answers]),
        counts=np.array([len(taught.rows) for taught in answers]),
        rows=np.concatenate([taught.rows for taught in answers]),
        sources=np.array([taught.source for taught in answers]),
        held_out=np.array([taught.held_out for taught in answers]),
    )


def _kept(cache: Path) -> list[Taught]:
    pixels: NDArray[np.uint8] = np.load(cache / "pixels.npy", mmap_mode="r")
    index = np.load(cache / "rows.npz")
    shapes = index["shapes"]
    pictures = np.split(pixels, np.cumsum(shapes.prod(1))[:-1])
    rows = np.split(index["rows"], np.cumsum(index["counts"])[:-1])
    return [
        Taught(pyramid(picture.reshape(shape)), answers, str(source), bool(held_out))
        for picture, shape, answers, source, held_out in zip(
            pictures, shapes, rows, index["sources"], index["held_out"], strict=True
        )
    ]


def pyramid(picture: views.Image) -> tuple[views.Image, ...]:
    """`picture` and `LEVELS - 1` more, each half the size of the one before."""
    levels = [picture]
    while len(levels) < LEVELS:
        levels.append(views.resized(levels[-1], 0.5))
    return tuple(levels)


def _shuffled(path: Path) -> bytes:
    return hashlib.sha256(path.name.encode()).digest()
