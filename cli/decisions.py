"""What moderators decided, as faces from which `unmask release refit` learns.

A face counts once, however many submissions hold its media. Media on which two decisions contradict each other is left
out. Near-duplicates are one component: all of them teach, or all of them only measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np

from cli.ledger import opened
from model import traits
from model.datasets import components
from model.datasets.manifest import Row
from model.errors import ReleaseError
from model.heads import HEADS
from model.lab import refitting
from model.lab.refitting import Addition
from model.probes import Probe
from model.releases import Release
from moderation import features, platforms
from moderation.features import Decided
from moderation.tables import LEARNABLE

SOURCE = "decisions"


@dataclass(frozen=True, slots=True)
class Gathered:
    """One row of each media that can be learnt from, of `decided` flags. Of `without` flags no features were kept, and
    `contradicted` media were decided both ways. `network` is the release's, see `traits.network_of`.
    """

    rows: tuple[Decided, ...]
    network: str
    decided: int
    without: int
    contradicted: int

    @property
    def told(self) -> str:
        """What was found, in one line."""
        counts = [f"{sum(row.answer == answer for row in self.rows)} {answer}" for answer in LEARNABLE]
        return (
            f"{self.decided} flags stand decided; faces to learn from: {', '.join(counts)}. "
            f"Nothing was kept of {self.without} (policy, no face or several, another encoder); "
            f"{self.contradicted} media were decided both ways."
        )

    def addition(self, probe: Probe) -> Addition:
        """The faces, projected for a release's `probe`. Raises DatasetError where there are too few, ReleaseError where
        the features are not what the probe reads.
        """
        width = len(probe.projection.centre)
        raw = [np.frombuffer(row.kept.features, "<f2") for row in self.rows]
        if any(len(each) != width for each in raw):
            raise ReleaseError(f"the features that were kept are not the {width} numbers that this release reads")
        values = np.array(raw, np.float32).reshape(-1, width)
        said = np.array([self._logits(row) for row in self.rows], np.float64).reshape(-1, len(HEADS))
        labels = [int(row.answer == "fake") for row in self.rows]
        joined = components.joined([_row(row) for row in self.rows]).rows
        named = [row.component for row in joined]
        return refitting.gathered(probe.projection(values), said, labels, named, self.without)

    def _logits(self, row: Decided) -> list[float]:
        if not self.network:
            return [0.0] * len(HEADS)  # nothing reads them
        known = row.kept.network == self.network
        return np.frombuffer(row.kept.logits, "<f4").tolist() if known else [np.nan] * len(HEADS)


def gather(release: Release, platform_id: str | None, since: datetime | None) -> Gathered:
    """The decided faces whose features are of the release's encoder, from this machine's ledger; of one platform (id or
    name), or of all. Raises ReleaseError for a release without an encoder, NotFound for an unknown platform.
    """
    if release.encoder is None:
        raise ReleaseError(f"{release.directory} has no encoder whose features could have been kept")
    with opened() as session:
        of = platforms.get(session, platform_id).id if platform_id else None
        total = features.count_decided(session, platform_id=of, since=since)
        found = features.decided(session, release.encoder.graph, platform_id=of, since=since)
    network = traits.network_of(release)
    rows, contradicted = [], 0
    for _, same in groupby(found, key=lambda row: row.sha256):
        each = list(same)
        if len({row.answer for row in each}) > 1:
            contradicted += 1
        else:
            rows.append(min(each, key=lambda row: row.kept.network != network))
    return Gathered(tuple(rows), network, total, total - len(found), contradicted)


def _row(row: Decided) -> Row:
    pdq, quality = row.pdq or "", row.pdq_quality or 0
    return Row(
        path=row.sha256, root=0, label=int(row.answer == "fake"), source=SOURCE, generator="", group=row.sha256,
        sha256=row.sha256, pdq=pdq, pdq_quality=quality if pdq else 0, width=0, height=0, format="", bytes=0,
    )  # fmt: skip
