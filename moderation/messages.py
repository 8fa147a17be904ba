"""The bodies of outbound webhooks, in the words of Standard Webhooks: `{"type", "timestamp", "data"}`."""

import json
from datetime import UTC, datetime
from typing import Any

from moderation.tables import Json

LONGEST_BODY = 20_000


def compose(event: str, data: Json) -> str:
    """Returns the JSON text of a message, below 20 kB.

    Data that is too long loses, wherever they are nested, its `frames`, then `faces`, then `generator_metadata`, then
    `context`, then the ends of its texts, and says ``"truncated": true``: the receiver can read the whole over the API.
    """
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = _message(event, at, data)
    for name in ("frames", "faces", "generator_metadata", "context", None):
        if len(text) < LONGEST_BODY:
            break
        data = {**_shortened(data, name), "truncated": True}
        text = _message(event, at, data)
    return text


def _message(event: str, at: str, data: Json) -> str:
    # ASCII, so that characters are bytes and nothing on the way can spoil what was signed.
    return json.dumps({"type": event, "timestamp": at, "data": data}, separators=(",", ":"), allow_nan=False)


def _shortened(value: Any, name: str | None) -> Any:
    """Returns ``value`` without the contents of every ``name`` in it, or with every text cut when there is no name."""
    if isinstance(value, dict):
        return {
            key: type(kept)() if key == name and isinstance(kept, list | dict) else _shortened(kept, name)
            for key, kept in value.items()
        }
    if isinstance(value, list):
        return [_shortened(item, name) for item in value]
    return value[:200] if name is None and isinstance(value, str) else value
