"""From folders to a built dataset: look, measure, join duplicates, divide, write.

What was measured goes into a journal at once, so an interrupted build goes on where it was, and a later one measures
what is new. A file that cannot be read is listed in `unreadable.csv` with a slug and never stops the build. It refuses
folders in which it recognises nothing.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model import splits
from model.datasets import allotment, components, layouts, manifest, measuring
from model.datasets.archives import Archives
from model.datasets.components import Components
from model.datasets.finds import Find
from model.datasets.journal import Failure, Journal, Outcome, key_of
from model.datasets.manifest import MEDIA, Row
from model.datasets.pictures import FRAMES, Camera
from model.errors import BadImage, DatasetError
from model.sources import LABELS
from model.splits import Shares

JOURNAL, UNREADABLE, DROPPED = "journal.jsonl", "unreadable.csv", "dropped.csv"

Told = Callable[[int, int], object]  # finds done, and how many there are


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose: the layout (recognised when None), the splits' shares, balanced classes, how many
    frames of a video are looked at, and a YuNet file to find faces with instead of our own locator.
    """

    layout: str | None = None
    shares: Shares = splits.SHARES
    balance: bool = False
    frames: int = FRAMES
    face_model: Path | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What was built: the record as written, the components, and what is missing from it."""

    record: dict[str, Any]
    components: Components
    unreadable: dict[str, Failure]
    dropped: list[Row]
    passed_over: list[Path]


def build(folders: Sequence[Path], home: Path, options: Options, told: Told) -> Summary:
    """Build the dataset of `folders` in `home`. Raises DatasetError when nothing is recognised or readable."""
    if sum(options.shares) <= 0 or min(options.shares) < 0:
        raise DatasetError(f"shares of splits are positive numbers, not {options.shares}")
    found = layouts.survey(folders, options.layout)
    rows, roots, unreadable = _measured(found.finds, home, options, told)
    if not rows:
        first = next(iter(unreadable.items()))
        raise DatasetError(f"none of {len(unreadable)} files could be read; {first[0]}: {first[1].detail}")
    joined = components.joined(sorted(rows, key=lambda row: row.path))
    lists, dropped = allotment.allotted(joined.rows, options.shares, options.balance)
    record = {
        "options": {**asdict(options), "face_model": options.face_model and str(options.face_model)},
        "roots": roots,
        "sources": _counts(joined.rows, lists, found.layouts),
        "components": {
            "groups": joined.groups, "count": joined.count, "near_pairs": joined.near_pairs,
            "equal_files": joined.equal_files, "largest": joined.largest,
        },
        "unreadable": len(unreadable),
        "dropped": len(dropped),
    }  # fmt: skip
    failures = ((path, failure.slug, failure.detail) for path, failure in sorted(unreadable.items()))
    (home / UNREADABLE).write_bytes(manifest.table(("path", "slug", "detail"), failures))
    (home / DROPPED).write_bytes(manifest.table(("path", "sha256"), ((row.path, row.sha256) for row in dropped)))
    manifest.write(home, record, joined.rows, lists)
    return Summary(record, joined, unreadable, dropped, found.passed_over)


def _measured(
    finds: Sequence[Find], home: Path, options: Options, told: Told
) -> tuple[list[Row], list[str], dict[str, Failure]]:
    """Rows, the folders that their paths begin in, and what could not be read, by path."""
    roots = [MEDIA, *sorted({str(_root(find)) for find in finds if find.in_place})]
    rows: list[Row] = []
    unreadable: dict[str, Failure] = {}
    with Journal(home / JOURNAL) as journal, Archives() as archives:
        camera = Camera(home / MEDIA, archives, options.frames, options.face_model)
        for done, (find, outcome) in enumerate(_outcomes(finds, camera, roots, journal), 1):
            if isinstance(outcome, Failure):
                unreadable[find.path] = outcome
            else:
                rows += outcome
            told(done, len(finds))
    return rows, roots, unreadable


def _outcomes(
    finds: Sequence[Find], camera: Camera, roots: Sequence[str], journal: Journal
) -> Iterator[tuple[Find, Outcome]]:
    """Each find with what came of it, in order; what the journal knows is not looked at again."""
    writing = threading.Lock()

    def look(find: Find) -> Outcome:
        root = roots.index(str(_root(find))) if find.in_place else 0
        key = key_of(find, (camera.frames, str(camera.face_model)) if find.is_video else roots[root])
        known = journal.outcome(key)
        if known is not None and _still_there(known, camera.media):
            return known
        outcome = _looked_at(find, camera, root)
        with writing:
            journal.add(key, outcome)
        return outcome

    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        yield from zip(finds, pool.map(look, finds), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _looked_at(find: Find, camera: Camera, root: int) -> Outcome:
    try:
        return [
            Row(
                path=picture.path, root=root, label=find.label, source=find.source, generator=find.generator,
                group=find.group, published=find.published, faces=picture.faces,
                **asdict(measuring.measured(picture.content)),
            )
            for picture in camera.pictures(find)
        ]  # fmt: skip
    except BadImage as error:
        return Failure(error.slug, str(error))
    except OSError as error:
        return Failure("unreadable-file", error.strerror or str(error))


def _still_there(outcome: Outcome, media: Path) -> bool:
    """Whether the crops and copies that a known outcome speaks of exist; files used in place are others' matter."""
    return isinstance(outcome, Failure) or all(row.root or (media / row.path).exists() for row in outcome)


def _root(find: Find) -> Path:
    """The folder that the find's path begins in."""
    return find.place.parents[len(Path(find.path).parts) - 1]


def _counts(
    rows: Sequence[Row], lists: dict[str, list[Row]], kinds: dict[str, str]
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """By source: its layout, its files by class and generator, its groups, and its files by split and class."""
    listed: dict[str, dict[str, Counter[int]]] = defaultdict(lambda: {name: Counter() for name in lists})
    for name, members in lists.items():
        for row in members:
            listed[row.source][name][row.label] += 1
    said: dict[str, dict[str, Any]] = {}
    for source in sorted({row.source for row in rows}):
        mine = [row for row in rows if row.source == source]
        said[source] = {
            "layout": kinds[source],
            **{word: sum(row.label == label for row in mine) for word, label in LABELS.items()},
            "generators": dict(sorted(Counter(row.generator for row in mine if row.generator).items())),
            "groups": len({row.group for row in mine}),
            "splits": {
                name: {word: counted[label] for word, label in LABELS.items()}
                for name, counted in listed[source].items()
            },
        }
    return said
