"""Several releases as one: their calibrated logits are averaged, and where they disagree nobody is believed.

Members are copied whole, so an ensemble depends on no other directory. The first one's face finder serves all; the
strictest limits of all hold. It refuses ensembles as members, whose votes would count in two places.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model import fitting, releases
from model.bands import Thresholds
from model.calibration import Calibration
from model.errors import ReleaseError
from model.heads import HEADS, ONE_HEAD
from model.releases import Limits, Member, Release

PROMISE = (
    "Members are calibrated each by itself; the thresholds are the mean of theirs and promise nothing until the "
    "ensemble is calibrated as one."
)


def join(directories: Sequence[Path], weights: Sequence[float], out: Path, name: str, version: str) -> Release:
    """A release in `out` of the releases in `directories`, whose votes count by `weights` (positive, of any sum).
    Raises ReleaseError when one is none, is an ensemble, or there are fewer than two.
    """
    found = [releases.read(directory) for directory in directories]
    if len(found) < 2 or len(weights) != len(found) or not all(weight > 0 for weight in weights):
        raise ReleaseError("an ensemble needs two members or more, and a positive weight for each")
    if nested := [one.directory for one in found if one.members]:
        raise ReleaseError(f"{nested[0]} is an ensemble itself: name its members instead")
    shares = np.array(weights, float) / sum(weights)
    with releases.building(out) as home:
        members = []
        for place, (one, share) in enumerate(zip(found, shares, strict=True), 1):
            inside = f"{place}-{one.name}-{one.version}"
            shutil.copytree(one.directory, home / inside)
            members.append(Member(inside, float(share)))
        if finder := found[0].file(releases.FACES):
            shutil.copyfile(finder, home / releases.FACES)
        fitting.finish(
            Release(
                home,
                name,
                version,
                " + ".join(one.backbone for one in found),
                found[0].preprocessing,
                Calibration(),
                _thresholds(found, shares),
                _strictest(found),
                heads=HEADS if any(one.heads == HEADS for one in found) else ONE_HEAD,
                members=tuple(members),
                training={"members": [f"{one.name} {one.version}" for one in found], "promise": PROMISE},
            )
        )
    return releases.read(out)


def _thresholds(found: Sequence[Release], shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Thresholds:
    review, fake = (
        float(np.dot(shares, [getattr(one.thresholds, band) for one in found])) for band in ("review", "fake")
    )
    return Thresholds(review, fake)


def _strictest(found: Sequence[Release]) -> Limits:
    """The strictest of all. Sharpness is measured on the first member's crops, so only its limit means anything."""
    limits = [one.limits for one in found]
    return Limits(
        face_pixels=max(each.face_pixels for each in limits),
        sharpness=limits[0].sharpness,
        jpeg_quality=max(each.jpeg_quality for each in limits),
        spread=min(each.spread for each in limits),
    )
