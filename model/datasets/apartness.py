"""Gates on the lists themselves: nothing changed, and nothing of one split in another.

Everything is worked out anew from the rows, not believed from the build: the gates look at the dataset that is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from model.datasets import duplicates, manifest
from model.datasets.findings import LEAKED, PASSED, Finding
from model.datasets.manifest import Built, Row

WHOLE = "dataset"  # what a finding is about that is of no source
_NAMED = 3  # offenders named in a finding's words


def frozen(home: Path, record: Mapping[str, Any]) -> Finding:
    """Manifest and lists have the digests that the record gives them."""
    return _told("lists unchanged", [f"{name} has changed" for name in manifest.changed(home, record)])


def files(built: Built, done: Callable[[], object]) -> Finding:
    """Every listed file is there, with the bytes that were measured. `done` is called once a file."""

    def fault(row: Row) -> str | None:
        try:
            return None if manifest.digest(built.file(row)) == row.sha256 else f"{row.path} has changed"
        except OSError:
            return f"{row.path} is missing"
        finally:
            done()

    with ThreadPoolExecutor(2) as pool:
        faults = pool.map(fault, (built.rows[path] for paths in built.lists.values() for path in paths))
        return _told("files unchanged", [said for said in faults if said])


def apart(built: Built) -> Iterator[Finding]:
    """No path, group, equal file or near-duplicate in two splits, and no equal files with different labels."""
    listed = [(name, built.rows[path]) for name, paths in built.lists.items() for path in paths]
    yield _told("a file in one split", _parted(listed, lambda row: row.path))
    yield _told("groups apart", _parted(listed, lambda row: row.key))
    yield _told("equal files apart", _parted(listed, lambda row: row.sha256))
    rows = [row for _, row in listed]
    crossing = [
        f"{rows[one].path} ({listed[one][0]}) and {rows[other].path} ({listed[other][0]})"
        for one, other in duplicates.near(rows).tolist()
        if listed[one][0] != listed[other][0]
    ]
    yield _told("near-duplicates apart", crossing)
    labels: dict[str, set[int]] = defaultdict(set)
    for row in built.rows.values():
        labels[row.sha256].add(row.label)
    torn = [row.path for row in built.rows.values() if len(labels[row.sha256]) > 1]
    yield _told("one label a file", [f"{path} is real and fake" for path in torn])


def _parted(listed: Sequence[tuple[str, Row]], key: Callable[[Row], Hashable]) -> list[str]:
    where: dict[Hashable, dict[str, str]] = defaultdict(dict)
    for split, row in listed:
        where[key(row)].setdefault(split, row.path)
    return [
        " and ".join(f"{path} ({split})" for split, path in there.items())
        for there in where.values()
        if len(there) > 1
    ]  # fmt: skip


def _told(gate: str, faults: Sequence[str]) -> Finding:
    if not faults:
        return Finding(gate, WHOLE, PASSED)
    more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    return Finding(gate, WHOLE, LEAKED, f"{'; '.join(faults[:_NAMED])}{more}", len(faults), 0)
