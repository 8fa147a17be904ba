"""The folder conventions that are read, and which of them a folder follows.

A folder may follow one itself or hold folders that do. Where several could fit, the first in `LAYOUTS` is taken. It
refuses a folder in which nothing is recognised and says what was looked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from model.datasets.finds import Find, Layout
from model.datasets.layouts import celebdf, challenge, dfdc, faceforensics, openforensics, plain
from model.errors import DatasetError

LAYOUTS: dict[str, Layout] = {
    module.LAYOUT.name: module.LAYOUT
    for module in (faceforensics, celebdf, plain, challenge, dfdc, openforensics)
}  # fmt: skip


@dataclass(slots=True)
class Survey:
    """What several folders hold: every find, the layout and the folder of each source, and folders in which nothing
    was recognised.
    """

    finds: list[Find] = field(default_factory=list)
    layouts: dict[str, str] = field(default_factory=dict)
    passed_over: list[Path] = field(default_factory=list)
    _homes: dict[str, Path] = field(default_factory=dict)

    def add(self, home: Path, layout: Layout) -> None:
        """All that `layout` finds in `home`. Raises DatasetError when another folder has given the source's name."""
        for find in layout.finds(home):
            if self._homes.setdefault(find.source, home) != home:
                raise DatasetError(f"{self._homes[find.source]} and {home} are both a source named {find.source}")
            self.layouts[find.source] = layout.name
            self.finds.append(find)


def survey(folders: Iterable[Path], layout: str | None = None) -> Survey:
    """Everything that `folders` hold, by path. `layout` names the one that every folder follows; it is recognised
    when None. Raises DatasetError where nothing is found.
    """
    found = Survey()
    for folder in (folder.absolute() for folder in folders):
        if not folder.is_dir():
            raise DatasetError(f"{folder} is not a folder")
        for home, kind in _homes(folder, layout, found.passed_over):
            found.add(home, kind)
    found.finds.sort(key=lambda find: find.path)
    if not found.finds:
        raise DatasetError("the folders follow a known layout, but no image or video was found in them")
    return found


def _homes(folder: Path, layout: str | None, passed_over: list[Path]) -> list[tuple[Path, Layout]]:
    if layout is not None:
        return [(folder, LAYOUTS[layout])]
    if kind := _recognised(folder):
        return [(folder, kind)]
    within = [(home, _recognised(home)) for home in sorted(filter(Path.is_dir, folder.iterdir()))]
    passed_over += [home for home, kind in within if kind is None]
    if homes := [(home, kind) for home, kind in within if kind is not None]:
        return homes
    sought = "; ".join(f"{kind.name}: {kind.looks_for}" for kind in LAYOUTS.values())
    raise DatasetError(f"no known layout in {folder} nor in the folders in it. Looked for {sought}")


def _recognised(folder: Path) -> Layout | None:
    return next((kind for kind in LAYOUTS.values() if kind.recognises(folder)), None)
