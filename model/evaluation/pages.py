"""A report as people read it, in Markdown: first what it comes to in words, then every table, then how to read them.

It computes no figure that the JSON report does not hold, and refuses to leave the bad ones out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.evaluation import conditions, left_out, words

_SETS = ("set", "real / fake", "AUC", "AP 50/50", "AP at 1 %", "balanced accuracy", "recall at FPR .1 / 1 / 5 %", "ECE",
         "Brier", "not measured")  # fmt: skip
_RATES = ("set", "FPR at even", "at review", "at fake", "recall at even", "at review", "at fake")
_PICTURES = {
    "roc": "ROC", "precision_recall": "precision and recall", "confusion": "confusion matrices",
    "reliability": "reliability", "robustness": "processing grid",
}  # fmt: skip
_READING = """\
*test* is the part of each source that neither weights nor thresholds have seen, divided by group; *unseen* are sources
kept out of training altogether, without the half that a release may have been calibrated on (its card says so). One set
of cuts for all. Brackets hold 95 % intervals: of rates of real-only sources
the exact binomial one, of everything else by drawing whole groups with replacement (1,000 draws; none where all draws
agree, as on a few files that are all right). Of files without a conclusive score only the number and the reasons are
told. ECE is over 15 bins of equal mass. AP at 1 % is what average precision would be if one file in a hundred were
fake. The skin tone proxy moves with light, white balance, make-up and camera as much as with skin: it can show a
failure on dark faces, and cannot show that there is none."""


def write(folder: Path, report: Mapping[str, Any], pictures: Sequence[str]) -> None:
    """Write `report.json` and `report.md` into `folder`, the latter with the `pictures` that lie beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    (folder / "report.md").write_text(markdown(report, pictures))


def markdown(report: Mapping[str, Any], pictures: Sequence[str] = ()) -> str:
    """The whole page."""
    shown = [f"![{_PICTURES[name]}]({name}.png)" for name in pictures]
    parts = [
        f"# {report['release']['name']} {report['release']['version']}",
        _cuts(report),
        left_out.page(report),
        "## What it comes to",
        "\n".join(f"- {line}" for line in words.failings(report)),
        "## Sets",
        table(report),
        rates(report),
        *shown,
        *_per_class(report),
        *_stress(report),
        *_bands(report),
        *_calibration(report),
        *_conditions(report),
        *_robustness(report),
        *_comparison(report),
        *_mistakes(report),
        "## How to read it",
        _READING,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(report: Mapping[str, Any]) -> str:
    """What the page says first, with the table of sets: enough for a terminal."""
    said = "\n".join(f"- {line}" for line in words.failings(report))
    return f"{_cuts(report)}\n\n{table(report)}\n\n{said}\n"


def table(report: Mapping[str, Any]) -> str:
    """One row for every set of files: what ranks and calibrates."""
    return _table(_SETS, (_set_row(name, figures) for name, figures in report["sets"].items()))


def rates(report: Mapping[str, Any]) -> str:
    """One row for every set of files: both error rates at every cut."""
    return _table(_RATES, (_rate_row(name, figures) for name, figures in report["sets"].items()))


def stress(report: Mapping[str, Any]) -> str:
    """One row for every source that holds reals only."""
    rows = [
        (f"{name} ({row['split']})", str(row["files"]), *(_exact(rate) for rate in row["rates"].values()))
        for name, row in report["stress"].items()
    ]
    return _table(("real-only source", "files", *(f"FPR at {cut}" for cut in report["thresholds"])), rows)


def _cuts(report: Mapping[str, Any]) -> str:
    cuts = ", ".join(f"{name} {value:.3f}" for name, value in report["thresholds"].items())
    said = f"A score is P(fake). Cuts: {cuts}; the same for every source. Protocol: {report['protocol']}."
    split = report.get("published_split")
    if split:
        same = "the one of our other reports" if split["known"] else "not that of our other reports: other files"
        said += f" Split {split['name']}, list {split['digest'][:12]} ({same})."
    return said


def _set_row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    found = figures.get("recall_at_false_positive_rate", {})
    doubts = [f"{count} {reason}" for reason, count in figures["inconclusive"].items()]
    doubts += [f"{figures['failed']} failed"] if figures["failed"] else []
    return (
        name,
        f"{figures['files'] - figures['fakes']} / {figures['fakes']}",
        _with_interval(figures, "auc"),
        _number(figures.get("average_precision")),
        _number(figures.get("average_precision_at_1_percent")),
        _with_interval(figures, "balanced_accuracy"),
        " / ".join(_number(value) for value in found.values()) or "-",
        _number(figures.get("calibration_error")),
        _number(figures.get("brier")),
        ", ".join(doubts) or "0",
    )


def _rate_row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    cuts = ("even", "review", "fake")
    return (
        name,
        *(_with_interval(figures, f"{kind}.{cut}") for kind in ("false_positive_rate", "recall") for cut in cuts),
    )


def _per_class(report: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, figures in report["sets"].items():
        if "auc" in figures:
            for (kind, row), said in zip(figures["classes"].items(), figures["confusion"], strict=True):
                numbers = (_number(row[key]) for key in ("precision", "recall", "f1"))
                rows.append((name, kind, *numbers, str(row["support"]), str(said[0]), str(said[1])))
    columns = ("set", "class", "precision", "recall", "F1", "support", "called real", "called fake")
    return ["## Per class, at even odds", _table(columns, rows)] if rows else []


def _stress(report: Mapping[str, Any]) -> list[str]:
    return ["## Sources of reals only", stress(report)] if report["stress"] else []


def _bands(report: Mapping[str, Any]) -> list[str]:
    parts = []
    for kind, section in report["bands_without_the_source"].items():
        rows = [
            (name, band, f"{row['threshold']:.3f}", _exact(row))
            for name, bands in section["sources"].items()
            for band, row in bands.items()
        ]
        if rows:
            budgets = ", ".join(f"{band} {budget:.0%}" for band, budget in section["budgets"].items())
            parts += [
                f"Budgets ({budgets}) kept for {kind}:",
                _table(("source left out", "band", "threshold from the others", "its reals in that band"), rows),
            ]
    said = "Each real-only source in turn: thresholds from all other reals of this report, applied to it."
    return ["## False accusations where thresholds never saw the source", said, *parts] if parts else []


def _calibration(report: Mapping[str, Any]) -> list[str]:
    rows = [
        (name, _number(row["as_released"]), _number(row["fitted_on_the_others"]), _number(row["temperature"]),
         _number(row["bias"]))
        for name, row in report["held_out_calibration"].items()
    ]  # fmt: skip
    said = (
        "Expected calibration error with both classes weighing the same: under the release's own calibration, and "
        "under the one that the other sources of this report would give."
    )
    columns = ("source or pair", "ECE as released", "ECE fitted on the others", "temperature", "bias")
    return ["## Calibration where it never saw the source", said, _table(columns, rows)] if rows else []


def _conditions(report: Mapping[str, Any]) -> list[str]:
    parts = []
    for name, found in report["conditions"].items():
        rows = [
            (
                conditions.TITLES.get(condition, condition), bin_, f"{row['files'] - row['fakes']} / {row['fakes']}",
                _auc(row), _number(row.get("false_positive_rate", {}).get("review")),
                _number(row.get("recall", {}).get("review")),
            )
            for condition, bins in found.items()
            for bin_, row in bins.items()
        ]  # fmt: skip
        parts += [
            f"### {name}",
            _table(("condition", "", "real / fake", "AUC", "FPR at review", "recall at review"), rows),
        ]
    said = "Over a whole split (*all*), bins compare collections as much as conditions: read the single sources first."
    return ["## By condition", said, *parts] if parts else []


def _robustness(report: Mapping[str, Any]) -> list[str]:
    if "robustness" not in report:
        return []
    steps = report["robustness"]["steps"]
    names = list(next(iter(steps.values())))
    rows = [(step, *(_cell(cells[name]) for name in names)) for step, cells in steps.items()]
    said = (
        f"{report['robustness']['files']} files, AUC / balanced accuracy (of one class: the share right at even odds), "
        f"and in brackets how many files became inconclusive. A figure is of the files that stayed."
    )
    return ["## After processing", said, _table(("step", *names), rows)]


def _comparison(report: Mapping[str, Any]) -> list[str]:
    found = report.get("comparison")
    if not found:
        return []
    columns = ("set", "detector", "AUC", "accuracy", "balanced accuracy", "AUC less", "DeLong p", "accuracy less",
               "McNemar p")  # fmt: skip
    rows = [_peer(name, peer, row) for name, peers in found["sets"].items() for peer, row in peers.items()]
    said = (
        f"{found['files']} files that all could score; {len(found['left_out'])} are left out for all (listed in "
        f"report.json). *less* is how far the row lies below {found['first']}; the tests are paired."
    )
    return ["## Side by side", said, _table(columns, rows)]


def _mistakes(report: Mapping[str, Any]) -> list[str]:
    parts = ["## Worst mistakes"]
    for kind, rows in report["mistakes"].items():
        told = [(row["name"], row["group"], row["split"], f"{row['score']:.3f}") for row in rows]
        parts += [f"### {kind.replace('_', ' ')}", _table(("file", "group", "split", "score"), told)] if told else []
    return parts


def _peer(name: str, peer: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    less = row.get("auc_difference_interval")
    return (
        name, peer, _auc(row), _number(row["accuracy"]), _number(row["balanced_accuracy"]),
        f"{row['auc_difference']:.3f} {_ends(less)}".strip() if "delong_p" in row else "",
        f"{row['delong_p']:.2g}" if "delong_p" in row else "",
        _number(row["accuracy_difference"]) if "mcnemar_p" in row else "",
        f"{row['mcnemar_p']:.2g}" if "mcnemar_p" in row else "",
    )  # fmt: skip


def _cell(cell: Mapping[str, Any]) -> str:
    numbers = [cell[name] for name in ("auc", "balanced_accuracy", "right") if name in cell]
    doubts = f" ({cell['inconclusive']})" if cell["inconclusive"] else ""
    return " / ".join(f"{number:.2f}" for number in numbers) + doubts


def _auc(row: Mapping[str, Any]) -> str:
    return f"{_number(row.get('auc'))} {_ends(row.get('auc_interval'))}".strip()


def _with_interval(figures: Mapping[str, Any], name: str) -> str:
    value: Any = figures
    for part in name.split("."):
        value = value.get(part) if value is not None else None
    return f"{_number(value)} {_ends(figures.get('intervals', {}).get(name))}".strip()


def _exact(rate: Mapping[str, float]) -> str:
    return f"{rate['rate']:.3f} {_ends([rate['low'], rate['high']])}"


def _ends(pair: Sequence[float] | None) -> str:
    """In brackets; nothing where every draw gave the same, which says that there are few files, not that it is sure."""
    return f"[{pair[0]:.3f}, {pair[1]:.3f}]" if pair and pair[0] < pair[1] else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
