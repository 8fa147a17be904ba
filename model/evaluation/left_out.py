"""What a release's heads said of kinds and families of forgery that they never saw, as a table.

It stands first in a report and on a card: a platform meets kinds that no training holds, so these are the figures to
expect of it. They are measured when the heads are fitted and travel in the release's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_READING = (
    "Each row is of heads that were fitted without that kind, or without its whole family, and measured on real faces "
    "that they did not learn from either. It is the encoder's part alone: the small network beside it knew some of "
    "these kinds. A release knows all of them."
)


def page(training: Mapping[str, Any]) -> str:
    """The table in Markdown of a release's `training`; empty where nothing was left out."""
    found = training.get("left_out")
    if not found:
        return ""
    rows = [
        "| source | against the reals of | fakes / reals | AUC, its kind left out | its family left out |",
        "| --- | --- | --- | --- | --- |",
    ]
    families = found["family"]["sources"]
    for source, row in found["kind"]["sources"].items():
        other = families.get(source)
        rows.append(
            f"| {source} | {', '.join(row['against'])} | {row['fakes']} / {row['reals']} | {row['auc']:.3f} | "
            f"{'-' if other is None else format(other['auc'], '.3f')} |"
        )
    rows.append(f"| **mean of all** | | | **{found['kind']['macro']:.3f}** | **{found['family']['macro']:.3f}** |")
    return "\n".join(["## Forgeries of kinds that it never saw", "", *rows, "", _READING])
