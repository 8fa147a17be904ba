"""What a build has finished so far, a JSON line a find, so that an interrupted build goes on where it was.

A line holds for the very same find, file (by size and time) and options; anything else is looked at again. It refuses
nothing: a line torn by a kill is cut off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from model.datasets.finds import Find
from model.datasets.manifest import Row


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a find gave nothing: a slug and a sentence."""

    slug: str
    detail: str


Outcome = Sequence[Row] | Failure


class Journal:
    """The lines of one file, to be appended to while it is open."""

    def __init__(self, path: Path) -> None:
        """Read `path`, which need not exist."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, Mapping[str, Any]] = {}
        self._file = path.open("a+b")
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            said = json.loads(line)
            self._known[said["key"]] = said
        self._file.truncate(whole)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def outcome(self, key: str) -> Outcome | None:
        """What came of the find with this key; None when it was not finished."""
        said = self._known.get(key)
        if said is None:
            return None
        return Failure(**said["failure"]) if "failure" in said else [Row(**row) for row in said["rows"]]

    def add(self, key: str, outcome: Outcome) -> None:
        """Append what came of a find; it survives a kill of this process."""
        said: dict[str, Any] = {"key": key}
        if isinstance(outcome, Failure):
            said["failure"] = asdict(outcome)
        else:
            said["rows"] = [asdict(row) for row in outcome]
        self._file.write(json.dumps(said).encode() + b"\n")
        self._file.flush()


def key_of(find: Find, options: object) -> str:
    """The find, its file's size and time, and the options that shape what comes of it, in words."""
    try:
        about = find.place.stat()
    except OSError:
        return f"{find!r} missing"
    return f"{find!r} {about.st_size} {about.st_mtime_ns} {options!r}"
