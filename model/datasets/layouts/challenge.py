"""The Face Deepfake Detection Challenge: a ZIP, or a folder, for each generator and each collection of photographs.

CelebA stands against StarGAN, GDWCT and AttGAN, which alter CelebA's photographs, and FFHQ against StyleGAN and
StyleGAN2, which make faces up: two sources, each with both classes. An altered CelebA photograph keeps its number in
its name, so a number is a group there. It refuses an archive of a name it does not know, rather than guess a label.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from model.datasets.finds import Find, Layout, is_safe
from model.errors import DatasetError
from model.sources import SUFFIXES

# In the order in which names are compared: StyleGAN2 ends like no other, StyleGAN like it without the number.
_COLLECTIONS = {
    "celeba": ("celeba", 0), "stargan": ("celeba", 1), "gdwct": ("celeba", 1), "attgan": ("celeba", 1),
    "ffhq": ("ffhq", 0), "stylegan2": ("ffhq", 1), "stylegan": ("ffhq", 1),
}  # fmt: skip
_NAMES = {
    "stargan": "StarGAN", "gdwct": "GDWCT", "attgan": "AttGAN", "stylegan": "StyleGAN", "stylegan2": "StyleGAN2"
}  # fmt: skip


def _recognises(folder: Path) -> bool:
    named = {collection for part in _parts(folder) if (collection := _collection(part))}
    return bool(named & {"celeba", "ffhq"}) and len(named) > 1


def _finds(folder: Path) -> Iterable[Find]:
    for part in _parts(folder):
        collection = _collection(part)
        if collection is None:
            if part.suffix.lower() == ".zip":
                raise DatasetError(f"{part} is named for no generator of the challenge: {', '.join(_COLLECTIONS)}")
            continue
        reals, label = _COLLECTIONS[collection]
        source = f"{folder.name}-{reals}"
        for place, member, inside in _pictures(part):
            number = re.search(r"\d+", Path(inside).stem)
            grouped = reals == "celeba" and number is not None
            group = number[0].lstrip("0") if grouped and number else f"{collection}/{inside}"
            path = f"{source}/{collection}/{inside}"
            yield Find(place, path, label, source, group, _NAMES.get(collection, ""), member)


def _parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".zip" or path.is_dir())


def _collection(part: Path) -> str | None:
    words = re.sub(r"[^a-z0-9]", "", (part.stem if part.suffix.lower() == ".zip" else part.name).lower())
    return next((name for name in _COLLECTIONS if words.lstrip("0123456789").startswith(name)), None)


def _pictures(part: Path) -> Iterator[tuple[Path, str, str]]:
    """Place, member and the path inside, of each picture. A member with an unsafe name keeps it, for the reader to
    refuse, under a safe one.
    """
    if part.is_dir():
        for path in sorted(part.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                yield path, "", path.relative_to(part).as_posix()
        return
    try:
        with zipfile.ZipFile(part) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except (zipfile.BadZipFile, OSError) as error:
        raise DatasetError(f"{part} is no readable ZIP archive: {error}") from error
    for name in names:
        if Path(name).suffix.lower() in SUFFIXES:
            yield part, name, name if is_safe(name) else f"unsafe/{re.sub(r'[^A-Za-z0-9.]+', '_', name)}"


LAYOUT = Layout(
    "challenge",
    "ZIP archives or folders named CelebA or FFHQ beside StarGAN, GDWCT, AttGAN, StyleGAN or StyleGAN2",
    _recognises,
    _finds,
)
