"""What the server tells, typed and frozen. Fields that a newer server adds are ignored until you update the client.

The words of a `Literal` are those that this version knows. A newer server may say others, and they come through as they
are: where you tell them apart, leave a branch for what you do not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Json = Mapping[str, Any]
Priority = Literal["urgent", "default", "bulk"]
State = Literal["fetching", "waiting", "scoring", "scored", "failed", "deleted"]
Band = Literal["clear", "review", "fake", "inconclusive"]
EventType = Literal[
    "submission.scored", "submission.failed", "flag.opened", "flag.decided", "decision.revised", "endpoint.test"
]
DeliveryState = Literal["waiting", "delivered", "failed", "cancelled"]
FINAL: tuple[State, ...] = ("scored", "failed", "deleted")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission that the server has committed: it will reach a final state, whatever happens to the server."""

    id: str
    state: State
    sha256: str | None = None  # of the bytes; None while the server still has to fetch them
    replayed: bool = False  # an earlier request with the same idempotency key had made it


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a submission could not be scored; ``slug`` is for programs."""

    slug: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Face:
    """One face. ``box`` is (x, y, width, height) in pixels of the upright image; ``score`` its own P(fake), 0 to 1."""

    box: tuple[float, float, float, float]
    score: float | None = None
    quality: Json | None = None  # what makes it more or less usable, by name
    frame: int = 0  # of an animation or a video


@dataclass(frozen=True, slots=True)
class Media:
    """The media that was judged; sizes in pixels of the upright image."""

    width: int
    height: int
    format: str
    bytes: int
    sha256: str
    frames: int = 1
    seconds: float | None = None
    pdq: str | None = None  # a perceptual hash: near-duplicates have similar ones


@dataclass(frozen=True, slots=True)
class Detector:
    """The detector release that judged."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one detector release said of one media."""

    score: float  # calibrated P(fake), 0 to 1
    band: Band
    reasons: tuple[str, ...]  # never empty where the band is `inconclusive`
    faces: tuple[Face, ...]
    media: Media
    detector: Detector
    scored_at: datetime
    ms: float  # computing time, in milliseconds
    frames: tuple[Json, ...] = ()  # the timeline of a video
    provenance: Json | None = None  # what the file says of its own origin: C2PA, generators' traces
    faces_not_judged: int = 0  # found beyond the bound of the installation; with any, no band is `clear`


@dataclass(frozen=True, slots=True)
class Submission:
    """One request to judge one piece of media, as it stands."""

    id: str
    state: State
    external_id: str | None
    priority: Priority
    context: Json
    received_at: datetime
    sha256: str | None = None
    finished_at: datetime | None = None
    verdict: Verdict | None = None  # when the state is `scored`
    failure: Failure | None = None  # when the state is `failed`

    @property
    def finished(self) -> bool:
        """Whether the state is final."""
        return self.state in FINAL


@dataclass(frozen=True, slots=True)
class Decision:
    """A moderator's answer on a flag: `fake`, `real` or `unsure`."""

    id: str
    answer: str
    decided_at: datetime
    moderator: str | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """A submission that policy put before people. ``revised`` names a decision that was taken back."""

    id: str
    submission_id: str
    state: str
    score: float | None = None
    band: Band | None = None
    external_id: str | None = None
    escalated: bool = False
    reasons: tuple[str, ...] = ()
    opened_at: datetime | None = None
    decision: Decision | None = None
    revised: str | None = None


@dataclass(frozen=True, slots=True)
class Appeal:
    """An objection to what became of a submission, and the flag that people will look at."""

    id: str
    submission_id: str
    flag_id: str
    reason: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """A place to put bytes: PUT them to ``url`` with these headers, and submit its id, before ``expires_at``."""

    upload_id: str
    url: str
    expires_at: datetime
    headers: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where your webhooks go. ``events`` empty means all of them."""

    id: str
    url: str
    events: tuple[EventType, ...]
    created_at: datetime
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None


@dataclass(frozen=True)
class NewEndpoint(Endpoint):
    """An endpoint with the secret that signs its webhooks. It is told this once: keep it."""

    secret: str = field(repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One outbound webhook message; ``id`` is its `webhook-id`."""

    id: str
    event: EventType
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None = None
    finished_at: datetime | None = None
    submission_id: str | None = None
    endpoint_id: str | None = None
    callback_url: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One try at a delivery: a status that was answered, or why there was none."""

    at: datetime
    status: int | None
    error: str | None
    ms: float


@dataclass(frozen=True)
class DeliveryRecord(Delivery):
    """A delivery with the exact text that is sent, and every try at it, oldest first."""

    body: str = field(kw_only=True)
    tries: tuple[DeliveryAttempt, ...] = field(kw_only=True)
