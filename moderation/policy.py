"""Policy: what a platform wants done with a verdict. Today: which bands are put before people.

A platform's policy is a JSON object beside its row; an absent field means the default.
"""

from dataclasses import dataclass
from typing import Any

from moderation.errors import Refused
from moderation.tables import BANDS, Json


@dataclass(frozen=True, slots=True)
class Policy:
    """``flag_bands``: the verdict bands that open a flag."""

    flag_bands: frozenset[str] = frozenset({"review", "fake", "inconclusive"})

    @classmethod
    def read(cls, stored: Json) -> "Policy":
        """Returns the policy that ``stored`` spells.

        Raises:
            Refused: for a band that does not exist.
        """
        bands: Any = stored.get("flag_bands", sorted(cls().flag_bands))
        if not isinstance(bands, list) or not set(bands) <= set(BANDS):
            raise Refused(f"flag_bands is a list of {', '.join(BANDS)}")
        return cls(frozenset(bands))


def opens_flag(policy: Policy, band: str) -> bool:
    """Says whether a verdict in ``band`` goes before people."""
    return band in policy.flag_bands
