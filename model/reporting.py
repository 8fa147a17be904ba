"""An evaluation as people read it: a Markdown table, ROC curves and a reliability diagram. It computes no figure that
the JSON report does not hold, and refuses to leave the bad ones out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model import evaluation, metrics
from model.evaluation import Trial

_COLUMNS = ("set", "real / fake", "AUC [95 %]", "balanced acc.", "FPR even / review / fake",
            "recall even / review / fake", "recall at FPR 1 %", "ECE", "Brier", "inconclusive")  # fmt: skip


def write(folder: Path, report: Mapping[str, Any], trials: Sequence[Trial]) -> None:
    """Write `report.json`, `report.md`, `roc.png` and `reliability.png` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "report.md").write_text(markdown(report))
    _draw(folder, trials)


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page: the cuts, one row a set, and a per-class table of every set with both classes."""
    cuts = ", ".join(f"{name} {value:.3f}" for name, value in report["thresholds"].items())
    lines = [
        f"# {report['release']['name']} {report['release']['version']}",
        "",
        f"A score is P(fake). Cuts: {cuts}; the same for every source.",
        "",
        table(report),
    ]
    for name, figures in report["sets"].items():
        if "auc" in figures:
            lines += ["", f"## {name}", "", *_per_class(figures)]
    return "\n".join(lines) + "\n"


def table(report: Mapping[str, Any]) -> str:
    """One Markdown row for every set of files."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *(_row(name, figures) for name, figures in report["sets"].items())]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    interval = "[{:.3f}, {:.3f}]".format(*figures["auc_interval"]) if "auc" in figures else ""
    doubts = ", ".join(f"{count} {reason}" for reason, count in figures["inconclusive"].items())
    return (
        name,
        f"{figures['files'] - figures['fakes']} / {figures['fakes']}",
        f"{_number(figures.get('auc'))} {interval}".strip(),
        _number(figures.get("balanced_accuracy")),
        _rates(figures.get("false_positive_rate")),
        _rates(figures.get("recall")),
        _number(figures.get("recall_at_false_positive_rate", {}).get("0.01")),
        _number(figures.get("calibration_error")),
        _number(figures.get("brier")),
        doubts or "0",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _rates(rates: Mapping[str, float] | None) -> str:
    return "-" if rates is None else " / ".join(f"{rate:.3f}" for rate in rates.values())


def _per_class(figures: Mapping[str, Any]) -> list[str]:
    lines = [
        "| class | precision | recall | F1 | support | called real | called fake |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, row), said in zip(figures["classes"].items(), figures["confusion"], strict=True):
        numbers = " | ".join(_number(row[key]) for key in ("precision", "recall", "f1"))
        lines.append(f"| {name} | {numbers} | {row['support']} | {said[0]} | {said[1]} |")
    return lines


def _draw(folder: Path, trials: Sequence[Trial]) -> None:
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    roc, reliability = Figure((6, 6), layout="constrained"), Figure((6, 6), layout="constrained")
    curves, diagram = roc.subplots(), reliability.subplots()
    names = sorted({trial.split for trial in trials})
    sources = sorted({trial.item.source for trial in trials})
    sets = {f"all ({name})": [trial for trial in trials if trial.split == name] for name in names}
    sets |= {source: [trial for trial in trials if trial.item.source == source] for source in sources}
    for name, members in sets.items():
        scored = evaluation.measured(members)
        if not scored.both_classes:
            continue
        order = np.argsort(-scored.scores)
        fakes = scored.labels[order] == 1
        label = f"{name}: AUC {metrics.auc(scored.scores, scored.labels):.3f}"
        curves.plot(np.cumsum(~fakes) / (~fakes).sum(), np.cumsum(fakes) / fakes.sum(), label=label)
        if name.startswith("all"):
            bins = np.array_split(order[::-1], min(metrics.BINS, len(order)))
            points = [(scored.scores[part].mean(), scored.labels[part].mean()) for part in bins]
            diagram.plot(*zip(*points, strict=True), marker="o", label=name)
    for axes, across, up in ((curves, "false-positive rate", "recall"), (diagram, "score", "share that is fake")):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axes.set(xlabel=across, ylabel=up, xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="best", fontsize="small")
    roc.savefig(folder / "roc.png", dpi=110)
    reliability.savefig(folder / "reliability.png", dpi=110)
