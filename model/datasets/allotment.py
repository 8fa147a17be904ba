"""Which rows go on which split's list, and which are dropped to balance the classes.

It refuses to balance a source that has one class only: that would drop it whole, and one-class sources have their
uses (stress tests, self-blended fakes).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from model import splits
from model.datasets.manifest import Row
from model.sources import LABELS
from model.splits import Shares


def allotted(
    rows: Sequence[Row], shares: Shares = splits.SHARES, balance: bool = False
) -> tuple[dict[str, list[Row]], list[Row]]:
    """Rows by split, in their order, and those dropped. With `balance`, as many reals as fakes of each two-class
    source stay in each split; who stays follows from the files' bytes, so adding files moves few.
    """
    lists: dict[str, list[Row]] = {name: [] for name in (splits.TRAIN, splits.VALIDATION, splits.TEST)}
    for row in rows:
        lists[splits.split_at(splits.position(row.component), shares)].append(row)
    dropped = [row for members in lists.values() for row in _surplus(members)] if balance else []
    gone = {row.path for row in dropped}
    return {name: [row for row in members if row.path not in gone] for name, members in lists.items()}, dropped


def _surplus(rows: Sequence[Row]) -> list[Row]:
    piles: dict[str, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        piles[row.source][row.label].append(row)
    surplus = []
    for by_label in piles.values():
        if len(by_label) == len(LABELS):
            kept = min(map(len, by_label.values()))
            for pile in by_label.values():
                surplus += sorted(pile, key=lambda row: (row.sha256, row.path))[kept:]
    return surplus
