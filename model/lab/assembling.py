"""A release with an encoder: heads, fusion, calibration, familiarity and rehearsal, from a dataset and a small network.

The small network's release gives its weights, its graph and its face finder. Everything else is fitted here, on the
training split; the fusion, the calibration and the limits on validation and on what was left out. The test split is
looked at by `unmask evaluate` alone.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import familiarity, fitting, heads, releases, splits
from model.encoder.record import EncoderRecord
from model.errors import ReleaseError
from model.lab import calibrating, fusing, gathering, leaving, rehearsing, samples
from model.lab import heads as fits
from model.lab import kinds as tables
from model.lab.gathering import Material, Progress
from model.lab.heads import Config
from model.lab.kinds import Kinds
from model.lab.leaving import Left
from model.lab.samples import Samples
from model.probes import Probe, fused
from model.rehearsal import Rehearsal
from model.releases import Limits, Release
from model.sources import Item

ENOUGH = 20  # real faces of a source, to leave it out by itself
PHOTOGRAPH_STRENGTH = 0.01
COVERED = 0.3  # as `occlusion` measures it: of 150 bare faces one exceeds this, of faces under masks half
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a release is put together from: projected samples with the split of each, the probe, what was left out by
    kind and by family, and what the small network says of each row of the album that was asked.
    """

    known: Samples
    split: NDArray[np.str_]
    probe: Probe
    by_kind: Sequence[Left]
    by_family: Sequence[Left]
    strange_reals: Mapping[str, Floats]
    network: Mapping[int, Floats]

    def said(self, rows: NDArray[np.int64]) -> Floats:
        """(n, 2): the network's logits of album rows."""
        return np.array([self.network[int(row)] for row in rows], np.float64).reshape(-1, 2)


def learn(
    material: Material, gathered: Samples, kinds: Kinds, config: Config, network: Release, threads: int,
    progress: Progress,
) -> Parts:  # fmt: skip
    """Fit the heads on the training split, and heads without each kind, family and source of reals."""
    split = material.split[gathered.rows]
    photographs = gathering.photographs(gathered, kinds)
    learning = split == splits.TRAIN
    onto = fits.projection(gathered.values[learning & photographs], config)
    known = gathered.with_values(fits.projected(onto, gathered.values))
    probe = fits.fit(known.where(learning & photographs), onto, config)
    if not photographs.all():
        told = fits.photograph(
            known.where(learning).values, ~photographs[learning], known.sources[learning], PHOTOGRAPH_STRENGTH
        )
        probe = Probe(onto, probe.kinds, probe.names, probe.groups, probe.overall, probe.share, told)
    shown = photographs & (split != splits.TEST)
    raw, rest = gathered.where(shown), known.where(shown)
    folds = {by: tables.folds(kinds, by) for by in ("kind", "family")}
    done = progress("leaving out", sum(map(len, folds.values())))
    by_kind = leaving.scored(raw, kinds, "kind", config, lambda: done(1))
    by_family = leaving.scored(raw, kinds, "family", config, lambda: done(1))
    plain_reals = Counter(rest.sources[(rest.views == gathering.PLAIN) & (rest.classes == samples.REAL)].tolist())
    strangers = [source for source, count in sorted(plain_reals.items()) if count >= ENOUGH]
    done = progress("leaving out sources of reals", len(strangers))
    reals = leaving.reals_left_out(rest, strangers, onto, config, lambda: done(1))
    plain = np.unique(rest.rows[rest.views == gathering.PLAIN])
    progress("what the small network says", len(plain))
    told_by = gathering.network_heads(network, material.album, plain, threads)
    asked = dict(zip(plain.tolist(), told_by, strict=True))
    return Parts(known.where(photographs), split[photographs], probe, by_kind, by_family, reals, asked)


def write(
    out: Path, name: str, version: str, parts: Parts, kinds: Kinds, network: Release, encoder: EncoderRecord,
    recipe: Path, divided: Mapping[str, Sequence[Item]], config: Config, cache: Path | None,
) -> Release:  # fmt: skip
    """The release in `out`, sealed, with its golden set. Raises ReleaseError where something lies there already."""
    if network.heads != heads.HEADS:
        raise ReleaseError(f"{network.directory} has no heads {heads.HEADS} to join with the encoder's")
    judged = parts.known.where((parts.split == splits.VALIDATION) & (parts.known.views == gathering.PLAIN))
    said = [parts.probe.heads(np.asarray(judged.values, np.float32)), parts.said(judged.rows)]
    joined = fusing.fit(said, judged.classes, samples.weights(judged.sources, judged.classes))
    fitted = calibrating.fit(
        _by_source(judged, kinds, np.logaddexp.reduce(fused(said, joined), axis=1)),
        {each.source: (_fused_logit(parts, each.heads, each.rows, joined), each.labels) for each in parts.by_kind},
        {source: _fused_reals(parts, source, logits, joined) for source, logits in parts.strange_reals.items()},
    )
    with releases.building(out) as home:
        for file in (releases.WEIGHTS, releases.GRAPH, releases.FACES):
            if path := network.file(file):
                shutil.copyfile(path, home / file)
        parts.probe.write(home / releases.HEADS_FILE)
        shutil.copyfile(recipe, home / releases.ENCODER)
        _rehearsal(parts).write(home / releases.REHEARSAL)
        if familiar := _familiar(judged):
            familiar.write(home / releases.FAMILIAR)
        releases.write_list(home, divided[splits.TRAIN], divided[splits.VALIDATION], network)
        record = Release(
            home, name, version, network.backbone, network.preprocessing, fitted.calibration,
            fitted.thresholds, _limits(network.limits, parts), heads=heads.HEADS, encoder=encoder,
            fusion=tuple(tuple(float(value) for value in row) for row in joined),
            training={
                "heads": {**asdict(config), "views": sorted(set(parts.known.views.tolist()))},
                "network": f"{network.name} {network.version}",
                "sources": _sources(divided),
                "kinds": {source: kind.model_dump(mode="json") for source, kind in sorted(kinds.items())},
                "left_out": left_out(parts),
                "promise": fitted.promise,
            },
        )  # fmt: skip
        fitting.finish(record, cache)
    return releases.read(out)


def left_out(parts: Parts) -> dict[str, Any]:
    """Figures of kinds and families that the heads never saw, as JSON can carry them."""
    return {
        by: {
            "macro": leaving.macro(left),
            "sources": {
                each.source: {"left_out": each.fold, "auc": each.auc, "against": list(each.mates),
                              "fakes": int(each.labels.sum()), "reals": int((each.labels == 0).sum())}
                for each in left
            },
        }
        for by, left in (("kind", parts.by_kind), ("family", parts.by_family))
    }  # fmt: skip


def _fused_logit(parts: Parts, said: Floats, rows: NDArray[np.int64], joined: Floats) -> Floats:
    return np.asarray(np.logaddexp.reduce(fused([said, parts.said(rows)], joined), axis=1))


def _fused_reals(parts: Parts, source: str, said: Floats, joined: Floats) -> Floats:
    mine = (parts.known.sources == source) & (parts.known.views == gathering.PLAIN)
    mine &= (parts.known.classes == samples.REAL) & (parts.split != splits.TEST)
    return _fused_logit(parts, said, parts.known.rows[mine], joined)


def _by_source(known: Samples, kinds: Kinds, logits: Floats) -> dict[str, tuple[Floats, NDArray[np.int64]]]:
    """Logits and labels of each source of fakes with its reals, or its mates', where there are some of both."""
    with_reals, found = gathering.reals(known), {}
    for source in sorted(set(known.sources[known.fake == 1].tolist()) & set(kinds)):
        mates = tables.mates(kinds, source, with_reals)
        chosen = ((known.sources == source) & (known.fake == 1)) | (np.isin(known.sources, mates) & (known.fake == 0))
        if min(np.bincount(known.fake[chosen], minlength=2)) >= leaving.FEWEST:
            found[source] = (logits[chosen], known.fake[chosen])
    return found


def _familiar(judged: Samples) -> familiarity.Familiarity | None:
    sizes = Counter(judged.sources.tolist())
    order = np.random.default_rng(0).permutation(len(judged))
    weights = np.array([sizes[source] ** -0.5 for source in judged.sources.tolist()])
    return familiarity.fit(np.asarray(judged.values, np.float32)[order], weights[order])


def _limits(network: Limits, parts: Parts) -> Limits:
    network = replace(network, covered=COVERED)
    photograph = parts.probe.photograph
    if photograph is None:
        return network
    reals = parts.known.where((parts.split == splits.VALIDATION) & (parts.known.views == gathering.PLAIN))
    logits = photograph(np.asarray(reals.values, np.float32))[:, 0].astype(np.float64)
    lowest = float(np.percentile(1 / (1 + np.exp(-logits)), 0.5))  # a photograph in 200 is called a drawing
    return replace(network, photograph=min(lowest, 0.5))


def _rehearsal(parts: Parts) -> Rehearsal:
    learning = np.flatnonzero((parts.split == splits.TRAIN) & (parts.known.views != "covered"))
    frozen = np.flatnonzero((parts.split == splits.VALIDATION) & (parts.known.views == gathering.PLAIN))
    taught = round(rehearsing.ROWS * rehearsing.SHARE)
    learning = learning[rehearsing.drawn(parts.known.where(_mask(learning, parts)), taught)]
    frozen = frozen[rehearsing.drawn(parts.known.where(_mask(frozen, parts)), rehearsing.ROWS - taught)]
    rows = np.concatenate([learning, frozen])
    chosen = parts.known.where(_mask(np.sort(rows), parts))
    known = np.isin(np.sort(rows), frozen)
    network = np.array([parts.network.get(int(row), np.full(2, np.nan)) for row in chosen.rows])
    return Rehearsal(
        np.asarray(chosen.values, np.float16), chosen.sources, chosen.classes, known, network.astype(np.float16)
    )


def _mask(rows: NDArray[np.int64], parts: Parts) -> NDArray[np.bool_]:
    found = np.zeros(len(parts.known), bool)
    found[rows] = True
    return found


def _sources(divided: Mapping[str, Sequence[Item]]) -> dict[str, dict[str, int | str]]:
    every = [item for items in divided.values() for item in items]
    counts = Counter((item.source, item.label) for item in every)
    return {
        name: {"real": counts[name, 0], "fake": counts[name, 1], "use": fitting.USE}
        for name in sorted({item.source for item in every})
    }
