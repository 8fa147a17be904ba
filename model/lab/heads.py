"""Fitting a probe: the projection, the heads of both kinds of forgery, the head of any, and the head for drawings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.heads import HEADS
from model.lab import logistic, samples
from model.lab.samples import REAL, Samples
from model.probes import Floats, Linear, Probe, Projection

ROWS = 9_000  # crops that the projection is fitted on
AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Config:
    """What decides a fit: how many `directions` are kept, how far each is evened out (`whitening`: 0 keeps variances, 1
    makes them equal), the priors' variances, and the `share` of the head of any kind in P(fake).
    """

    directions: int = 512
    whitening: float = 0.0
    strength: float = 0.03
    overall_strength: float = 0.03
    share: float = 0.5
    seed: int = 0


def projection(values: NDArray[np.floating], config: Config) -> Projection:
    """The principal directions of standardised features (n, d), `ROWS` of them drawn by the seed."""
    from sklearn.utils.extmath import randomized_svd

    chance = np.random.default_rng(config.seed)
    rows = np.sort(chance.choice(len(values), min(ROWS, len(values)), replace=False))
    some = np.asarray(values[rows], np.float32)
    centre, scale = some.mean(axis=0), some.std(axis=0) + 1e-3
    kept = min(config.directions, *some.shape)
    _, spread, turned = randomized_svd((some - centre) / scale, kept, n_iter=2, random_state=config.seed)
    spread = spread / len(some) ** 0.5
    directions = turned.T / spread**config.whitening
    return Projection(centre, scale, directions.astype(np.float16))


def projected(onto: Projection, values: NDArray[np.floating]) -> Floats:
    """float32 (n, k): features through a projection, some rows at a time, since they may lie on disk."""
    parts = [onto(np.asarray(values[at : at + AT_ONCE], np.float32)) for at in range(0, len(values), AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros((0, onto.directions.shape[1]), np.float32)


def fit(known: Samples, onto: Projection, config: Config) -> Probe:
    """The probe of projected samples (`known.values` (n, k)), drawings not among them."""
    values = np.asarray(known.values, np.float32)
    kinds = logistic.fit(
        values, known.classes, samples.weights(known.sources, known.classes), config.strength, len(HEADS)
    )
    overall = logistic.fit(values, known.fake, samples.weights(known.sources, known.fake), config.overall_strength)
    return Probe(onto, kinds, HEADS, (0, 1), overall, config.share)


def photograph(values: Floats, drawn: NDArray[np.bool_], sources: NDArray[np.str_], strength: float) -> Linear:
    """The logit of "this is a photograph" from projected features (n, k); `drawn` says which are not."""
    classes = np.where(drawn, REAL, 1).astype(np.int64)
    return logistic.fit(values, classes, samples.weights(sources, classes), strength)
