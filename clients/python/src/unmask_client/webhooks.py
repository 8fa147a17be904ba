"""Webhooks that Unmask sends, verified and typed: `verify_webhook` is all that a receiver needs.

Standard Webhooks 1.0.0, symmetric signatures:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast

from unmask_client import reading
from unmask_client.documents import EventType, Flag, Json, Submission
from unmask_client.errors import BadSignature

TOLERANCE_SECONDS = 300  # either way: older is a replay, newer a clock that is wrong
PREFIX = "whsec_"


class Headers(Protocol):
    """The headers of a request, as every framework has them."""

    def items(self) -> Iterable[tuple[str, str]]: ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. ``id`` is the same at every attempt to tell you: do what it asks for once per id.

    ``truncated``: it was too long for a webhook, and lists in it are empty or texts cut; the API tells the whole.
    """

    id: str
    type: EventType
    occurred_at: datetime
    data: Json

    @property
    def truncated(self) -> bool:
        return bool(self.data.get("truncated"))


@dataclass(frozen=True, slots=True)
class SubmissionEvent(Event):
    """`submission.scored` or `submission.failed`."""

    submission: Submission


@dataclass(frozen=True, slots=True)
class FlagEvent(Event):
    """`flag.opened`, `flag.decided`, or `decision.revised` (``flag.revised`` names the decision taken back)."""

    flag: Flag


def verify_webhook(secret: str, headers: Headers, body: bytes | str, *, now: float | None = None) -> Event:
    """Returns the event that a webhook tells of, once its signature has been found right.

    Args:
        secret: of the endpoint, or of the platform for callbacks: ``whsec_…``.
        headers: of the request; their case does not matter.
        body: the raw body, exactly as it came: parsed and written again it is another.
        now: seconds since 1970; the present where it is None.

    Raises:
        BadSignature: when it is not signed with this secret, or its time is more than five minutes off.
        BadAnswer: when it is signed, and is no event all the same.
        ValueError: when ``secret`` is no secret.
    """
    key = _key(secret)
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    sent = {name.lower(): value for name, value in headers.items()}
    message, timestamp, signatures = (sent.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (message and timestamp and signatures):
        raise BadSignature("the headers webhook-id, webhook-timestamp and webhook-signature are not all there")
    _check_time(timestamp, time.time() if now is None else now)
    signed = b".".join((_bytes(message), _bytes(timestamp), raw))
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    if not any(hmac.compare_digest(expected, _bytes(signature)) for signature in signatures.split(" ")):
        raise BadSignature("no signature is one of this secret")
    return _event(message, reading.parsed(raw))


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a webhook secret is whsec_ and base64") from error
    if not key:
        raise ValueError("the webhook secret is empty")
    return key


def _bytes(header: str) -> bytes:
    return header.encode("utf-8", "surrogatepass")


def _check_time(timestamp: str, now: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise BadSignature("webhook-timestamp is no number of seconds")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise BadSignature("webhook-timestamp is more than five minutes off: a replay, or a clock that is wrong")


@dataclass(frozen=True, slots=True)
class _Message:
    type: str
    timestamp: datetime
    data: Mapping[str, Any]


def _event(message_id: str, body: object) -> Event:
    """Types what is known; an event of a newer server is an `Event` with its data."""
    message = reading.read(_Message, body, "the webhook")
    kind = cast("EventType", message.type)
    if message.type in ("submission.scored", "submission.failed"):
        submission = reading.read(Submission, message.data, "data")
        return SubmissionEvent(message_id, kind, message.timestamp, message.data, submission)
    if message.type in ("flag.opened", "flag.decided", "decision.revised"):
        flag = reading.read(Flag, message.data, "data")
        return FlagEvent(message_id, kind, message.timestamp, message.data, flag)
    return Event(message_id, kind, message.timestamp, message.data)
