"""Who judges crops: the network of a release, or the networks of all an ensemble's members, as one.

Members may cut faces differently, so a face comes as one crop a *cutting* (see `crops.Cutting`). A member's logit is
calibrated before it counts, or the one with the loudest logits would decide alone; the weighted mean is the
ensemble's, which has a calibration of its own. It refuses to hide that its members disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model import backends, familiarity, heads, releases
from model.backends import FEATURES, LOGITS, Backend, Crops, Floats
from model.calibration import Calibration
from model.crops import Cutting
from model.errors import ReleaseError
from model.familiarity import Familiarity
from model.releases import Release

AT_ONCE = 64  # crops a forward pass: more is not faster on a CPU and would only cost memory
PLAIN = Calibration()

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Opinions:
    """Of n faces, each float64 (n,). `face` and `whole` are logits of P(fake) before the release's own calibration,
    for a face and for a picture without one; `synthetic` is how much of the fake odds is the head of that name's, 0 to
    1; `spread` the largest difference of two members' P(fake); `distance` how far the features are from familiar ones,
    1 being the limit. What the networks do not tell is NaN.
    """

    face: Numbers
    whole: Numbers
    synthetic: Numbers
    spread: Numbers
    distance: Numbers


@dataclass(frozen=True, slots=True)
class Seat:
    """One network of a panel: its release, its backend, its share of the vote, and which of the cuttings it sees."""

    release: Release
    backend: Backend
    weight: float
    calibration: Calibration
    familiar: Familiarity | None
    cutting: int

    def opinions(self, crops: Sequence[Crops]) -> Opinions:
        """What this network alone says of crops (size, size, 3) of its cutting. Raises ReleaseError where that is not a
        number, which must never pass for a low score.
        """
        seen = self.look(crops, [LOGITS, FEATURES])
        logits = seen[LOGITS].astype(np.float64)
        if not np.isfinite(logits).all():
            raise ReleaseError(f"the network of {self.release.directory} gave a crop no number")
        face, unknown = heads.fake_logit(logits), np.full(len(logits), np.nan)
        two = self.release.heads == heads.HEADS
        return Opinions(
            face=_scaled(self.calibration, face),
            whole=_scaled(self.calibration, heads.whole_logit(logits)),
            synthetic=np.exp(logits[:, -1] - face) if two else unknown,
            spread=np.zeros(len(logits)),
            distance=self.familiar.distance(seen[FEATURES]) if self.familiar and FEATURES in seen else unknown,
        )

    def look(self, crops: Sequence[Crops], names: Sequence[str]) -> dict[str, Floats]:
        """See `Backend.look`, `AT_ONCE` crops at a time; at least one crop."""
        parts = [
            self.backend.look(np.stack(crops[start : start + AT_ONCE]), names)
            for start in range(0, len(crops), AT_ONCE)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Panel:
    """The networks of a release on one device."""

    def __init__(self, release: Release, seats: Sequence[Seat], cuttings: Sequence[Cutting]) -> None:
        self.release, self.seats, self.cuttings = release, tuple(seats), tuple(cuttings)

    @classmethod
    def load(cls, release: Release, device: str, threads: int) -> Panel:
        """Every network of the release on `auto`, `cpu` or `cuda:N`. Raises ReleaseError and DeviceError."""
        found = release.networks
        cuttings = list(dict.fromkeys(one.preprocessing.cutting for one, _ in found))
        seats = [
            Seat(
                one,
                backends.start(one, device, threads),
                weight,
                one.calibration if release.members else PLAIN,
                familiarity.read(path) if (path := one.file(releases.FAMILIAR)) else None,
                cuttings.index(one.preprocessing.cutting),
            )
            for one, weight in found
        ]
        return cls(release, seats, cuttings)

    def opinions(self, faces: Sequence[Sequence[Crops]]) -> Opinions:
        """What the panel says of faces, each of them a crop (size, size, 3) a cutting."""
        if not faces:
            return Opinions(*(np.zeros(0) for _ in range(5)))
        said = [seat.opinions([face[seat.cutting] for face in faces]) for seat in self.seats]
        if len(said) == 1:
            return said[0]
        weights = np.array([seat.weight for seat in self.seats])
        probabilities = np.stack([PLAIN.apply(each.face) for each in said])
        return Opinions(
            face=_mean([each.face for each in said], weights),
            whole=_mean([each.whole for each in said], weights),
            synthetic=_mean([each.synthetic for each in said], weights),
            spread=probabilities.max(axis=0) - probabilities.min(axis=0),
            distance=_mean([each.distance for each in said], weights),
        )

    def features(self, face: Sequence[Crops]) -> list[Floats]:
        """What the heads of the only network read of a face, float32 (d,) in a list; an empty one where a network does
        not tell, or several would tell of different things.
        """
        if len(self.seats) > 1 or FEATURES not in self.seats[0].backend.outputs:
            return []
        return list(self.seats[0].look(list(face), [FEATURES])[FEATURES])


def _mean(rows: Sequence[Numbers], weights: Numbers) -> Numbers:
    """The weighted mean of those rows that are numbers, NaN where none is."""
    stacked = np.stack(rows)
    shares = np.where(np.isnan(stacked), 0, weights[:, None])
    total = shares.sum(axis=0)
    return np.where(total > 0, np.nansum(stacked * shares, axis=0) / np.maximum(total, 1e-12), np.nan)


def _scaled(calibration: Calibration, logits: Numbers) -> Numbers:
    return logits / calibration.temperature + calibration.bias
