"""Samples whose forgeries differ from reals in known directions, without any encoder."""

import numpy as np

from model import probes
from model.heads import HEADS
from model.lab.heads import Config
from model.lab.kinds import Kind
from model.lab.samples import Samples

WIDTH = 24
CONFIG = Config(directions=20, whitening=0.0, strength=0.05, overall_strength=0.05)
KINDS = {
    "alpha": Kind(kind="alpha", family="one", head="synthetic"),
    "beta": Kind(kind="beta", family="one", head="synthetic"),
    "gamma": Kind(kind="gamma", family="two", head="manipulated"),
}
CLUES = {"alpha": (0, 1), "beta": (1, 2), "gamma": (5,)}  # the directions in which each kind's forgeries are off


def samples(count=60, seed=0, sources=("alpha", "beta", "gamma"), strength=4.0):
    """`count` reals and as many fakes of each source, plain views."""
    chance = np.random.default_rng(seed)
    values, names, classes = [], [], []
    for source in sources:
        for label in (0, 1):
            rows = chance.normal(size=(count, WIDTH))
            rows[:, 10 + sorted(CLUES).index(source)] += 1.5  # what tells the source
            if label:
                rows[:, list(CLUES[source])] += strength
            values.append(rows)
            names += [source] * count
            classes += [0 if not label else 2 if KINDS[source].head == "synthetic" else 1] * count
    total = len(classes)
    return Samples(
        np.concatenate(values).astype(np.float32),
        np.array(names),
        np.full(total, "plain"),
        np.array([f"{name} {row}" for row, name in enumerate(names)]),
        np.array(classes, np.int64),
        np.arange(total),
    )


def probe(width=4, share=0.5, photograph=False, seed=0):
    """A probe of random weights over `WIDTH` features."""
    chance = np.random.default_rng(seed)
    linear = probes.Linear(chance.normal(size=(width, 2)).astype(np.float32), np.array([0.1, -0.2], np.float32))
    single = probes.Linear(chance.normal(size=(width, 1)).astype(np.float32), np.zeros(1, np.float32))
    onto = probes.Projection(
        chance.normal(size=WIDTH).astype(np.float32),
        np.full(WIDTH, 2.0, np.float32),
        chance.normal(size=(WIDTH, width)).astype(np.float16),
    )
    return probes.Probe(onto, linear, HEADS, (0, 1), single, share, single if photograph else None)
