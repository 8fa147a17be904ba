"""Submissions and verdicts, as they are sent and as they are answered."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.values import Band, Context, ExternalId, HttpsUrl, Priority, State, Strict, Time


class SubmissionForm(Strict):
    """What may be said of a submission, beside where its media is."""

    external_id: ExternalId | None = Field(None, description="your own name for it; comes back everywhere")
    priority: Priority | None = Field(None, description="which line it waits in; your policy's where absent")
    context: Context = Field(default_factory=dict, description="a JSON object of at most 16 KiB that moderators see")
    callback_url: HttpsUrl | None = Field(
        None, description="is told of the outcome, in addition to your webhook endpoints"
    )


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
    cursor: str | None = Field(
        None, pattern=r"^[0-9]{16}_sub_[0-9a-z]{26}$", description="`next_cursor` of the page before"
    )


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
    """Why a submission could not be scored.

    Of media at a URL or in a bucket: `forbidden-address` (it leads, itself or by a redirect, to where Unmask does not
    connect), `fetch-failed` (no connection, no such host, or it ended early), `fetch-timeout`, `fetch-status` (the
    server answered something else than 200), `fetch-redirect` (too many, to nowhere, or away from https),
    `fetch-encoded` (it compressed the body unasked), `too-large`, `no-room` (for a file of that size, here). Of an
    upload: `upload-missing`. Trouble that may pass was tried again before. Of the file: the same slugs as when it is
    sent, such as `torn-file`, and `too-costly` (decoding took too much time or memory). Of our storage: `media-missing`
    and `media-damaged`; what is sent again is stored anew.
    """

    slug: str = Field(description="stable; never changes its meaning")
    detail: str | None


class Face(BaseModel):
    """One face that was found."""

    model_config = ConfigDict(extra="allow")
    box: list[float] = Field(description="[x, y, width, height] in pixels of the upright image")
    score: float | None = Field(None, description="calibrated P(fake) of this face, 0 to 1")
    quality: dict[str, float] | None = Field(None, description="what makes it more or less usable, by name")
    frame: int = Field(0, description="of a clip: the frame it was seen in")


class Frame(BaseModel):
    """One frame of a clip (a video or an animation) that was looked at."""

    index: int = Field(description="its place among the clip's frames, from 0")
    time: float | None = Field(None, description="seconds from the beginning; null for the pages of a TIFF")
    score: float = Field(description="calibrated P(fake) of its most suspicious face, 0 to 1")


class JudgedMedia(BaseModel):
    """The media that was judged."""

    width: int = Field(description="of the upright image, in pixels")
    height: int
    format: str
    bytes: int
    frames: int = Field(description="0 for a video whose header does not say")
    seconds: float | None = Field(None, description="of a video: how long it plays, as its header says")
    sha256: str
    pdq: str | None = Field(
        None, description="perceptual hash, 64 hexadecimal digits; of a clip, of its frame of highest quality"
    )
    pdq_quality: int | None = Field(None, description="0 to 100; below 50 the hash means little")


class Manifest(BaseModel):
    """What a file's C2PA manifest claims. Nothing was fetched."""

    present: bool
    valid: bool | None = Field(description="whether signature and bytes agree; null when it could not be read")
    state: str = Field(
        description="`valid`, `invalid`, `remote` (not fetched) or `unreadable`; `trusted` or `untrusted` in place of "
        "`valid` where the operator keeps a list of signers"
    )
    issuer: str | None = Field(description="who signed, as the certificate says")
    generator: str | None = Field(description="the program that wrote the manifest")
    actions: list[str]
    source_types: list[str] = Field(description="IPTC digital source types, such as `trainedAlgorithmicMedia`")
    ai_generated: bool = Field(description="whether a model is said to have made it, in whole or in part")


class Trace(BaseModel):
    """A trace that a generator left in the metadata."""

    where: str = Field(description="such as `png:parameters`, `exif:Software`, `xmp:DigitalSourceType`")
    name: str = Field(description="whose trace it is")
    text: str = Field(description="the words that name a tool or a model, often empty; never a prompt")


class Provenance(BaseModel):
    """What the file says of its own origin: claims, easily written and easily lost."""

    c2pa: Manifest | None
    generator_metadata: list[Trace]


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
    faces_not_judged: int = Field(
        0, description="faces that were found beyond those that are judged of a picture; with any, no band is `clear`"
    )
    frames: list[Frame] = Field(description="of a clip: the frames that were looked at, in order; empty for a still")
    media: JudgedMedia
    provenance: Provenance
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
