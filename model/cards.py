"""A release's card: what it is, what it learnt from, its figures, where it fails and its limits, as a page beside the
weights.

Everything in it comes from the release's record and an evaluation's report, but for the author's notes. It refuses to
sum up what differs from source to source in one flattering number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from model import crops, releases
from model.evaluation import left_out, pages, words
from model.releases import Release

_READING = """\
*test* is the tenth of groups of each source that neither weights nor thresholds have seen; *unseen* are sources kept
out of training altogether, where the table above says so without the half that was calibrated on. One set of cuts for
all; brackets hold 95 % intervals over whole groups. Files that the detector calls inconclusive are counted in the last
column and measured nowhere."""

_LIMITS = """\
- A score is a reason to look, never a proof: people decide what the detector cannot.
- Calibration and thresholds do not transfer by themselves: read the rows marked *unseen*, and set thresholds on your
  own traffic.
- It knows the kinds of forgery it was shown. Newer generators, other face swaps, retouching and whole scenes without
  a face are outside of what was measured.
- A picture without a face is scored by what it knows of synthesis alone, which never learnt from such pictures; that is
  why the answer is always `inconclusive`. So is a face below {pixels} pixels{soft}.
- Agreement across ages and cameras was not measured: the sources carry no such labels that are fit for it. Of skin tone
  there is only a proxy by brightness and hue of the cheeks, which light and cameras move as much as skin does.
- The images it learnt from are for research; they are listed by name and SHA-256 and are not part of the release."""


def write(release: Release, report: Mapping[str, Any], notes: str = "") -> Release:
    """Put the report's figures into the record and `card.md` into the directory, and seal it again."""
    told = replace(release, metrics=figures(report))
    (release.directory / releases.CARD).write_text(page(told, report, notes))
    releases.seal(told)
    return releases.read(release.directory)


def figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """What of a report goes into the release's record: the `sets` with their figures, the `stress` sources, the
    `worst`, and `robustness`, the processing grid by step, where it was measured.
    """
    grid = {"robustness": report["robustness"]["steps"]} if "robustness" in report else {}
    return {name: report[name] for name in ("files", "sets", "stress", "worst")} | grid


def page(release: Release, report: Mapping[str, Any], notes: str) -> str:
    """The card in Markdown; `notes` are the author's own paragraphs, placed after the figures."""
    soft = f" or softer than {release.limits.sharpness:g}" if release.limits.sharpness else ""
    parts = [
        f"# {release.name} {release.version}",
        _what(release),
        left_out.page(release.training),
        "## What it learnt from",
        _learnt(release.training),
        "## Calibration and thresholds",
        _cuts(release),
        "## Figures",
        _READING,
        pages.table(report),
        pages.rates(report),
        pages.stress(report) if report["stress"] else "",
        "## Where it fails",
        "\n".join(f"- {line}" for line in words.failings(report)),
        notes.strip(),
        "## Limits",
        _LIMITS.format(pixels=release.limits.face_pixels, soft=soft),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(release: Release) -> str:
    steps = release.preprocessing
    cut = f"cut from a view of {crops.VIEW} pixels, as training held faces" if steps.through else "cut from the picture"
    said = (
        f"Faces in images: 0 is real, 1 is fake, and a score is the calibrated probability of fake. Network: "
        f"{release.backbone}, on crops of {steps.size} pixels at {steps.margin:g} times the face's box, {cut}."
    )
    return f"{said} {_encoder(release)}".strip()


def _encoder(release: Release) -> str:
    if release.encoder is None:
        return ""
    blocks = ", ".join(map(str, release.encoder.blocks))
    return (
        f"The image encoder is frozen: blocks {blocks} of it are read by heads, on crops of {release.encoder.size} "
        f"pixels, and joined with the small network head by head (weights of encoder, network and bias: "
        f"{'; '.join(', '.join(f'{value:.2f}' for value in row) for row in release.fusion)}). It is not part of this "
        f"directory: `unmask encoder fetch` gets the file with SHA-256 {release.encoder.source[:16]}…"
    )


def _cuts(release: Release) -> str:
    fit, cuts = release.calibration, release.thresholds
    return (
        f"P(fake) = sigmoid(logit / {fit.temperature:.3f} {fit.bias:+.3f}). From {cuts.review:.3f} on a file goes "
        f"before people (`review`), from {cuts.fake:.3f} on it is called `fake`. {release.training.get('promise', '')}"
    ).strip()


def _learnt(training: Mapping[str, Any]) -> str:
    sources = training.get("sources", {})
    rows = [
        "| source | real | fake | use |",
        "| --- | --- | --- | --- |",
        *(f"| {name} | {row['real']} | {row['fake']} | {row['use']} |" for name, row in sources.items()),
    ]
    if heads := training.get("heads"):
        told = ", ".join(f"{key} {value}" for key, value in heads.items())
        return "\n".join(rows) + f"\n\nThe small network is that of {training['network']}. Heads: {told}."
    taken, recipe = training.get("steps_taken", 0), _recipe(training.get("recipe", {}))
    return "\n".join(rows) + f"\n\nSteps taken: {taken}. Recipe:\n\n{recipe}"


def _recipe(told: Mapping[str, Any]) -> str:
    """A line for every section of a recipe; the first releases' recipes had none."""
    sections = {name: keys for name, keys in told.items() if isinstance(keys, Mapping)}
    whole = {name: value for name, value in told.items() if name not in sections}
    said = {"run": whole, **sections}.items()
    return "\n".join(f"- {name}: {', '.join(f'{key} {value}' for key, value in keys.items())}" for name, keys in said)
