"""What a release learns about its own answers once the network is done: calibration, thresholds, familiar features, how
far an ensemble's members usually are apart, and its golden set.

The validation files are scored as serving will score them, finder and all. It refuses to calibrate on one class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model import bands, calibration, familiarity, golden, releases
from model.bands import Thresholds
from model.detector import Detector, Judgement, Sheet
from model.errors import ReleaseError
from model.releases import Release
from model.sources import Item

FAKE_BUDGET, REVIEW_BUDGET = 0.01, 0.10  # false-positive rates that the two thresholds promise on validation
USUAL = 99.0  # per cent of validation faces on which an ensemble's members do not disagree
BATCH = 32  # files


def calibrate(release: Release, items: Sequence[Item], scored: Callable[[int], object]) -> Release:
    """The release with calibration, thresholds and familiar features fitted on `items` (the validation split), and its
    golden set, sealed again. Both classes weigh the same; files without a sound face are left out. `scored` is called
    with the number done.
    """
    # Of an ensemble's members all are heard, however far apart: how far is usual is what must be found out.
    limits = replace(release.limits, spread=1.0) if release.members else release.limits
    plain = replace(release, calibration=calibration.Calibration(), limits=limits)
    (release.directory / releases.FAMILIAR).unlink(missing_ok=True)  # what is familiar is asked afresh
    releases.seal(plain)
    logits, labels, features, spreads = _answers(Detector.load(release.directory), items, scored)
    if known := familiarity.fit(np.random.default_rng(0).permutation(features)):
        known.write(release.directory / releases.FAMILIAR)
    share = np.where(labels == 1, 1 / max(1, labels.sum()), 1 / max(1, (1 - labels).sum()))
    fitted = calibration.fit(logits, labels, share)
    reals = fitted.apply(logits[labels == 0])
    fake = calibration.threshold(reals, FAKE_BUDGET)
    review = min(fake, calibration.threshold(reals, REVIEW_BUDGET))
    promise = (
        f"The thresholds keep false positives below {REVIEW_BUDGET:.0%} and {FAKE_BUDGET:.0%} of the {len(reals)} "
        f"reals of the validation split, by a {calibration.CONFIDENCE:.0%} upper bound."
    )
    if spreads:
        limits = replace(limits, spread=float(np.percentile(spreads, USUAL)))
    training = {**plain.training, "promise": promise}
    return finish(
        replace(plain, calibration=fitted, thresholds=Thresholds(review, fake), limits=limits, training=training)
    )


def finish(release: Release) -> Release:
    """Seal a release with the golden set of what it answers now; nothing but card and figures may change after."""
    releases.seal(release)
    release = releases.read(release.directory)
    golden.write(release)
    releases.seal(release)
    return releases.read(release.directory)


def _answers(
    detector: Detector, items: Sequence[Item], scored: Callable[[int], object]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32], list[float]]:
    """The files' logits under an identity calibration, their labels, and of their largest faces the features, where the
    network tells any, and the spread of the members, where there are several.
    """
    logits, labels, features, spreads = [], [], [], []
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        prepared = detector.prepare([item.path.read_bytes() for item in batch])
        for item, sheet, answer in zip(batch, prepared.sheets, detector.judge(prepared), strict=True):
            if isinstance(sheet, Sheet) and isinstance(answer, Judgement) and answer.band != bands.INCONCLUSIVE:
                score = min(max(answer.score, 1e-12), 1 - 1e-12)
                logits.append(np.log(score / (1 - score)))
                labels.append(item.label)
                features += detector.panel.features(sheet.cuts[0].crops)
                spreads += [face.quality["spread"] for face in answer.faces[:1] if "spread" in face.quality]
        scored(len(batch))
    if set(labels) != {0, 1}:
        raise ReleaseError("calibration needs faces of both classes in the validation split")
    return np.array(logits), np.array(labels), np.array(features, np.float32), spreads
