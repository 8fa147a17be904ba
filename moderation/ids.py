"""Identifiers: a word for the kind, then 26 characters that sort by time (the ULID layout).

They carry 80 random bits, so that they cannot be guessed; they are names, not secrets.
"""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new(kind: str) -> str:
    """Returns ``{kind}_{26 characters}``, for example ``sub_01k9z…``."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return f"{kind}_" + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
