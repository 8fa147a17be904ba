"""Components: groups that duplicates tie together, which no split may part.

A component is named after the group among its own whose position is smallest, so its split is that group's. It
refuses to hide that duplicates may chain strangers together: `Components` says how large the largest are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from model import splits
from model.datasets import duplicates
from model.datasets.finds import linked
from model.datasets.manifest import Row

LARGE = 0.05  # share of all files from which a component distorts the shares of the splits


@dataclass(frozen=True, slots=True)
class Components:
    """The rows, each with its component; how many near-duplicate pairs and equal files there are, how many groups
    before and components after, and the sizes in files of the largest ones.
    """

    rows: list[Row]
    near_pairs: int
    equal_files: int
    groups: int
    count: int
    largest: list[int]

    @property
    def lopsided(self) -> bool:
        """Whether one component holds so much that the splits' shares cannot be kept."""
        return bool(self.largest) and self.largest[0] > max(2, LARGE * len(self.rows))


def joined(rows: Sequence[Row]) -> Components:
    """Rows with components by group, equal bytes and near-duplicates."""
    pairs = duplicates.near(rows)
    equal = duplicates.equal(rows)
    chains = [[row.key] for row in rows]
    chains += [[rows[one].key, rows[other].key] for one, other in pairs.tolist()]
    chains += [[rows[place].key for place in places] for places in equal]
    root = linked(chains)
    members: dict[str, list[str]] = defaultdict(list)
    for key, name in root.items():
        members[name].append(key)
    deciding = {name: min(keys, key=splits.position) for name, keys in members.items()}
    named = [replace(row, component=deciding[root[row.key]]) for row in rows]
    sizes = Counter(row.component for row in named)
    return Components(
        named, len(pairs), sum(map(len, equal)), len(root), len(members), [size for _, size in sizes.most_common(10)]
    )
