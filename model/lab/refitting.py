"""Teaching a release a new kind of forgery: from its rehearsal and some new pictures to a candidate release.

The heads are fitted again with a prior at their present weights, on the rehearsal and the new faces together, so what
the new faces do not speak of stays as it is. Part of the rehearsal and of the new faces is frozen: it only measures.
The gate refuses a candidate that forgets an old kind, accuses more real people than the budget allows, or has the new
kind the wrong way round.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import calibration, fitting, metrics, rehearsal, releases
from model.backends import FEATURES, LOGITS
from model.bands import Thresholds
from model.calibration import Calibration
from model.detector import Detector, Sheet
from model.errors import DatasetError, ReleaseError
from model.heads import HEADS
from model.lab import calibrating, logistic, refit_pages, samples
from model.lab.kinds import Kind
from model.lab.samples import REAL
from model.probes import Probe, fused
from model.rehearsal import Rehearsal
from model.releases import Release
from model.sources import Item
from model.splits import position

FROZEN = 0.3  # of the new groups, which only measure
FEWEST = 10  # new faces to learn from
LOST = 0.01  # of AUC, that an old kind may lose
CHANCE = 0.5  # an AUC
CONFLICT = 0.1  # of AUC: an old kind loses as much only to faces that contradict it
# Variances of the prior at the present weights, the boldest first: how far new faces may move them.
STEPS = (20.0, 3.0, 1.0, 0.3, 0.1)
WEIGHT = 0.25  # of all, that the new faces of a class count
BATCH = 32

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Addition:
    """New faces: projected features float32 (n, k), what the small network says float64 (n, 2), labels (n,) and whether
    each is frozen; `faceless` counts the files without a face.
    """

    values: NDArray[np.float32]
    network: Floats
    labels: NDArray[np.int64]
    frozen: NDArray[np.bool_]
    faceless: int


@dataclass(frozen=True, slots=True)
class Row:
    """A frozen set before and after: AUC of a source of fakes, or the shares of a real source's faces above both cuts.
    What there are too few faces for is NaN.
    """

    name: str
    fakes: int
    reals: int
    auc: tuple[float, float]
    review: tuple[float, float]
    fake: tuple[float, float]

    @property
    def lost(self) -> float:
        """How much AUC it lost, of fakes in number; 0 where it lost none."""
        return max(0.0, self.auc[0] - self.auc[1]) if self.fakes >= FEWEST else 0.0


@dataclass(frozen=True, slots=True)
class Refit:
    """A candidate's heads, calibration and thresholds, the table of frozen sets, and why the gate refuses it, if so."""

    probe: Probe
    calibration: Calibration
    thresholds: Thresholds
    rows: tuple[Row, ...]
    refusals: tuple[str, ...]


def addition(detector: Detector, items: Sequence[Item], done: Any = lambda _: None) -> Addition:
    """The largest face of each item, as serving sees it. Raises DatasetError where there are too few."""
    encoder, *rest = detector.panel.seats
    values: list[NDArray[np.float32]] = []
    network: list[NDArray[Any]] = []
    labels: list[int] = []
    components: list[str] = []
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        sheets = detector.prepare([item.path.read_bytes() for item in batch]).sheets
        pairs = [(item, sheet.cuts[0]) for item, sheet in zip(batch, sheets, strict=True)
                 if isinstance(sheet, Sheet) and sheet.cuts and sheet.cuts[0].box]  # fmt: skip
        if pairs:
            cuts = [cut for _, cut in pairs]
            values.append(encoder.look([cut.crops[encoder.cutting] for cut in cuts], [FEATURES])[FEATURES])
            said = [seat.look([cut.crops[seat.cutting] for cut in cuts], [LOGITS])[LOGITS] for seat in rest]
            network.append(said[0] if said else np.zeros((len(cuts), len(HEADS))))
            labels += [item.label for item, _ in pairs]
            components += [item.component or item.key for item, _ in pairs]
        done(len(batch))
    return gathered(
        np.concatenate(values) if values else np.zeros((0, 0), np.float32),
        np.concatenate(network).astype(np.float64) if network else np.zeros((0, len(HEADS))),
        labels,
        components,
        len(items) - len(labels),
    )


def gathered(
    values: NDArray[np.float32], network: Floats, labels: Sequence[int], components: Sequence[str], faceless: int
) -> Addition:
    """New faces, of which whole `components` are frozen, always the same ones: projected features (n, k), what the
    small network says (n, 2), labels 0 or 1. A face of which the network's answer is not known (NaN) cannot measure and
    may not teach what later measures, so it is left out where it would be frozen. Raises DatasetError where too few
    faces are left.
    """
    frozen = np.array([position(f"refit {component}") < FROZEN for component in components], bool)
    usable = ~(frozen & np.isnan(network).any(axis=1))
    if usable.sum() < FEWEST:
        raise DatasetError(f"a kind is learnt from {FEWEST} faces or more; there are {usable.sum()}")
    return Addition(
        values[usable], network[usable], np.array(labels, np.int64)[usable], frozen[usable], faceless
    )  # fmt: skip


def refit(release: Release, probe: Probe, known: Rehearsal, new: Addition, kind: Kind, name: str) -> Refit:
    """The candidate that learns `new`, faces of a source `name` whose fakes are of `kind`: the boldest of `STEPS` that
    the gate accepts, else the most careful one with why it is refused. New faces that contradict an old kind are
    refused at once: a careful step would only hide it. Raises DatasetError where the release has a source of that name:
    the gate could not tell what the old one loses.
    """
    if name in known.sources:
        raise DatasetError(f"{release.name} {release.version} knows a source called {name}: choose another name")
    for variance in STEPS:
        made = _candidate(release, probe, known, new, kind, name, variance)
        if not made.refusals or any(row.lost > CONFLICT for row in made.rows if row.name != name):
            break
    return made


def _candidate(
    release: Release, probe: Probe, known: Rehearsal, new: Addition, kind: Kind, name: str, variance: float
) -> Refit:
    learned = _learned(probe, known, new, kind, name, variance)
    fusion = np.asarray(release.fusion, np.float64)
    before, after = (_logits(each, fusion, known, new) for each in (probe, learned))
    sources, labels = _frozen(known, new, name)
    fitted = _calibration(release, sources, labels, before, after)
    old, fresh = release.calibration.apply(before), fitted.apply(after)
    cuts = _cuts(release.thresholds, old[labels == 0], fresh[labels == 0])
    rows = tuple(_rows(sources, labels, (old, fresh), (release.thresholds, cuts)))
    return Refit(learned, fitted, cuts, rows, tuple(_refusals(rows, name)))


def write(release: Release, made: Refit, known: Rehearsal, new: Addition, kind: Kind, name: str, out: Path,
          cache: Path | None = None) -> Release:  # fmt: skip
    """The candidate in `out`: everything of `release` but its heads, calibration, thresholds and rehearsal; its report
    lies beside as `refit.json` and `refit.md`.
    """
    with releases.building(out) as home:
        for file in release.files:
            shutil.copyfile(release.directory / file, home / file)
        made.probe.write(home / releases.HEADS_FILE)
        _extended(known, new, kind, name).write(home / releases.REHEARSAL)
        told = refit_pages.report(release, made, new, kind, name)
        (home / "refit.json").write_text(json.dumps(told, indent=2) + "\n")
        (home / "refit.md").write_text(refit_pages.page(told, made))
        learnt = {**release.training.get("learnt", {}), name: told["added"]}
        fitting.finish(
            replace(
                release, directory=home, version=f"{release.version}+{name}", calibration=made.calibration,
                thresholds=made.thresholds, training={**release.training, "learnt": learnt}, metrics={},
            ),
            cache,
        )  # fmt: skip
    return releases.read(out)


def _learned(probe: Probe, known: Rehearsal, new: Addition, kind: Kind, name: str, variance: float) -> Probe:
    if kind.head is None:
        raise DatasetError("say which head learns it: manipulated or synthetic")
    teaching, fresh = ~known.frozen, ~new.frozen
    values = np.concatenate([known.values[teaching].astype(np.float32), new.values[fresh]])
    group = HEADS.index(kind.head) + 1
    classes = np.concatenate([known.classes[teaching], np.where(new.labels[fresh] == 1, group, REAL)])
    sources = np.concatenate([known.sources[teaching], np.full(int(fresh.sum()), name)])
    here = np.arange(len(values)) >= int(teaching.sum())
    strength = variance / len(values)
    kinds = logistic.fit(values, classes, _weights(sources, classes, here), strength, len(HEADS), probe.kinds)
    fake = (classes > REAL).astype(np.int64)
    overall = logistic.fit(values, fake, _weights(sources, fake, here), strength, 1, probe.overall)
    return replace(probe, kinds=kinds, overall=overall)


def _weights(sources: NDArray[np.str_], classes: NDArray[np.int64], new: NDArray[np.bool_]) -> Floats:
    """As usual, but that the new faces of each class count `WEIGHT` of it, however few they are."""
    found = samples.weights(sources, classes)
    for each in np.unique(classes[new]):
        fresh, old = new & (classes == each), ~new & (classes == each)
        total = found[fresh | old].sum()
        share = WEIGHT if old.any() else 1.0
        found[fresh] *= share * total / found[fresh].sum()
        if old.any():
            found[old] *= (1 - share) * total / found[old].sum()
    return found


def _logits(probe: Probe, fusion: Floats, known: Rehearsal, new: Addition) -> Floats:
    values = np.concatenate([known.values[known.frozen].astype(np.float32), new.values[new.frozen]])
    network = np.concatenate([known.network[known.frozen].astype(np.float64), new.network[new.frozen]])
    parts = [probe.heads(values), network][: fusion.shape[1] - 1]
    return np.asarray(np.logaddexp.reduce(fused(parts, fusion), axis=1))


def _frozen(known: Rehearsal, new: Addition, name: str) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    sources = np.concatenate([known.sources[known.frozen], np.full(int(new.frozen.sum()), name)])
    labels = np.concatenate([(known.classes[known.frozen] > REAL).astype(np.int64), new.labels[new.frozen]])
    return sources, labels


def _calibration(
    release: Release, sources: NDArray[np.str_], labels: NDArray[np.int64], before: Floats, after: Floats
) -> Calibration:
    """The release's own, moved so that the frozen faces of all sources have the same mean score as they had."""
    weights = samples.weights(sources, labels)
    aim = float(np.average(release.calibration.apply(before), weights=weights))
    low, high = release.calibration.bias - 4, release.calibration.bias + 4
    for _ in range(50):
        middle = (low + high) / 2
        mean = float(np.average(Calibration(release.calibration.temperature, middle).apply(after), weights=weights))
        low, high = (middle, high) if mean < aim else (low, middle)
    return Calibration(release.calibration.temperature, (low + high) / 2)


def _cuts(thresholds: Thresholds, before: Floats, after: Floats) -> Thresholds:
    """Cuts that put no larger a share of the frozen reals above them than the old ones do."""
    found = []
    for cut in (thresholds.review, thresholds.fake):
        allowed = int((before >= cut).sum())
        ordered = np.sort(after)[::-1]
        lowest = float(np.nextafter(ordered[allowed], 1.0)) if allowed < len(ordered) else 0.0
        found.append(min(max(cut, lowest), 1.0))
    return Thresholds(min(found), found[1])


def _rows(
    sources: NDArray[np.str_], labels: NDArray[np.int64], scores: tuple[Floats, Floats],
    cuts: tuple[Thresholds, Thresholds],
) -> list[Row]:  # fmt: skip
    """A row a source; fakes of a source without reals are measured against all frozen reals."""
    found = []
    for source in np.unique(sources).tolist():
        mine = sources == source
        fakes, reals = mine & (labels == 1), mine & (labels == 0)
        against = reals if reals.sum() >= FEWEST else labels == 0
        chosen = fakes | against
        auc = tuple(metrics.auc(each[chosen], labels[chosen]) if fakes.any() else np.nan for each in scores)
        rates = [
            tuple(float((each[reals] >= getattr(cut, band)).mean()) if reals.any() else np.nan
                  for each, cut in zip(scores, cuts, strict=True))
            for band in ("review", "fake")
        ]  # fmt: skip
        found.append(Row(source, int(fakes.sum()), int(reals.sum()), _pair(auc), _pair(rates[0]), _pair(rates[1])))
    return found


def _refusals(rows: Sequence[Row], name: str) -> list[str]:
    found = []
    for row in rows:
        if row.name != name and row.lost > LOST:
            found.append(f"{row.name} loses {row.lost:.3f} of AUC ({row.auc[0]:.3f} to {row.auc[1]:.3f})")
        if row.name == name and row.fakes >= FEWEST and row.auc[1] < max(CHANCE, row.auc[0]):
            found.append(
                f"the new faces are told apart worse than before ({row.auc[0]:.3f} to {row.auc[1]:.3f}): check their "
                "labels, or give more of them"
            )
        rises = row.reals >= calibration.fewest(calibrating.REVIEW_WORST) and row.fake[1] > row.fake[0]
        if rises and row.fake[1] > calibrating.FAKE_WORST:
            found.append(f"{row.fake[1]:.1%} of the real faces of {row.name} would be called fake ({row.fake[0]:.1%})")
    return found


def _extended(known: Rehearsal, new: Addition, kind: Kind, name: str) -> Rehearsal:
    group = HEADS.index(kind.head or HEADS[0]) + 1
    return Rehearsal(
        np.concatenate([known.values, new.values.astype(np.float16)]),
        np.concatenate([known.sources, np.full(len(new.labels), name)]),
        np.concatenate([known.classes, np.where(new.labels == 1, group, REAL)]),
        np.concatenate([known.frozen, new.frozen]),
        np.concatenate([known.network, new.network.astype(np.float16)]),
    )


def _pair(values: Sequence[float]) -> tuple[float, float]:
    before, after = values
    return float(before), float(after)


def opened(release: Release) -> Rehearsal:
    """The release's rehearsal. Raises ReleaseError where it has none."""
    path = release.file(releases.REHEARSAL)
    if path is None or release.encoder is None:
        raise ReleaseError(f"{release.directory} carries no rehearsal: only a release with an encoder can learn on")
    return rehearsal.read(path)
