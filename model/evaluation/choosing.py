"""Which files a release is tested on: what it has not seen, by the bytes themselves.

Of sources that the release learnt from only the test split is used; other sources are used whole, but for what it was
calibrated on. It refuses to test on an image that the release's training list holds, under whatever name (collections
hold the same bytes twice), or on what a built dataset knows as a near-duplicate of one.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model import datasets, releases, splits
from model.datasets import published
from model.errors import DatasetError
from model.releases import Release
from model.sources import Item

GROUPED, PUBLISHED = "grouped", "published"


@dataclass(frozen=True, slots=True)
class Subject:
    """A file to test on, its split (`test` or `unseen`) and the SHA-256 of its bytes."""

    item: Item
    split: str
    sha256: str


def choose(release: Release, data: Path, protocol: str = GROUPED, sample: int | None = None) -> list[Subject]:
    """The files of `data` (see `datasets.opened`) to test `release` on, in order; of each source's class at most
    `sample`. `protocol` is `grouped`, or `published` for the random split of `datasets.published`; files with
    the bytes of one that the release learnt from are left out. Raises DatasetError when nothing is left, and for the
    published protocol when the release learnt from any of its test files.
    """
    learnt = {sha256 for _, sha256, _ in _learnt(release)}
    wanted = list(_thinned(_divided(release, data, protocol), sample))
    subjects = [Subject(item, split, item.sha256 or releases.digest(item.path)) for item, split in wanted]
    touched = {subject.item.component for subject in subjects if subject.sha256 in learnt} - {""}
    fresh = [each for each in subjects if each.sha256 not in learnt and each.item.component not in touched]
    known = {name for name, _, _ in _learnt(release)}  # by name: a random split parts files with the same bytes
    if protocol == PUBLISHED and (taught := sum(subject.item.name in known for subject in subjects)):
        raise DatasetError(
            f"{release.directory} learnt from {taught} of the published test files: this protocol "
            f"wants a release that was trained on its own training split"
        )
    if not fresh:
        raise DatasetError("every image given was learnt from or calibrated on: there is nothing to test on")
    return fresh


def published_split(data: Path) -> dict[str, object]:
    """Which random split of `data` the published protocol draws: its name, its digest, and whether it is the known
    one.
    """
    drawn = published.divide(item for part in datasets.opened(data).values() for item in part)
    digest = published.digest(drawn)
    return {"name": published.NAME, "digest": digest, "known": digest == published.KNOWN}


def fingerprint(subjects: Iterable[Subject]) -> str:
    """SHA-256 over names and bytes of all files: two reports on equal files have it in common."""
    lines = sorted(f"{subject.item.name} {subject.sha256}\n" for subject in subjects)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def thin(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of the items, always the same ones: those whose names have the lowest SHA-256."""
    kept = sorted(items, key=lambda item: hashlib.sha256(item.name.encode()).digest())[:count]
    names = {item.name for item in kept}
    return [item for item in items if item.name in names]


def _divided(release: Release, data: Path, protocol: str) -> list[tuple[Item, str]]:
    divided = datasets.opened(data)
    if protocol == PUBLISHED:
        drawn = published.divide(item for part in divided.values() for item in part)
        return [(item, splits.TEST) for item in drawn[splits.TEST]]
    away = {item.source for part in divided.values() for item in part} - _taught(release)
    if away:
        divided = datasets.opened(data, away)
    return [(item, split) for split in (splits.TEST, splits.UNSEEN) for item in divided[split]]


def _thinned(wanted: Sequence[tuple[Item, str]], sample: int | None) -> Iterable[tuple[Item, str]]:
    if sample is None:
        return wanted
    piles: dict[tuple[str, int], list[Item]] = defaultdict(list)
    for item, _ in wanted:
        piles[item.source, item.label].append(item)
    kept = {item.name for pile in piles.values() for item in thin(pile, sample)}
    return [(item, split) for item, split in wanted if item.name in kept]


def _taught(release: Release) -> set[str]:
    """The sources that the release learnt from, by its own record and by the names on its training list."""
    told = [part.training.get("sources", {}) for part in (release, *(member for member, _ in release.networks))]
    named = {
        name for sources in told for name, row in sources.items() if not str(row.get("use")).startswith("held out")
    }
    return named | {name.partition("/")[0] for name, _, use in _learnt(release) if use == releases.TAUGHT}


def _learnt(release: Release) -> list[tuple[str, str, str]]:
    """Name, SHA-256 and use of every image in the training lists of the release and of its members."""
    return [row for part in (release, *(member for member, _ in release.networks)) for row in releases.read_list(part)]
