"""Reading what a sender wrote without believing its shape: a field of another type than expected counts as absent."""

import json
import math
import re
from typing import Any, NoReturn
from urllib.parse import quote, urljoin, urlsplit

from moderation.errors import BadEvent
from moderation.tables import Json

LONGEST_URL = 2048
CONTEXT_BYTES = 16 * 1024
CONTEXT_DEPTH = 32
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")


def parsed(body: bytes | str) -> Json:
    """Returns the JSON object that ``body`` is.

    Raises:
        BadEvent: when it is none.
    """
    try:
        value = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadEvent("the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadEvent("the body is not a JSON object")
    return value


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def inner(value: Any) -> Json:
    """Returns an object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[Json]:
    """Returns those items of a list that are objects."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def word(value: Any, longest: int = 255) -> str:
    """Returns a text or a whole number as text, without control characters and no longer than ``longest``."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "", str(value))[:longest]


def told(**fields: Any) -> Json:
    """Returns a context of those fields that say something."""
    return {name: value for name, value in fields.items() if value not in ("", None)}


def link(address: Any, base: str = "") -> str | None:
    """Returns an http(s) address, made absolute by ``base`` and ASCII by quoting; None where it leads nowhere.

    Whether it may be fetched is for the fetcher to say, when it knows what the host resolves to.
    """
    if not isinstance(address, str) or not address.strip() or len(address) > LONGEST_URL:
        return None
    try:
        whole = urljoin(base, address.strip())
        parts = urlsplit(whole)
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
        if parts.scheme not in ("http", "https") or not parts.hostname or _UNSAFE.search(host):
            return None
        found = parts._replace(netloc=host, path=_quoted(parts.path), query=_quoted(parts.query), fragment="").geturl()
    except ValueError:  # also of UnicodeError: an address with half a character, or a host that IDNA cannot spell
        return None
    return found if found.isascii() and len(found) <= LONGEST_URL else None


def _quoted(text: str) -> str:
    return quote(text, safe="/%:@!$&'()*+,;=~?-._[]")


def context(value: Json) -> Json:
    """Returns a context that the ledger can hold: PostgreSQL stores neither NUL nor half a surrogate pair.

    Raises:
        BadEvent: when it is larger than 16 KiB, nested deeper than 32 levels, or holds an infinite number.
    """
    kept: Json = _storable(value, 1)
    if len(json.dumps(kept, ensure_ascii=False).encode()) > CONTEXT_BYTES:
        raise BadEvent(f"the context is larger than {CONTEXT_BYTES} bytes")
    return kept


def _storable(value: Any, depth: int) -> Any:
    if depth > CONTEXT_DEPTH:
        raise BadEvent(f"the context is nested deeper than {CONTEXT_DEPTH} levels")
    if isinstance(value, dict):
        return {_storable(name, depth): _storable(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise BadEvent("the context holds an infinite number")
    return re.sub(r"[\x00\ud800-\udfff]", "", value) if isinstance(value, str) else value
