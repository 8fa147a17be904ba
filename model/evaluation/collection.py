"""Leave-one-source-out and leave-one-family-out, from the reports of releases that each never saw some source.

Every report contributes the sets that are unseen in it and hold both classes: a source, or a pair of mates. Where
several reports left the same set out (seeds), their mean stands with the spread. It refuses to let a source that was
seen, or one class alone, into the mean.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model import splits
from model.errors import DatasetError
from model.evaluation import sets

_HEAD = """\
A row is a source, or a pair of one-class sources, that the release was trained without. Mean over runs, and their
lowest and highest where there are several."""
FIGURES = ("auc", "balanced_accuracy", "calibration_error")


def read(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The reports, each with its `path`. Raises DatasetError for what is no report."""
    reports = []
    for path in paths:
        try:
            report = json.loads(path.read_text())
            reports.append({**report, "path": str(path), "sets": dict(report["sets"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path} is no report of `unmask evaluate`: {error}") from error
    return reports


def collect(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`sets`: by name of each left-out set its runs, and the mean, lowest and highest of `FIGURES`; `macro`: the mean
    over sets; `families`: of runs that left several fakes' sources out at once, the mean over those. Raises
    DatasetError where no report left anything out that has both classes.
    """
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for report in reports:
        for name, figures in _unseen(report).items():
            runs[name].append(_run(report, figures))
    if not runs:
        raise DatasetError("none of these reports tests a source with both classes that the release never saw")
    rows: dict[str, dict[str, Any]] = {name: {"runs": mine, **_spread(mine)} for name, mine in sorted(runs.items())}
    return {
        "sets": rows,
        "macro": {figure: float(np.mean([row[figure]["mean"] for row in rows.values()])) for figure in FIGURES},
        "families": _families(reports),
    }


def write(folder: Path, table: Mapping[str, Any]) -> None:
    """Write `collection.json` and `collection.md` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "collection.json").write_text(json.dumps(table, indent=1, allow_nan=False) + "\n")
    (folder / "collection.md").write_text(markdown(table))


def markdown(table: Mapping[str, Any]) -> str:
    """The collection as a page."""
    lines = [
        "# Sources that the training never saw",
        "",
        _HEAD,
        "",
        "| left out | runs | real / fake | AUC | balanced accuracy | ECE | FPR at fake |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in table["sets"].items():
        first = row["runs"][0]
        accused = np.mean([run["false_positive_rate"].get("fake", np.nan) for run in row["runs"]])
        figures = " | ".join(_told(row[figure], len(row["runs"])) for figure in FIGURES)
        lines.append(
            f"| {name} | {len(row['runs'])} | {first['files'] - first['fakes']} / {first['fakes']} "
            f"| {figures} | {accused:.3f} |"
        )
    macro = " | ".join(f"**{table['macro'][figure]:.3f}**" for figure in FIGURES)
    lines.append(f"| **mean over rows** | | | {macro} | |")
    if table["families"]:
        lines += ["", "## Families left out together", "", "| release | left out | mean AUC |", "| --- | --- | --- |"]
        lines += [f"| {row['release']} | {', '.join(row['sets'])} | {row['auc']:.3f} |" for row in table["families"]]
    return "\n".join(lines) + "\n"


def _unseen(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    ending = f" ({splits.UNSEEN})"
    return {
        name.removesuffix(ending): figures
        for name, figures in report["sets"].items()
        if name.endswith(ending) and not name.startswith(f"{sets.ALL} ") and "auc" in figures
    }


def _run(report: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    kept = (*FIGURES, "files", "fakes", "false_positive_rate")
    return {
        "release": _name(report),
        "report": report["path"],
        **{name: figures[name] for name in kept},
        "auc_interval": figures.get("intervals", {}).get("auc", []),
    }


def _spread(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    found = {}
    for figure in FIGURES:
        values = [run[figure] for run in runs]
        found[figure] = {"mean": float(np.mean(values)), "low": min(values), "high": max(values)}
    return found


def _families(reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for report in reports:
        unseen = _unseen(report)
        if len(unseen) > 1:
            auc = float(np.mean([figures["auc"] for figures in unseen.values()]))
            found.append({"release": _name(report), "sets": sorted(unseen), "auc": auc})
    return found


def _name(report: Mapping[str, Any]) -> str:
    return f"{report['release']['name']} {report['release']['version']}"


def _told(spread: Mapping[str, float], runs: int) -> str:
    ends = f" [{spread['low']:.3f}, {spread['high']:.3f}]" if runs > 1 else ""
    return f"{spread['mean']:.3f}{ends}"
