"""The figures of a report as pictures, each as PNG and SVG: curves, matrices, reliability and the processing grid.

Drawn without a display and without global state, and the same report gives the same bytes. It refuses to draw files
themselves: those are other people's, and `gallery` shows them to whoever asks.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import metrics
from model.evaluation import processing, sets
from model.evaluation.scoring import Trial, measured
from model.metrics import Scored

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
GREY = "#b8bcc4"
_LEAST_SHARE = 1e-3  # left end of a logarithmic axis of false-positive rates


def draw(folder: Path, trials: Sequence[Trial], mates: sets.Mates, report: Mapping[str, Any]) -> list[str]:
    """Write every picture that these trials allow into `folder`; returns their names without suffix, in order."""
    named = {name: measured(members) for name, members in sets.grouped(trials, mates).items()}
    ranked = {name: scored for name, scored in named.items() if scored.both_classes}
    drawn = {}
    if ranked:
        drawn["roc"] = _roc(ranked)
        drawn["precision_recall"] = _precision_recall(ranked)
        drawn["confusion"] = _confusion(report["sets"], list(ranked))
        drawn["reliability"] = _reliability({name: s for name, s in ranked.items() if name.startswith(sets.ALL)})
    if "robustness" in report:
        drawn["robustness"] = _robustness(report["robustness"]["steps"])
    for name, figure in drawn.items():
        _save(figure, folder, name)
    return list(drawn)


def _figure(columns: int, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _save(figure: Any, folder: Path, name: str) -> None:
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})


def _dress(axes: Any, title: str, across: str, up: str) -> None:
    axes.set(title=title, xlabel=across, ylabel=up)
    axes.grid(color="#e6e8ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Any, axes: Any) -> None:
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small", frameon=False
    )


def _roc(ranked: Mapping[str, Scored]) -> Any:
    from sklearn.metrics import roc_curve

    figure, (whole, low) = _figure(2, 11, 6)
    for (name, scored), colour in zip(ranked.items(), _colours(), strict=False):
        false_rate, recall, _ = roc_curve(scored.labels, scored.scores)
        label = f"{name}: AUC {metrics.auc(scored.scores, scored.labels):.3f}"
        wide = 2.2 if name.startswith(sets.ALL) else 1.2
        for axes in (whole, low):
            axes.plot(np.maximum(false_rate, _LEAST_SHARE / 2), recall, color=colour, linewidth=wide, label=label)
    chance = np.linspace(_LEAST_SHARE, 1, 200)
    for axes in (whole, low):
        axes.plot(chance, chance, color=GREY, linewidth=1, linestyle="--")
        axes.set(ylim=(0, 1.005))
    _dress(whole, "ROC", "false-positive rate", "recall")
    _dress(low, "the same where platforms work: few false alarms", "false-positive rate", "recall")
    whole.set(xlim=(0, 1))
    low.set(xscale="log", xlim=(_LEAST_SHARE, 1))
    _legend(figure, whole)
    return figure


def _precision_recall(ranked: Mapping[str, Scored]) -> Any:
    figure, panels = _figure(2, 11, 6)
    for axes, share, told in ((panels[0], 0.5, "half of all"), (panels[1], metrics.RARE, "1 % of all")):
        for (name, scored), colour in zip(ranked.items(), _colours(), strict=False):
            recall, precision = _precision_at(scored, share)
            wide = 2.2 if name.startswith(sets.ALL) else 1.2
            axes.plot(recall, precision, color=colour, linewidth=wide, label=name)
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        _dress(axes, f"precision and recall where fakes are {told}", "recall", "precision")
    _legend(figure, panels[0])
    return figure


def _precision_at(scored: Scored, share: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.metrics import roc_curve

    false_rate, recall, _ = roc_curve(scored.labels, scored.scores)
    claimed = share * recall + (1 - share) * false_rate
    there = claimed > 0
    return recall[there], (share * recall)[there] / claimed[there]


def _confusion(told: Mapping[str, Any], names: Sequence[str]) -> Any:
    from matplotlib.figure import Figure

    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Figure((2.9 * columns + 0.4, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(panels, names, strict=False):
        matrix = np.array(told[name]["confusion"], float)
        shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(2, 2):
            dark = shares[row, column] > 0.5
            axes.text(
                column, row, f"{matrix[row, column]:.0f}\n{shares[row, column]:.0%}",
                ha="center", va="center", color="white" if dark else "black",
            )  # fmt: skip
        axes.set_title(name.replace(" against ", "\nagainst "), fontsize="small")
        axes.set(xticks=(0, 1), yticks=(0, 1), xticklabels=("called real", "called fake"))
        axes.set_yticklabels(("real", "fake"), rotation=90, va="center")
        axes.tick_params(length=0)
    figure.suptitle(f"at a score of {metrics.EVEN:g}", fontsize="medium")
    return figure


def _reliability(wholes: Mapping[str, Scored]) -> Any:
    figure, (diagram, histogram) = _figure(2, 11, 5.5)
    diagram.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    for (name, scored), colour in zip(wholes.items(), _colours(), strict=False):
        order = np.argsort(scored.scores)
        bins = np.array_split(order, min(metrics.BINS, len(order)))
        points = [(scored.scores[part].mean(), scored.labels[part].mean()) for part in bins]
        error = metrics.calibration_error(scored.scores, scored.labels)
        diagram.plot(*zip(*points, strict=True), color=colour, marker="o", label=f"{name}: ECE {error:.3f}")
        for label, style in ((0, "--"), (1, "-")):
            mine = scored.scores[scored.labels == label]
            histogram.hist(
                mine, np.linspace(0, 1, 26), weights=np.full(len(mine), 1 / len(mine)), histtype="step", color=colour,
                linestyle=style, label=f"{name}, {('real', 'fake')[label]}",
            )  # fmt: skip
    diagram.set(xlim=(0, 1), ylim=(0, 1))
    _dress(diagram, f"reliability, {metrics.BINS} bins of equal mass", "mean score", "share that is fake")
    _dress(histogram, "scores by class", "score", "share of the class")
    diagram.legend(fontsize="small", frameon=False)
    histogram.legend(fontsize="small", frameon=False)
    return figure


def _robustness(steps: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Any:
    from matplotlib.figure import Figure

    start = steps[processing.UNCHANGED]
    ranked = [name for name, cell in start.items() if "auc" in cell]
    figure = Figure((4 + 0.62 * (len(ranked) + len(start)), 9.5), layout="constrained")
    widths = [max(1, len(ranked)), len(start)]
    left, right = figure.subplots(1, 2, width_ratios=widths)
    _heat(left, steps, ranked, "AUC", ("auc",))
    _heat(right, steps, list(start), "balanced accuracy (of one class: share right)", ("balanced_accuracy", "right"))
    right.set_yticklabels([])
    figure.supxlabel("* fewer than half of the files stayed conclusive; empty: none did", fontsize="small")
    return figure


def _heat(axes: Any, steps: Mapping[str, Any], names: Sequence[str], title: str, figures: Sequence[str]) -> None:
    grid = np.full((len(steps), len(names)), np.nan)
    for row, cells in enumerate(steps.values()):
        for column, name in enumerate(names):
            cell = cells[name]
            grid[row, column] = next((cell[figure] for figure in figures if figure in cell), np.nan)
    axes.set_facecolor("#eceef1")
    axes.imshow(grid, cmap="RdYlGn", vmin=0.4, vmax=1, aspect="auto")
    for (row, cells), (column, name) in itertools.product(enumerate(steps.values()), enumerate(names)):
        value, cell = grid[row, column], cells[name]
        if not np.isnan(value):
            few = "*" if cell["files"] < cell["inconclusive"] else ""
            ink = "white" if value < 0.48 or value > 0.94 else "black"
            axes.text(column, row, f"{value:.2f}{few}", ha="center", va="center", fontsize="x-small", color=ink)
    axes.set_xticks(range(len(names)), [_broken(name) for name in names], rotation=90, fontsize="x-small")
    axes.set_yticks(range(len(steps)), list(steps), fontsize="small")
    axes.set_title(title, fontsize="medium")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _broken(name: str) -> str:
    return name.replace(" against ", "\nagainst ")


def _colours() -> Sequence[str]:
    return COLOURS * 4
