"""Where a release fails, in sentences made from a report's figures. They refuse to praise: a reader who wants to know
what to trust it with is served by what it gets wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from model.evaluation import conditions, processing, sets

FALL = 0.05  # of AUC: a smaller difference between bins or steps is not worth a sentence
GOOD = 0.75  # of AUC: below, a source is told as one it cannot judge
FEWEST = 50  # files, for a set or bin to be worth a sentence
SHOWN = 4  # sentences of one kind


def failings(report: Mapping[str, Any]) -> list[str]:
    """Sentences on sources, generators, conditions, processing and the worst single mistakes, the gravest first."""
    parts = (_ranking(report), _accused(report), _missed(report), _by_condition(report), _processed(report),
             _examples(report))  # fmt: skip
    return [sentence for part in parts for sentence in part]


def _ranking(report: Mapping[str, Any]) -> Iterator[str]:
    ranked = sorted((each["auc"], name) for name, each in _own(report) if "auc" in each)
    for place, (auc, name) in enumerate(ranked[:SHOWN]):
        figures = report["sets"][name]
        ends = figures["intervals"].get("auc", [auc, auc])
        span = f"AUC {auc:.3f}, 95 % interval {ends[0]:.3f} to {ends[1]:.3f}, {figures['files']} files"
        if ends[1] < 0.5:
            yield f"**{name}: worse than a coin** ({span})."
        elif ends[0] <= 0.5:
            yield f"**{name}: not told from a coin** ({span})."
        elif auc < GOOD:
            yield f"**{name}: weak**. A fake scores above a real in {auc:.0%} of pairs ({span})."
        elif figures["files"] < FEWEST:
            yield f"{name}: {span}; too few files to tell much."
        elif place == 0:
            yield f"{name} is the weakest: {span}."


def _accused(report: Mapping[str, Any]) -> Iterator[str]:
    rows = sorted(report["stress"].items(), key=lambda entry: -entry[1]["rates"].get("review", {"rate": 0})["rate"])
    for name, row in rows[:SHOWN]:
        if {"review", "fake"} <= row["rates"].keys() and row["files"]:
            review, fake = row["rates"]["review"], row["rates"]["fake"]
            yield (
                f"Of {row['files']} reals in {name} ({row['split']}), {review['hits']} ({review['rate']:.0%}) "
                f"go to review and {fake['hits']} ({fake['rate']:.1%}; at most {fake['high']:.1%}) are called fake."
            )


def _missed(report: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (figures["recall"]["review"], name, figures["fakes"])
        for name, figures in _own(report)
        if "review" in figures.get("recall", {}) and " against " not in name
    ]
    for recall, name, fakes in sorted(rows)[:SHOWN]:
        if recall < GOOD:
            yield f"Of {fakes} fakes in {name}, {1 - recall:.0%} pass below the review cut."


def _by_condition(report: Mapping[str, Any]) -> Iterator[str]:
    for name, found in report["conditions"].items():
        for condition, bins in found.items():
            if name.startswith(f"{sets.ALL} ") and condition != "generator":
                continue  # over several sources bins compare collections, not conditions
            told = {bin_: row for bin_, row in bins.items() if "auc" in row and row["files"] >= FEWEST}
            if len(told) < 2:
                continue
            low, high = (pick(told, key=lambda bin_: told[bin_]["auc"]) for pick in (min, max))
            if told[high]["auc"] - told[low]["auc"] >= FALL:
                title = conditions.TITLES.get(condition, condition)
                yield (
                    f"By {title}, {name}: AUC {told[low]['auc']:.3f} where it is {low}, {told[high]['auc']:.3f} "
                    f"where it is {high}."
                )


def _processed(report: Mapping[str, Any]) -> Iterator[str]:
    steps = report.get("robustness", {}).get("steps", {})
    start = steps.get(processing.UNCHANGED, {})
    for name, cell in start.items():
        if "auc" not in cell or not name.startswith(f"{sets.ALL} "):
            continue
        told = {step: cells[name] for step, cells in steps.items()}
        falls = {
            step: cell["auc"] - each["auc"] for step, each in told.items() if "auc" in each and each["files"] >= FEWEST
        }
        worst = sorted((step for step in falls if falls[step] >= FALL), key=lambda step: -falls[step])[:SHOWN]
        if worst:
            ends = ", ".join(f"{told[step]['auc']:.3f} ({step})" for step in worst)
            yield f"After processing, {name}: AUC falls from {cell['auc']:.3f} to {ends}."
        silenced = {step: each["inconclusive"] for step, each in told.items() if each["inconclusive"] > each["files"]}
        if silenced:
            doubts = ", ".join(f"{count} ({step})" for step, count in silenced.items())
            yield f"Of {cell['files'] + cell['inconclusive']} files in {name}, inconclusive after processing: {doubts}."


def _examples(report: Mapping[str, Any]) -> Iterator[str]:
    sentences = {
        "reals_called_fake": "The real picture with the highest score",
        "fakes_passed": "The fake with the lowest",
    }
    for kind, start in sentences.items():
        if report["mistakes"][kind]:
            row = report["mistakes"][kind][0]
            yield f"{start} is {row['name']} ({row['split']}), at {row['score']:.3f}."


def _own(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Sets of one source or pair that hold anything."""
    return (
        (name, each) for name, each in report["sets"].items() if each["files"] and not name.startswith(f"{sets.ALL} ")
    )
