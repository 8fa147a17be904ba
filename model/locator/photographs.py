"""Photographs without a face: what false faces are made of, and so what a locator must have seen.

Two stocks: scikit-image's public-domain samples, some of which are named `HELD_OUT` and never trained on, and a folder
of anything else (`gathered`): one folder a collection, those under `held_out/` kept for evaluation, each picture
dropped where the teacher so much as suspects a face. Samples that show people, or coins with heads on them, are left
out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage
from PIL import Image

from model import faces, views
from model.locator import teacher

HELD_OUT = ("brick.png", "cell.png", "chessboard_RGB.png", "coffee.png", "microaneurysms.png", "text.png")
TRAINED = (
    "chelsea.png", "clock_motion.png", "color.png", "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg",
    "ihc.png", "logo.png", "moon.png", "motorcycle_left.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
KEPT_OUT = "held_out"
LONGEST = 768  # pixels a side that are kept: a locator looks twice as closely as 320
LEAST = 96  # pixels: icons and bars teach little
AT_MOST = 120  # pictures of a collection, lest one with thousands of diagrams outweigh the rest
SURROUNDINGS = 2.5  # sides of a mistaken face that are kept around it
MISTAKES = 4  # of one picture


@dataclass(frozen=True, slots=True)
class Photograph:
    """One face-free picture, uint8 (h, w, 3) RGB, of the collection `source`."""

    pixels: views.Image
    source: str
    held_out: bool


@dataclass(frozen=True, slots=True)
class Stock:
    """What backgrounds are cut from: `plain` pictures, and `hard` pieces of them that were taken for faces."""

    plain: list[views.Image]
    hard: list[views.Image]


def samples(names: tuple[str, ...]) -> list[views.Image]:
    """scikit-image's samples of those names as uint8 RGB. Raises FileNotFoundError for one that is not in its wheel."""
    folder = Path(skimage.__file__).parent / "data"
    return [np.array(Image.open(folder / name).convert("RGB"), np.uint8) for name in names]


def gathered(folder: Path, teacher_file: Path, cache: Path, told: Callable[[int, int], None]) -> list[Photograph]:
    """The pictures under `folder` in which the teacher suspects no face at any scale, at most `AT_MOST` a collection,
    from `cache` where it was asked before. What cannot be read, or is small, is passed over. `told(done, total)` hears
    of progress. Raises ValueError where nothing is left.
    """
    paths = [path for home in _collections(folder) for path in teacher.chosen(home, AT_MOST)]
    names = "\n".join(f"{path.relative_to(folder)} {path.stat().st_size}" for path in paths)
    kept = cache / f"backdrops-{hashlib.sha256(teacher_file.read_bytes() + names.encode()).hexdigest()[:16]}.npz"
    if not kept.exists():
        finder = faces.NetworkFinder(teacher_file, teacher.DOUBT)
        found = []
        for done, path in enumerate(paths, 1):
            picture = _read(path)
            if picture is not None and not len(teacher.answer(finder, picture)):
                parts = path.relative_to(folder).parts
                found.append(Photograph(picture, parts[parts[0] == KEPT_OUT], parts[0] == KEPT_OUT))
            told(done, len(paths))
        _keep(kept, found)
    photographs = _kept(kept)
    if not photographs:
        raise ValueError(f"no face-free pictures under {folder}")
    return photographs


def mistakes(finder: faces.NetworkFinder, pictures: list[views.Image]) -> list[views.Image]:
    """Squares of `pictures` around what `finder` takes for faces, surest first, at most `MISTAKES` a picture."""
    squares = []
    for picture in pictures:
        height, width = picture.shape[:2]
        for x, y, across, down in teacher.answer(finder, picture)[:MISTAKES, :4]:
            side = int(min(height, width, max(24, SURROUNDINGS * max(across, down))))
            left = int(np.clip(x + across / 2 - side / 2, 0, width - side))
            top = int(np.clip(y + down / 2 - side / 2, 0, height - side))
            squares.append(picture[top : top + side, left : left + side].copy())
    return squares


def _collections(folder: Path) -> list[Path]:
    homes = [*folder.iterdir(), *(folder / KEPT_OUT).glob("*")]
    return sorted(home for home in homes if home.is_dir() and home.name != KEPT_OUT)


def _read(path: Path) -> views.Image | None:
    """The picture on white where it is transparent, at most `LONGEST` a side."""
    stored = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint8 or min(stored.shape[:2]) < LEAST:
        return None
    if stored.ndim == 2:
        stored = cv2.cvtColor(stored, cv2.COLOR_GRAY2BGR)
    if stored.shape[2] == 4:
        shown = stored[..., 3:].astype(np.uint16)
        stored = ((stored[..., :3] * shown + 255 * (255 - shown)) // 255).astype(np.uint8)
    image = np.ascontiguousarray(stored[..., 2::-1], np.uint8)
    return views.resized(image, min(1.0, LONGEST / max(image.shape[:2])))


def _keep(file: Path, photographs: list[Photograph]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        file,
        pixels=np.concatenate([one.pixels.ravel() for one in photographs] or [np.zeros(0, np.uint8)]),
        shapes=np.array([one.pixels.shape for one in photographs]).reshape(-1, 3),
        sources=np.array([one.source for one in photographs], str),
        held_out=np.array([one.held_out for one in photographs], bool),
    )


def _kept(file: Path) -> list[Photograph]:
    stored = np.load(file)
    shapes = stored["shapes"]
    pictures = np.split(stored["pixels"], np.cumsum(shapes.prod(1))[:-1]) if len(shapes) else []
    return [
        Photograph(picture.reshape(shape), str(source), bool(held_out))
        for picture, shape, source, held_out in zip(
            pictures, shapes, stored["sources"], stored["held_out"], strict=True
        )
    ]
