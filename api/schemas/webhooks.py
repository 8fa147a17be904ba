"""Webhook endpoints and deliveries."""

from datetime import datetime

from pydantic import BaseModel, Field

from api.schemas.values import DeliveryState, Event, FromRow, HttpsUrl, Strict
from moderation import signatures


class EndpointForm(Strict):
    """A webhook endpoint to add."""

    url: HttpsUrl = Field(description="https, public")
    events: list[Event] = Field(default=[], max_length=20, description="which events it wants; none means all")


class EndpointChange(Strict):
    """What to change of a webhook endpoint; what is absent or null stays as it is."""

    url: HttpsUrl | None = Field(None, description="https, public; what waits for the endpoint goes there, too")
    events: list[Event] | None = Field(None, max_length=20, description="which events it wants; none means all")
    enabled: bool | None = Field(None, description="true enables it again, with a clean slate")


class Rotation(Strict):
    """How to change secrets."""

    overlap_seconds: int = Field(
        signatures.OVERLAP_SECONDS,
        ge=0,
        le=signatures.LONGEST_OVERLAP,
        description="how long the secret before signs beside the new one; 0 ends it at once",
    )


class DeliveryFilter(Strict):
    """Which deliveries to list."""

    status: DeliveryState | None = None
    endpoint_id: str | None = Field(None, pattern=r"^wep_[0-9a-z]{26}$", description="only to this webhook endpoint")
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = Field(None, pattern=r"^msg_[0-9a-z]{26}$", description="`next_cursor` of the page before")


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


class DeliveryAttempt(FromRow):
    """One try at a delivery: a status that was answered, or why there was none."""

    at: datetime
    status: int | None
    error: str | None
    ms: float


class DeliveryRecord(Delivery):
    """A delivery with the exact text that is sent, and every try at it, those before a replay included."""

    body: str
    tries: list[DeliveryAttempt] = Field(description="oldest first")


class DeliveryPage(BaseModel):
    """Deliveries, newest first."""

    items: list[Delivery]
    next_cursor: str | None = Field(description="null on the last page")
