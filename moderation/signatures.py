"""Signatures of outbound webhooks, as Standard Webhooks 1.0.0 has them (symmetric, `v1`).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
What we receive is verified elsewhere, by the adapter of each source.
"""

import base64
import hashlib
import hmac
import secrets

PREFIX = "whsec_"


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
