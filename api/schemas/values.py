"""Words and values that shapes are made of, and what every text must hold to.

PostgreSQL can store neither NUL nor half a surrogate pair, so text with one of them is refused, wherever it comes from.
"""

import json
import math
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

Priority = Literal["urgent", "default", "bulk"]
State = Literal["fetching", "waiting", "scoring", "scored", "failed", "deleted"]
Band = Literal["clear", "review", "fake", "inconclusive"]
Event = Literal[
    "submission.scored", "submission.failed", "flag.opened", "flag.decided", "decision.revised", "endpoint.test"
]
DeliveryState = Literal["waiting", "delivered", "failed", "cancelled"]

CONTEXT_BYTES = 16 * 1024
CONTEXT_DEPTH = 32


def _storable(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not contain NUL or lone surrogates")
    return text


def _walk(value: Any, depth: int = 1) -> None:
    if depth > CONTEXT_DEPTH:
        raise ValueError(f"must not be nested deeper than {CONTEXT_DEPTH} levels")
    if isinstance(value, str):
        _storable(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must not contain NaN or infinite numbers")
    elif isinstance(value, list | dict):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            _walk(item, depth + 1)


def _context(sent: object) -> object:
    """Reads a JSON object: as it stands in a JSON body, or as the text that a form field carries."""
    value = _parsed(sent) if isinstance(sent, str) else sent
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - pydantic turns only ValueError into a fault
    _walk(value)
    if not isinstance(sent, str) and len(json.dumps(value, ensure_ascii=False).encode()) > CONTEXT_BYTES:
        raise ValueError(f"must not be longer than {CONTEXT_BYTES} bytes")
    return value


def _parsed(text: str) -> object:
    if len(text.encode(errors="replace")) > CONTEXT_BYTES:
        raise ValueError(f"must not be longer than {CONTEXT_BYTES} bytes")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None


def _time(sent: object) -> object:
    """Lets nothing but a written time through: pydantic would also take a number of seconds."""
    if isinstance(sent, str) and not re.match(r"\d{4}-\d\d-\d\dT", sent):
        raise ValueError("must be an RFC 3339 time, such as 2026-11-21T08:00:00Z")
    return sent


def _whole(sent: object) -> object:
    """Lets 5.0 through as 5: JSON knows no integers, and JSON Schema counts it as one."""
    return int(sent) if isinstance(sent, float) and sent.is_integer() else sent


Storable = AfterValidator(_storable)
ExternalId = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"), Storable]

# What the contract says of addresses is what is taken wherever Unmask runs: a name, the usual ports, ASCII. More may be
# taken (an IP address, a private network that the operator allows), and where a name leads is not in its text.
_PLACE = r"://([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,20}(:(80|443))?([/?#][!-\[\]-~]*)?$"
NO_NUL = r"^[^\u0000]*$"
Url = Annotated[str, Field(min_length=1, max_length=2048, json_schema_extra={"pattern": f"^https?{_PLACE}"}), Storable]
HttpsUrl = Annotated[
    str, Field(min_length=1, max_length=2048, json_schema_extra={"pattern": f"^https{_PLACE}"}), Storable
]
Name = Annotated[str, Field(max_length=255, json_schema_extra={"pattern": NO_NUL}), Storable]
Size = Annotated[int, Field(strict=True, ge=1), BeforeValidator(_whole)]
Time = Annotated[AwareDatetime, BeforeValidator(_time)]
Context = Annotated[dict[str, Any], BeforeValidator(_context)]
IdempotencyKey = Annotated[str, Field(max_length=255, pattern=r"^[!-~]+$")]


class Strict(BaseModel):
    """What clients send: a field that nobody knows is a mistake, not something to ignore."""

    model_config = ConfigDict(extra="forbid")


class FromRow(BaseModel):
    """Read from a table's row."""

    model_config = ConfigDict(from_attributes=True)
