"""What a built dataset's directory holds, and how it is written and read.

`manifest.csv.gz` has a row a file, `splits/NAME.csv` the frozen list (path and SHA-256) of each split, and
`dataset.json` the options, the counts, the folders that paths begin in, and the SHA-256 of every list. No list names
a folder of this machine, so that equal data gives equal hashes anywhere. It refuses a record of another format.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from model.errors import DatasetError

FORMAT = 1
RECORD, TABLE, LISTS, MEDIA = "dataset.json", "manifest.csv.gz", "splits", "media"


@dataclass(frozen=True, slots=True)
class Row:
    """One file: `path` below the folder numbered `root` in the record, `label` 0 real or 1 fake, `pdq` 64 hex digits
    with its quality 0 to 100, sides in pixels, `jpeg_quality` 1 to 100 as estimated from the quantisation tables
    (None for other formats), `faces` where somebody counted them, `published` the split that the publisher put it in.
    """

    path: str
    root: int
    label: int
    source: str
    generator: str
    group: str
    sha256: str
    pdq: str
    pdq_quality: int
    width: int
    height: int
    format: str
    bytes: int
    jpeg_quality: int | None = None
    faces: int | None = None
    published: str = ""
    component: str = ""

    @property
    def key(self) -> str:
        """The group with its source, as `sources.Item.key`."""
        return f"{self.source}/{self.group}"


COLUMNS = tuple(field.name for field in fields(Row))
_NUMBERS = {"root", "label", "pdq_quality", "width", "height", "bytes", "jpeg_quality", "faces"}


@dataclass(frozen=True, slots=True)
class Built:
    """A dataset's directory, what `dataset.json` says, its rows by path, and the paths of each split in order."""

    home: Path
    record: Mapping[str, Any]
    rows: Mapping[str, Row]
    lists: Mapping[str, list[str]]

    def file(self, row: Row) -> Path:
        """Where the row's file lies."""
        return self.home / str(self.record["roots"][row.root]) / row.path


def is_built(folder: Path) -> bool:
    """Whether `folder` is a built dataset rather than a folder of images."""
    return (folder / RECORD).is_file()


def read(home: Path) -> Built:
    """The dataset in `home`. Raises DatasetError when there is none, it is of another format, or its manifest or a
    list is not what was frozen.
    """
    record = recorded(home)
    if thawed := changed(home, record):
        raise DatasetError(f"{home / thawed[0]} has changed since the dataset was built")
    rows = {row.path: row for row in _rows(home / TABLE)}
    lists = {name: [line["path"] for line in listed(home, name)] for name in record["splits"]}
    if strangers := [path for paths in lists.values() for path in paths if path not in rows]:
        raise DatasetError(f"{home}: {strangers[0]} is on a split's list but not in {TABLE}")
    return Built(home, record, rows, lists)


def recorded(home: Path) -> dict[str, Any]:
    """What `dataset.json` says. Raises DatasetError when there is none or it is of another format."""
    if not is_built(home):
        raise DatasetError(f"{home} is no built dataset: it has no {RECORD}")
    record: dict[str, Any] = json.loads((home / RECORD).read_text())
    if record.get("format") != FORMAT:
        raise DatasetError(f"{home / RECORD} is of format {record.get('format')}, this program reads {FORMAT}")
    return record


def changed(home: Path, record: Mapping[str, Any]) -> list[str]:
    """Names below `home` of the frozen files that are missing or other than the record says."""
    frozen = {TABLE: record["manifest"]}
    frozen |= {list_file(Path(), name).as_posix(): said for name, said in record["splits"].items()}
    return [name for name, said in frozen.items() if not (home / name).is_file() or digest(home / name) != said]


def write(home: Path, record: Mapping[str, Any], rows: Iterable[Row], lists: Mapping[str, Iterable[Row]]) -> None:
    """Write manifest, lists and, last, `dataset.json`, whose presence says that the others are whole. `record` holds
    whatever else it is to say.
    """
    (home / LISTS).mkdir(parents=True, exist_ok=True)
    content = table(COLUMNS, (asdict(row).values() for row in rows))
    (home / TABLE).write_bytes(gzip.compress(content, mtime=0))
    splits = {}
    for name, members in lists.items():
        content = table(("path", "sha256"), ((row.path, row.sha256) for row in members))
        list_file(home, name).write_bytes(content)
        splits[name] = hashlib.sha256(content).hexdigest()
    said = {"format": FORMAT, **record, "splits": splits, "manifest": digest(home / TABLE)}
    (home / RECORD).write_text(json.dumps(said, indent=2) + "\n")


def list_file(home: Path, split: str) -> Path:
    """Where a split's list lies."""
    return home / LISTS / f"{split}.csv"


def listed(home: Path, split: str) -> list[dict[str, str]]:
    """The lines of a split's list: path, sha256."""
    with list_file(home, split).open(newline="") as lines:
        return list(csv.DictReader(lines))


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    """CSV in UTF-8 with a head of `columns`."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(rows)
    return text.getvalue().encode()


def _rows(table: Path) -> Iterable[Row]:
    with gzip.open(table, "rt", newline="") as lines:
        for line in csv.DictReader(lines):
            yield Row(**{name: _value(name, line[name]) for name in COLUMNS})  # type: ignore[arg-type]


def _value(name: str, text: str) -> str | int | None:
    if name not in _NUMBERS:
        return text
    return int(text) if text else None
