"""The report on a refitted release: what it gained and lost on every frozen set, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from model.lab.kinds import Kind
from model.releases import Release

if TYPE_CHECKING:
    from model.lab.refitting import Addition, Refit, Row


def report(release: Release, made: Refit, new: Addition, kind: Kind, name: str) -> dict[str, Any]:
    """What the candidate gained and lost, as JSON can carry it."""
    return {
        "from": f"{release.name} {release.version}",
        "name": name,
        "kind": kind.model_dump(mode="json"),
        "added": {
            "fakes": int(new.labels.sum()), "reals": int((new.labels == 0).sum()), "frozen": int(new.frozen.sum()),
            "without_a_face": new.faceless,
        },
        "thresholds": asdict(made.thresholds),
        "sets": [_told(row) for row in made.rows],
        "refused": list(made.refusals),
    }  # fmt: skip


def page(told: Mapping[str, Any], made: Refit) -> str:
    """The same as Markdown."""
    added = (
        f"{told['added']['fakes']} forged and {told['added']['reals']} real faces were added, "
        f"{told['added']['frozen']} of them only to measure. Every figure is of faces that were not learnt from."
    )
    lines = [
        f"# {told['from']} + {told['name']}", "", added, "",
        "| set | fakes | reals | AUC before | after | in review before | after | called fake before | after |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for row in made.rows:
        pairs = [row.auc, row.review, row.fake]
        cells = ["-" if np.isnan(value) else f"{value:.3f}" for pair in pairs for value in pair]
        lines.append("| " + " | ".join([row.name, str(row.fakes), str(row.reals), *cells]) + " |")
    verdict = ["", "The gate accepts it."] if not made.refusals else ["", "**The gate refuses it:**", ""]
    return "\n".join([*lines, *verdict, *(f"- {each}" for each in made.refusals)]) + "\n"


def _told(row: Row) -> dict[str, Any]:
    said = asdict(row)
    for key in ("auc", "review", "fake"):
        said[key] = [None if np.isnan(value) else value for value in said[key]]
    return said
