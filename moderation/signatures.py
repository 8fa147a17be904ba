"""Signatures of outbound webhooks, as Standard Webhooks 1.0.0 has them (symmetric, `v1`).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
What we receive is verified elsewhere, by the adapter of each source.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from moderation.tables import Json

PREFIX = "whsec_"
OVERLAP_SECONDS = 86_400  # how long a secret goes on signing after its rotation, unless asked otherwise
LONGEST_OVERLAP = 30 * 86_400
MOST_PREVIOUS = 3  # each makes the header longer by some 50 characters


def new_secret() -> str:
    """Returns ``whsec_`` and the base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """Returns ``v1,{base64 HMAC-SHA256 of "{message_id}.{timestamp}.{body}"}`` for the `webhook-signature` header.

    Args:
        secret: as `new_secret` makes it.
        timestamp: of this attempt, in seconds since 1970.
        body: the exact text that is sent, as UTF-8.

    Raises:
        ValueError: when the secret is not base64.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    code = hmac.digest(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256)
    return "v1," + base64.b64encode(code).decode()


def live(secret: str, previous: Sequence[Json], now: datetime) -> list[str]:
    """Returns the secrets that sign at ``now``: the present one first, then those whose overlap has not ended."""
    return [secret, *(kept["secret"] for kept in previous if datetime.fromisoformat(kept["until"]) > now)]


def rotated(secret: str, previous: Sequence[Json], now: datetime, overlap_seconds: float) -> list[Json]:
    """Returns the previous secrets once ``secret`` joins them, newest first, each with the end of its time.

    Rotating again within an overlap takes nothing away from the secrets before: a receiver that has not heard of the
    last rotation, or whose answer to it was lost, still verifies. Only the oldest of more than `MOST_PREVIOUS` goes.
    An overlap of 0 ends them all at once: that is for a secret that leaked.
    """
    if overlap_seconds <= 0:
        return []
    kept = [row for row in previous if datetime.fromisoformat(row["until"]) > now]
    until = now + timedelta(seconds=overlap_seconds)
    return [{"secret": secret, "until": until.isoformat()}, *kept][:MOST_PREVIOUS]
