"""What judges crops: the networks of a release as one.

A release has one network, or an encoder beside it, or the networks of an ensemble's members. Each may cut faces
differently, so a face comes as one crop a *cutting* (see `crops.Cutting`).

An encoder and a network are joined head by head, with weights that were fitted on validation (`probes.fused`). Members
of an ensemble are calibrated first, or the one with the loudest logits would decide alone, and averaged; how far they
lie apart is reported as their spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import backends, familiarity, heads, probes, releases
from model.backends import FEATURES, LOGITS, PHOTOGRAPH, RAW, Backend, Crops, Floats
from model.calibration import Calibration
from model.crops import Cutting
from model.encoder.record import EncoderRecord
from model.errors import ReleaseError
from model.familiarity import Familiarity
from model.releases import Release
from model.traits import Traits, network_of

AT_ONCE = 64  # crops a forward pass: more is not faster on a CPU and would only cost memory
PLAIN = Calibration()

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Opinions:
    """Of n faces, each float64 (n,). `face` and `whole` are logits of P(fake) before the release's own calibration,
    for a face and for a picture without one; `synthetic` is how much of the fake odds is the head of that name's, 0 to
    1; `spread` the largest difference of two members' P(fake); `distance` how far the features are from familiar ones,
    1 being the limit; `photograph` P(this is a photograph). What the networks do not tell is NaN. `traits` are
    what can be kept of each face, where it was asked for and the release has an encoder.
    """

    face: Numbers
    whole: Numbers
    synthetic: Numbers
    spread: Numbers
    distance: Numbers
    photograph: Numbers
    traits: Sequence[Traits] = ()


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
        return _opinions(self, self.seen(crops), self.release.heads == heads.HEADS)

    def seen(self, crops: Sequence[Crops], *more: str) -> dict[str, Floats]:
        """The network's answers to crops of its cutting, with `more` of its outputs. Raises ReleaseError where a logit
        is not a number.
        """
        seen = self.look(crops, [LOGITS, FEATURES, PHOTOGRAPH, *more])
        if not np.isfinite(seen[LOGITS]).all():
            raise ReleaseError(f"the network of {self.release.directory} gave a crop no number")
        return seen

    def look(self, crops: Sequence[Crops], names: Sequence[str]) -> dict[str, Floats]:
        """See `Backend.look`, `AT_ONCE` crops at a time; at least one crop."""
        parts = [
            self.backend.look(np.stack(crops[start : start + AT_ONCE]), names)
            for start in range(0, len(crops), AT_ONCE)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Panel:
    """The networks of a release on one device."""

    def __init__(
        self,
        release: Release,
        seats: Sequence[Seat],
        cuttings: Sequence[Cutting],
        fusion: Numbers | None = None,
    ) -> None:
        """`fusion` joins the seats head by head (see `probes.fused`); without it several seats are an ensemble."""
        self.release, self.seats, self.cuttings = release, tuple(seats), tuple(cuttings)
        self.fusion = fusion

    @classmethod
    def load(cls, release: Release, device: str, threads: int, cache: Path | None = None) -> Panel:
        """Every network of the release on `auto`, `cpu` or `cuda:N`; `cache` is where its encoder lies, if it has one.
        Raises ReleaseError, EncoderError and DeviceError.
        """
        if release.encoder is not None:
            return cls._with_encoder(release, release.encoder, device, threads, cache)
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

    @classmethod
    def _with_encoder(
        cls, release: Release, encoder: EncoderRecord, device: str, threads: int, cache: Path | None
    ) -> Panel:
        probed = backends.ProbedEncoder(release, device, threads, cache)
        familiar = familiarity.read(path) if (path := release.file(releases.FAMILIAR)) else None
        # The network's crops come first: limits of quality were measured on those.
        joined = bool(release.file(releases.GRAPH) or release.file(releases.WEIGHTS))
        cuttings = [release.preprocessing.cutting, encoder.cutting] if joined else [encoder.cutting]
        seats = [Seat(release, probed, probed.share, PLAIN, familiar, len(cuttings) - 1)]
        if joined:
            network = backends.start(release, device, threads)
            seats.append(Seat(release, network, 1 - probed.share, PLAIN, None, 0))
        return cls(release, seats, cuttings, probed.fusion)

    def opinions(self, faces: Sequence[Sequence[Crops]], keep_features: bool = False) -> Opinions:
        """What the panel says of faces, each of them a crop (size, size, 3) a cutting; with their traits where
        `keep_features` and the release has an encoder.
        """
        if not faces:
            none = np.zeros(0)
            return Opinions(none, none, none, none, none, none)
        if self.fusion is not None:
            return self._fused(faces, self.fusion, keep_features)
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
            photograph=_mean([each.photograph for each in said], weights),
        )

    def _fused(self, faces: Sequence[Sequence[Crops]], fusion: Numbers, keep_features: bool) -> Opinions:
        """The encoder's and the network's logits as one; all else is the encoder's."""
        encoder, *rest = self.seats
        more = [RAW] if keep_features else []
        seen = [encoder.seen([face[encoder.cutting] for face in faces], *more),
                *(seat.seen([face[seat.cutting] for face in faces]) for seat in rest)]  # fmt: skip
        joined = probes.fused([each[LOGITS].astype(np.float64) for each in seen], fusion)
        said = _opinions(encoder, {**seen[0], LOGITS: joined}, two=True)
        return replace(said, traits=self._traits(seen)) if keep_features else said

    def _traits(self, seen: Sequence[Mapping[str, Floats]]) -> list[Traits]:
        """Of each face; `seen` is what the encoder and the small network answered."""
        assert self.release.encoder is not None
        with np.errstate(over="ignore"):  # what half precision cannot hold is infinite, and nobody keeps that
            raw = seen[0][RAW].astype(np.float16)
        logits = seen[1][LOGITS] if len(seen) > 1 else np.full_like(seen[0][LOGITS], np.nan)
        digest, network = self.release.encoder.graph, network_of(self.release)
        return [Traits(digest, row, network, said) for row, said in zip(raw, logits, strict=True)]

    def features(self, face: Sequence[Crops]) -> list[Floats]:
        """What the heads of the encoder or of the only network read of a face, float32 (d,) in a list; an empty one
        where a network does not tell, or the members of an ensemble would tell of different things.
        """
        first = self.seats[0]
        if (len(self.seats) > 1 and self.fusion is None) or FEATURES not in first.backend.outputs:
            return []
        return list(first.look([face[first.cutting]], [FEATURES])[FEATURES])


def _opinions(seat: Seat, seen: Mapping[str, NDArray[np.floating]], two: bool) -> Opinions:
    logits = np.asarray(seen[LOGITS], np.float64)
    face, unknown = heads.fake_logit(logits), np.full(len(logits), np.nan)
    return Opinions(
        face=_scaled(seat.calibration, face),
        whole=_scaled(seat.calibration, heads.whole_logit(logits)),
        synthetic=np.exp(logits[:, -1] - face) if two else unknown,
        spread=np.zeros(len(logits)),
        distance=seat.familiar.distance(np.asarray(seen[FEATURES], np.float32))
        if seat.familiar and FEATURES in seen
        else unknown,
        photograph=PLAIN.apply(seen[PHOTOGRAPH][:, 0]) if PHOTOGRAPH in seen else unknown,
    )


def _mean(rows: Sequence[Numbers], weights: Numbers) -> Numbers:
    """The weighted mean of those rows that are numbers, NaN where none is."""
    stacked = np.stack(rows)
    shares = np.where(np.isnan(stacked), 0, weights[:, None])
    total = shares.sum(axis=0)
    return np.where(total > 0, np.nansum(stacked * shares, axis=0) / np.maximum(total, 1e-12), np.nan)


def _scaled(calibration: Calibration, logits: Numbers) -> Numbers:
    return logits / calibration.temperature + calibration.bias
