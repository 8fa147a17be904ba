"""Celeb-DF: `Celeb-real`, `YouTube-real` and `Celeb-synthesis`, with `List_of_testing_videos.txt`.

A group is the person whose video it is: `id0_0001` and every fake made from it, `id0_id1_0001`. The face that was put
in (id1) would connect nearly everybody with everybody, which would leave nothing to split; that a donor recurs in
other groups is the price. The published list marks its videos `published = test`; the label in it (1 is real there)
is not read, since the folder says it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from model.datasets.finds import VIDEOS, Find, Layout

_CLASSES = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}
_LIST = "List_of_testing_videos.txt"


def _recognises(folder: Path) -> bool:
    return (folder / _LIST).is_file() or all((folder / kind).is_dir() for kind in ("Celeb-real", "Celeb-synthesis"))


def _finds(folder: Path) -> Iterable[Find]:
    table = folder / _LIST
    tested = {line.split()[-1] for line in table.read_text().splitlines() if line.strip()} if table.is_file() else set()
    for kind, label in _CLASSES.items():
        for clip in sorted((folder / kind).glob("*")):
            if clip.suffix.lower() in VIDEOS:
                name = clip.relative_to(folder)
                person = clip.stem.split("_")[0] if kind != "YouTube-real" else f"youtube-{clip.stem}"
                published = "" if not tested else "test" if name.as_posix() in tested else "train"
                path = f"{folder.name}/{name.with_suffix('').as_posix()}"
                generator = "Celeb-DF" if label else ""
                yield Find(clip, path, label, folder.name, person, generator, published=published)


LAYOUT = Layout("celebdf", f"Celeb-real and Celeb-synthesis, or {_LIST}", _recognises, _finds)
