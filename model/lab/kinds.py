"""Which kind of forgery each source holds: a table in TOML that says what is left out together, and measured how."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from model.errors import DatasetError
from model.heads import HEADS

DRAWING = "drawing"


class Kind(BaseModel):
    """One source's forgeries. `mates` are sources of reals to measure them against, beside the source's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: str
    family: str = ""
    head: Literal["manipulated", "synthetic"] | None = None
    mates: Annotated[tuple[str, ...], Field(default=())]

    @property
    def drawn(self) -> bool:
        """Whether the source's pictures are no photographs."""
        return self.kind == DRAWING


Kinds = Mapping[str, Kind]


def read(path: Path) -> Kinds:
    """The table in a TOML file: a section a source. Raises DatasetError naming what is wrong."""
    try:
        found = TypeAdapter(dict[str, Kind]).validate_python(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise DatasetError(f"{path} is no table of kinds: {error}") from error
    for source, kind in found.items():
        if not kind.drawn and (kind.head is None or not kind.family):
            raise DatasetError(f"{path}: {source} needs a head ({' or '.join(HEADS)}) and a family")
    return found


def folds(kinds: Kinds, by: Literal["kind", "family"]) -> dict[str, list[str]]:
    """The sources that are left out together, by the name of their kind or family."""
    found: dict[str, list[str]] = {}
    for source, kind in sorted(kinds.items()):
        if not kind.drawn:
            found.setdefault(getattr(kind, by), []).append(source)
    return found


def mates(kinds: Kinds, source: str, with_reals: Sequence[str]) -> list[str]:
    """The sources whose reals the forgeries of `source` are measured against: its own where it has any."""
    return [source] if source in with_reals else list(kinds[source].mates)
