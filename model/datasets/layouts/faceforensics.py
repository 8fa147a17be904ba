"""FaceForensics++: `original_sequences/KIND/COMPRESSION/videos` and `manipulated_sequences/METHOD/COMPRESSION/videos`.

A manipulated clip `000_003` shows video 000 with what was taken from video 003, so both are one group, and so is all
that they are connected with. Clips of the DeepFakeDetection part (`01_02__walking__ABC`) name actors instead, and
their groups are the connected actors. `masks` are no videos of faces and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from model.datasets.finds import VIDEOS, Find, Layout, linked

_CLASSES = {"original_sequences": 0, "manipulated_sequences": 1}


def _clips(folder: Path) -> list[tuple[Path, int]]:
    return [
        (clip, label)
        for kind, label in _CLASSES.items()
        for clip in sorted(folder.glob(f"{kind}/*/*/videos/*"))
        if clip.suffix.lower() in VIDEOS and clip.parts[-3] != "masks"
    ]


def _people(clip: Path) -> list[str]:
    """The videos, or in the DeepFakeDetection part the actors, that a clip is made of."""
    first, actors, _ = clip.stem.partition("__")
    return [f"actor{name}" if actors else name for name in first.split("_")]


def _recognises(folder: Path) -> bool:
    return any((folder / kind).is_dir() for kind in _CLASSES)


def _finds(folder: Path) -> Iterable[Find]:
    clips = _clips(folder)
    groups = linked(_people(clip) for clip, _ in clips)
    for clip, label in clips:
        path = f"{folder.name}/{clip.relative_to(folder).with_suffix('').as_posix()}"
        method = clip.parts[-4] if label else ""
        yield Find(clip, path, label, folder.name, groups[_people(clip)[0]], method)


LAYOUT = Layout(
    "faceforensics",
    "original_sequences or manipulated_sequences with METHOD/COMPRESSION/videos in them",
    _recognises,
    _finds,
)
