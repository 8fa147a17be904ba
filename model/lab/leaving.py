"""Leaving one kind out: what the heads say of forgeries, and of real sources, that they never saw.

Each fold fits the heads without one kind (or one family) of forgery and scores that kind against real faces that the
fold did not learn from either. Real faces are halved by component: one half is learnt from, the other is what fakes are
measured against. The projection of a fold is fitted without the kind, too: the directions in which a forgery varies
would give it away. For thresholds, each source of reals is left out in turn, whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model import metrics, splits
from model.lab import heads as fits
from model.lab import kinds as tables
from model.lab.heads import Config
from model.lab.kinds import Kinds
from model.lab.samples import MADE, REAL, Bools, Samples
from model.probes import Projection

Floats = NDArray[np.float64]
FEWEST = 6  # crops of a class, below which there is no figure


@dataclass(frozen=True, slots=True)
class Left:
    """One source of a kind that was left out: its `fold`, AUC against its `mates`' reals, and the logits (n, 2) with
    labels (n,) behind it; `rows` are those of the album.
    """

    fold: str
    source: str
    mates: tuple[str, ...]
    auc: float
    heads: Floats
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]


def scored(
    known: Samples, kinds: Kinds, by: Literal["kind", "family"], config: Config,
    done: Callable[[], object] = lambda: None,
) -> list[Left]:  # fmt: skip
    """Every source of fakes, scored by heads that saw nothing of its kind or family. `known` holds features as the
    encoder gives them; its plain views are scored.
    """
    learning = first_half(known)
    reals, plain = known.classes == REAL, known.views == "plain"
    with_reals = sorted(set(known.sources[reals].tolist()))
    found = []
    for fold, sources in tables.folds(kinds, by).items():
        away = np.isin(known.sources, sources) & ~reals
        taught = ~away & (learning | (~reals & ~_made(known)))
        onto = fits.projection(known.values[taught], config)
        some = known.where(taught)
        probe = fits.fit(some.with_values(fits.projected(onto, some.values)), onto, config)
        for source in sources:
            mates = tables.mates(kinds, source, with_reals)
            theirs = plain & away & (known.sources == source)
            ours = plain & reals & np.isin(known.sources, mates) & ~learning
            if min(theirs.sum(), ours.sum()) >= FEWEST:
                chosen = known.where(theirs | ours)
                heads = probe.heads(fits.projected(onto, chosen.values))
                labels = chosen.fake
                auc = metrics.auc(np.logaddexp.reduce(heads, axis=1), labels)
                found.append(Left(fold, source, tuple(mates), auc, heads, labels, chosen.rows))
        done()
    return found


def reals_left_out(
    known: Samples, sources: Sequence[str], onto: Projection, config: Config, done: Callable[[], object] = lambda: None
) -> dict[str, Floats]:
    """For each source of reals the logits (n, 2) of its plain crops, by heads that saw nothing of the source at all.
    `known` holds features projected `onto` the release's own directions.
    """
    found = {}
    for source in sources:
        mine = known.sources == source
        rows = set(known.rows[mine].tolist())
        made = _made(known) & np.array([int(row) in rows for row in known.rows])
        asked = known.where(mine & (known.views == "plain") & (known.classes == REAL))
        probe = fits.fit(known.where(~mine & ~made), onto, config)
        found[source] = probe.heads(np.asarray(asked.values, np.float32))
        done()
    return found


def macro(left: Sequence[Left]) -> float:
    """The mean over sources of their AUC."""
    return float(np.mean([each.auc for each in left]))


def first_half(known: Samples) -> Bools:
    """(n,): whether the component is in the half that folds learn reals from."""
    halves = {name: splits.position(f"half {name}") < 0.5 for name in np.unique(known.components).tolist()}
    return np.array([halves[name] for name in known.components.tolist()], bool)


def _made(known: Samples) -> Bools:
    return np.isin(known.views, list(MADE))
