"""What a layout finds: a picture, a picture in an archive, faces in a picture, or a video, with what is known of it.

A find opens nothing. It refuses paths that could leave the folder they are written below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from model.errors import DatasetError

VIDEOS = {".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm"}

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Find:
    """One labelled thing on disk: `place` is its file, or with `member` the archive that it lies in.

    `path` begins with the source and names it in the manifest; of a video or of `boxes` (x, y, width, height in
    pixels; faces to cut out) it names the folder of crops. `published` is the split its publisher put it in.
    """

    place: Path
    path: str
    label: int
    source: str
    group: str
    generator: str = ""
    member: str = ""
    boxes: tuple[Box, ...] = ()
    published: str = ""

    def __post_init__(self) -> None:
        if not is_safe(self.path):
            raise DatasetError(f"{self.path!r} is no path below a folder")

    @property
    def is_video(self) -> bool:
        return self.place.suffix.lower() in VIDEOS

    @property
    def in_place(self) -> bool:
        """Whether the file is used where it lies, instead of being cut or copied out."""
        return not (self.is_video or self.member or self.boxes)


@dataclass(frozen=True, slots=True)
class Layout:
    """One folder convention: `looks_for` completes the sentence that tells a person why it was not recognised."""

    name: str
    looks_for: str
    recognises: Callable[[Path], bool]
    finds: Callable[[Path], Iterable[Find]]


def is_safe(path: str) -> bool:
    """Whether a relative path stays below where it begins, on every system."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts and ":" not in parts[0] and "\0" not in path


def linked(pairs: Iterable[Iterable[str]]) -> dict[str, str]:
    """Union-find: every name of every pair (or longer chain), with the smallest name it is connected to."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for chain in pairs:
        first, *others = chain
        low = root(first)
        for other in map(root, others):
            low, high = sorted((low, other))
            parent[high] = low
    return {name: root(name) for name in list(parent)}
