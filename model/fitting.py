"""What a release learns about its own answers once the network is done: calibration, thresholds, familiar features, how
far an ensemble's members usually are apart, and its golden set.

The validation files are scored as serving will score them, finder and all. It refuses to calibrate on one class.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import bands, calibration, familiarity, golden, releases, splits
from model.bands import Thresholds
from model.calibration import Calibration
from model.detector import Detector, Judgement, Sheet
from model.errors import ReleaseError
from model.familiarity import Familiarity
from model.releases import Release
from model.sources import Item

# False-positive rates that the two thresholds promise on all reals together, and `fake` also on the worst source.
FAKE_BUDGET, REVIEW_BUDGET, WORST_BUDGET = 0.01, 0.10, 0.05
USUAL = 99.0  # per cent of validation faces on which an ensemble's members do not disagree
BATCH = 32  # files
USE = "80 % training, 10 % validation, 10 % test, by group"


def chosen(divided: Mapping[str, Sequence[Item]]) -> list[Item]:
    """What to calibrate on: the validation split, and half of each held-out source."""
    return [*divided[splits.VALIDATION], *filter(splits.calibrates, divided.get(splits.UNSEEN, ()))]


def calibrate(release: Release, items: Sequence[Item], scored: Callable[[int], object]) -> Release:
    """The release with calibration, thresholds and familiar features fitted on `items` (see `chosen`), and its golden
    set, sealed again. Both classes weigh the same; files without a sound face are left out. `scored` is called with
    the number done.
    """
    # Of an ensemble's members all are heard, however far apart: how far is usual is what must be found out.
    limits = replace(release.limits, spread=1.0) if release.members else release.limits
    plain = replace(release, calibration=calibration.Calibration(), limits=limits)
    (release.directory / releases.FAMILIAR).unlink(missing_ok=True)  # what is familiar is asked afresh
    releases.seal(plain)
    answers = _answers(Detector.load(release.directory), items, scored)
    if familiar := _familiar(answers):
        familiar.write(release.directory / releases.FAMILIAR)
    if spreads := [spread for answer in answers for spread in answer.spreads]:
        limits = replace(limits, spread=float(np.percentile(spreads, USUAL)))
    fitted = _fitted(answers)
    cuts, promise = _thresholds(answers, fitted)
    training = {**plain.training, "promise": promise}
    return finish(replace(plain, calibration=fitted, thresholds=cuts, limits=limits, training=training))


def _familiar(answers: Sequence[Answer]) -> Familiarity | None:
    """Of all faces; a source counts by the root of its size, or the portraits of a small one would all be strange."""
    sizes = Counter(answer.item.source for answer in answers)
    rows = [(row, sizes[answer.item.source] ** -0.5) for answer in answers for row in answer.features]
    order = np.random.default_rng(0).permutation(len(rows))
    features, weights = np.array([row for row, _ in rows], np.float32), np.array([weight for _, weight in rows])
    return familiarity.fit(features[order], weights[order])


def _fitted(answers: Sequence[Answer]) -> Calibration:
    logits = np.array([answer.logit for answer in answers])
    labels = np.array([answer.item.label for answer in answers])
    if set(labels) != {0, 1}:
        raise ReleaseError("calibration needs faces of both classes in the validation split")
    return calibration.fit(logits, labels, np.where(labels == 1, 1 / labels.sum(), 1 / (1 - labels).sum()))


def _thresholds(answers: Sequence[Answer], fitted: Calibration) -> tuple[Thresholds, str]:
    """The two cuts, and what they promise in words."""
    reals: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        if not answer.item.label:
            reals[answer.item.source].append(float(fitted.apply(answer.logit)))
    pooled = [score for scores in reals.values() for score in scores]
    worst = calibration.threshold_on_sources(reals, WORST_BUDGET, worst=True)
    fake = max(calibration.threshold(pooled, FAKE_BUDGET), worst)
    review = min(fake, calibration.threshold(pooled, REVIEW_BUDGET))
    return Thresholds(review, fake), (
        f"The thresholds keep false positives below {REVIEW_BUDGET:.0%} and {FAKE_BUDGET:.0%} of the {len(pooled)} "
        f"reals that were calibrated on, and at `fake` below {WORST_BUDGET:.0%} of each source's "
        f"({', '.join(sorted(reals))}), by a {calibration.CONFIDENCE:.0%} upper bound."
    )


def finish(release: Release, cache: Path | None = None) -> Release:
    """Seal a release with the golden set of what it answers now; nothing but card and figures may change after.
    `cache` is where its encoder lies, if it has one.
    """
    releases.seal(release)
    release = releases.read(release.directory)
    golden.write(release, cache)
    releases.seal(release)
    return releases.read(release.directory)


@dataclass(frozen=True, slots=True)
class Answer:
    """A file's logit under an identity calibration; of its largest face the features, where the network tells any, and
    the spread of the members, where there are several.
    """

    item: Item
    logit: float
    features: list[NDArray[np.float32]]
    spreads: list[float]


def _answers(detector: Detector, items: Sequence[Item], scored: Callable[[int], object]) -> list[Answer]:
    """Of every file with a sound face."""
    found = []
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        prepared = detector.prepare([item.path.read_bytes() for item in batch])
        for item, sheet, answer in zip(batch, prepared.sheets, detector.judge(prepared), strict=True):
            if isinstance(sheet, Sheet) and isinstance(answer, Judgement) and answer.band != bands.INCONCLUSIVE:
                score = min(max(answer.score, 1e-12), 1 - 1e-12)
                features = detector.panel.features(sheet.cuts[0].crops)
                spreads = [face.quality["spread"] for face in answer.faces[:1] if "spread" in face.quality]
                found.append(Answer(item, float(np.log(score / (1 - score))), list(features), spreads))
        scored(len(batch))
    return found
