"""The shapes that requests and answers have: what is validated here is what /openapi.json promises.

PostgreSQL can store neither NUL nor half a surrogate pair, so text with one of them is refused, wherever it comes from.
"""

import json
import math
import re
from datetime import datetime
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
    """Reads the JSON object that a form field carries as text."""
    if not isinstance(sent, str):
        return sent
    if len(sent.encode(errors="replace")) > CONTEXT_BYTES:
        raise ValueError(f"must not be longer than {CONTEXT_BYTES} bytes")
    try:
        value = json.loads(sent)
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - pydantic turns only ValueError into a fault
    _walk(value)
    return value


def _time(sent: object) -> object:
    """Lets nothing but a written time through: pydantic would also take a number of seconds."""
    if isinstance(sent, str) and not re.match(r"\d{4}-\d\d-\d\dT", sent):
        raise ValueError("must be an RFC 3339 time, such as 2026-11-21T08:00:00Z")
    return sent


Storable = AfterValidator(_storable)
ExternalId = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"), Storable]
Url = Annotated[str, Field(min_length=1, max_length=2048, json_schema_extra={"format": "uri"}), Storable]
Time = Annotated[AwareDatetime, BeforeValidator(_time)]
Context = Annotated[dict[str, Any], BeforeValidator(_context)]


class Strict(BaseModel):
    """What clients send: a field that nobody knows is a mistake, not something to ignore."""

    model_config = ConfigDict(extra="forbid")


class SubmissionForm(Strict):
    """The text fields beside `file` in POST /v1/submissions."""

    external_id: ExternalId | None = Field(None, description="your own name for it; comes back everywhere")
    priority: Priority = Field("default", description="which line it waits in")
    context: Context = Field(default_factory=dict, description="a JSON object of at most 16 KiB that moderators see")
    callback_url: Url | None = Field(None, description="is told of the outcome, in addition to your webhook endpoints")


class IdempotencyHeader(BaseModel):
    """Makes a POST safe to repeat for 24 hours."""

    model_config = ConfigDict(validate_by_name=True)
    idempotency_key: str | None = Field(
        None,
        alias="Idempotency-Key",
        max_length=255,
        pattern=r"^[!-~]+$",
        description="the same key and request within 24 hours make one submission",
    )


class Wait(Strict):
    """How long GET may hold on."""

    wait: float = Field(0, ge=0, le=30, allow_inf_nan=False, description="seconds to wait for a final state")


class SubmissionFilter(Strict):
    """Which submissions to list."""

    state: State | None = None
    external_id: ExternalId | None = None
    since: Time | None = Field(None, description="received at or after; RFC 3339 with an offset")
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before")


class EndpointForm(Strict):
    """A webhook endpoint to add."""

    url: Url = Field(description="https, public")
    events: list[Event] = Field(default=[], max_length=20, description="which events it wants; none means all")


class DeliveryFilter(Strict):
    """Which deliveries to list."""

    status: DeliveryState | None = None
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = Field(None, pattern=r"^msg_[0-9a-z]{26}$", description="`next_cursor` of the page before")


class Links(BaseModel):
    """Where to go on."""

    self: str


class Accepted(BaseModel):
    """A committed submission: it will reach a final state."""

    id: str
    state: State
    sha256: str | None = Field(description="of the file's bytes, in hexadecimal; null once erased")
    links: Links


class Failure(BaseModel):
    """Why a submission could not be scored."""

    slug: str
    detail: str | None


class Face(BaseModel):
    """One face that was found."""

    model_config = ConfigDict(extra="allow")
    box: list[float] = Field(description="[x, y, width, height] in pixels of the upright image")
    score: float | None = Field(None, description="calibrated P(fake) of this face, 0 to 1")
    quality: dict[str, float] | None = Field(None, description="what makes it more or less usable, by name")
    frame: int = Field(0, description="of an animation: the frame it was seen in")


class JudgedMedia(BaseModel):
    """The media that was judged."""

    width: int = Field(description="of the upright image, in pixels")
    height: int
    format: str
    bytes: int
    frames: int
    sha256: str


class Release(BaseModel):
    """The detector release that judged."""

    name: str
    version: str


class Verdict(BaseModel):
    """What one detector release said of one media."""

    score: float = Field(description="calibrated P(fake), 0 to 1")
    band: Band
    reasons: list[str] = Field(description="never empty when the band is `inconclusive`")
    faces: list[Face]
    frames: list[dict[str, Any]]
    media: JudgedMedia
    detector: Release
    scored_at: datetime
    ms: float = Field(description="computing time that this media took, in milliseconds")


class Submission(Accepted):
    """One request to judge one piece of media."""

    external_id: str | None
    priority: Priority
    context: dict[str, Any]
    received_at: datetime
    finished_at: datetime | None
    verdict: Verdict | None = Field(description="when the state is `scored`")
    failure: Failure | None = Field(description="when the state is `failed`")


class SubmissionPage(BaseModel):
    """Submissions, newest first."""

    items: list[Submission]
    next_cursor: str | None = Field(description="null on the last page")


class FromRow(BaseModel):
    """Read from a table's row."""

    model_config = ConfigDict(from_attributes=True)


class Endpoint(FromRow):
    """Where your webhooks go."""

    id: str
    url: str
    events: list[Event] = Field(description="empty: all of them")
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None


class NewEndpoint(Endpoint):
    """An endpoint with its signing secret, which is shown this once."""

    secret: str


class EndpointList(BaseModel):
    """Endpoints, oldest first."""

    items: list[Endpoint]


class Delivery(FromRow):
    """One outbound webhook message; `id` is its `webhook-id`."""

    id: str
    event: Event
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime
    created_at: datetime
    finished_at: datetime | None
    submission_id: str | None
    endpoint_id: str | None
    callback_url: str | None


class DeliveryPage(BaseModel):
    """Deliveries, newest first."""

    items: list[Delivery]
    next_cursor: str | None = Field(description="null on the last page")


class Liveness(BaseModel):
    """The process answers."""

    status: str


class Health(Liveness):
    """Whether requests can be served, and what each part of the world answered."""

    checks: dict[str, str] = Field(description="`ok`, or what is wrong, for each part")


class Problem(BaseModel):
    """RFC 9457: what went wrong. Programs decide by `type`, people read `detail`."""

    type: str = Field(description="stable; also the address of a page about it")
    title: str
    status: int
    detail: str
    instance: str
    request_id: str = Field(description="names this request in the operator's log")
    errors: dict[str, list[str]] | None = Field(None, description="faults by field, for `invalid-request`")
