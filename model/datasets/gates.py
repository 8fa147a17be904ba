"""`unmask dataset check`: every leak gate over a built dataset.

A leak fails the dataset: a changed list or file, anything of one split in another, one file with two labels, and a
classifier that tells the label of an equalised crop from what should not say it. Metadata that tells the label of the
files as stored only warns, since training equalises both classes. Sources of one class are named: nothing in them
can be told from the source. It refuses to judge a figure that chance explains.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from model.datasets import apartness, manifest, probes
from model.datasets.findings import (
    CERTAIN,
    CHANCE,
    LEAKED,
    NOTED,
    PASSED,
    TOO_FEW,
    WARNED,
    Finding,
    judged,
    standard_error,
)
from model.datasets.manifest import Built, Row
from model.errors import BadImage
from model.faces import FaceFinder
from model.sources import LABELS

SAMPLE = 600  # files of each class of a source that the classifiers see
METADATA, PICTURE, SHUFFLED = 0.60, 0.65, 0.03  # AUC at most, and at most off a half

Told = Callable[[int, int], object]  # files done, and how many there are


def check(
    home: Path, finder: FaceFinder, told: Told, mates: Mapping[str, str] | None = None, sample: int = SAMPLE
) -> list[Finding]:
    """What every gate finds in the dataset in `home`. `mates` joins a source of fakes to a source of reals; `sample`
    bounds the files of a class, none means that no picture is looked at. Raises DatasetError where there is none.
    """
    record = manifest.recorded(home)
    findings = [apartness.frozen(home, record)]
    if findings[0].verdict == LEAKED:
        return findings  # what the lists say of themselves is no longer known
    built = manifest.read(home)
    families = _families(built, mates or {})
    picked = {name: _picked(rows, sample) for name, rows in families.items()}
    total = sum(map(len, built.lists.values())) + sum(map(len, picked.values()))
    seen = iter(range(1, total + 1))

    def done() -> None:
        told(next(seen), total)

    findings += [apartness.files(built, done), *apartness.apart(built)]
    whole = findings[1].verdict == PASSED
    for name, rows in families.items():
        if len({row.label for row in rows}) < len(LABELS):
            only = next(word for word, label in LABELS.items() if label == rows[0].label)
            findings.append(Finding("both classes", name, NOTED, f"all {len(rows)} files are {only}"))
            continue
        findings.append(_of_metadata(name, rows))
        if whole and picked[name]:
            findings += _of_pictures(name, picked[name], built, finder, done)
    return findings


def _families(built: Built, mates: Mapping[str, str]) -> dict[str, list[Row]]:
    """Listed rows by source, a source of fakes with its mate."""
    families: dict[str, list[Row]] = defaultdict(list)
    mated = set(mates) | set(mates.values())
    for paths in built.lists.values():
        for row in (built.rows[path] for path in paths):
            reals = mates.get(row.source, row.source)
            families[f"{reals} and mates" if row.source in mated else row.source].append(row)
    return dict(sorted(families.items()))


def _picked(rows: Sequence[Row], most: int) -> list[Row]:
    """As many of both classes as there are of the rarer, `most` at most; none of a one-class source."""
    piles = [[row for row in rows if row.label == label] for label in LABELS.values()]
    return [row for pile in piles for row in probes.drawn(pile, min(most, *map(len, piles)))]


def _error(rows: Sequence[Row]) -> float:
    """The standard error of an AUC, counting components: frames of one video are no independent files."""
    reals, fakes = (len({row.component for row in rows if row.label == label}) for label in LABELS.values())
    return standard_error(reals, fakes)


def _of_metadata(name: str, rows: Sequence[Row]) -> Finding:
    labels = np.array([row.label for row in rows])
    figure = probes.auc(probes.metadata(rows), labels, [row.component for row in rows])
    found = judged("stored metadata", name, figure, METADATA, _error(rows), over=WARNED)
    if found.verdict != WARNED:
        return found
    return Finding(found.gate, name, WARNED, "it tells the label: train through the equaliser", figure, METADATA)


def _of_pictures(
    name: str, rows: Sequence[Row], built: Built, finder: FaceFinder, done: Callable[[], object]
) -> Iterator[Finding]:
    try:
        shown = probes.show(rows, lambda row: built.file(row).read_bytes(), finder, done)
    except BadImage as fault:
        yield Finding("equalised crops", name, LEAKED, f"a file that was measured cannot be decoded: {fault}")
        return
    labels = np.array([row.label for row in rows])
    groups = [row.component for row in rows]
    error = _error(rows)
    thumbnails = probes.thumbnail(shown)
    for gate, features, limit in (
        ("equalised metadata", probes.coded_size(shown), METADATA),
        ("border alone", probes.border(shown), PICTURE),
        ("8 x 8 thumbnail", thumbnails, PICTURE),
    ):
        yield judged(gate, name, probes.auc(features, labels, groups), limit, error)
    yield _of_shuffled(name, probes.shuffled(thumbnails, labels, groups), error / math.sqrt(probes.SHUFFLES))


def _of_shuffled(name: str, figure: float, error: float) -> Finding:
    allowed = max(SHUFFLED, CERTAIN * error)
    if math.isnan(figure):
        return Finding("shuffled labels", name, NOTED, TOO_FEW)
    if abs(figure - CHANCE) <= allowed:
        return Finding("shuffled labels", name, PASSED, "", figure, CHANCE + allowed)
    return Finding("shuffled labels", name, LEAKED, "the measuring itself leaks", figure, CHANCE + allowed)
