"""Settings: the only reader of the environment (`UNMASK_…`). Read at the edges, passed down as plain values.

No secret has a default. Times are seconds, sizes are bytes, unless a name says otherwise.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from formats.complexity import Bounds
from moderation.errors import BadSettings

MEGABYTE = 1_000_000


class Settings(BaseSettings):
    """One frozen object with everything that an operator may set; see `.env.example`."""

    model_config = SettingsConfigDict(env_prefix="UNMASK_", env_file=".env", frozen=True, extra="ignore")

    # engines
    database_url: str = Field(description="PostgreSQL, as postgresql://user:password@host/name")
    redis_url: str = Field(description="Redis, as redis://host:6379/0 or redis+socket:///path")
    media: str = Field(description="where media lives: file:///directory or s3://bucket/prefix")
    secret_key: str = Field(min_length=32, description="signs sessions; at least 32 characters, the same everywhere")

    # the web
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    public_url: str | None = Field(
        None, description="how browsers and platforms reach this installation; https turns on secure cookies"
    )
    trusted_proxies: int = Field(0, ge=0, description="reverse proxies in front whose X-Forwarded-For is believed")

    # the detector
    detector: Path | None = Field(
        None, description="full, lite or a release directory; full when empty, or lite where the encoder is missing"
    )
    device: str = Field("auto", description="auto, cpu or cuda:N")
    face_model: Path | None = Field(None, description="a YuNet ONNX file to find faces with instead of our own")
    encoder_cache: Path | None = Field(
        None, description="folder of the image encoder, shared by clones; the user's own cache folder when empty"
    )
    batch: int = Field(16, ge=1, le=1024, description="submissions claimed and scored at once")
    batch_bytes: int = Field(512 * MEGABYTE, ge=1, description="bytes of files read and scored at once, or one file")
    c2pa_anchors: Path | None = Field(None, description="PEM certificates; who signs under one of them is `trusted`")
    clip_frames: int = Field(32, ge=1, le=256, description="frames of a video or an animation that are looked at")
    most_faces: int = Field(64, ge=1, le=256, description="faces of a picture that are judged; the others are counted")

    upload_endpoint: str | None = Field(
        None, description="how platforms reach the bucket's S3 endpoint, where it has another address for them"
    )

    # limits of what is accepted
    max_bytes: int = Field(200 * MEGABYTE, ge=1)
    max_pixels: int = Field(100_000_000, ge=1, description="width times height of one frame")
    max_jpeg_pixels: int = Field(250_000_000, ge=1, description="of a JPEG, which workers decode at a smaller size")
    max_frames: int = Field(2_000, ge=1, description="frames of an animated image")
    max_video_pixels: int = Field(36_000_000, ge=1, description="width times height of a video's frame")
    max_seconds: float = Field(600, gt=0, description="length of a video")
    max_scans: int = Field(64, ge=1, description="scans of a progressive JPEG")
    max_segments: int = Field(5_000, ge=64, description="segments of a JPEG; one in 64 may be Exif")
    max_parts: int = Field(100_000, ge=1, description="chunks, strips, tiles, blocks or boxes of a file")
    decode_seconds: float = Field(
        60, gt=0, le=60, description="for a worker to decode a file and find its faces, before that is ended"
    )
    decode_memory: int = Field(4_000 * MEGABYTE, ge=1_000 * MEGABYTE, description="bytes that this may take")

    # limits of how much is accepted
    rate_limit: str = Field("3000 per minute", description="requests of one API key; none when empty")
    key_attempts: str = Field("60 per minute", description="failed API keys of one address; no limit when empty")
    max_line: int = Field(100_000, ge=1, description="submissions in the line above which only urgent ones may join")

    # the ledger
    lease_seconds: float = Field(60, gt=0, description="how long a worker may hold what it claimed, without renewing")
    max_attempts: int = Field(3, ge=1)
    lane_orders: int = Field(8, ge=1, description="unread orders on a lane after which no more are sent")
    idempotency_hours: float = 24
    ephemeral_seconds: float = Field(600, gt=0, description="an unanswered /try upload is erased after this long")

    # fetching
    fetch_seconds: float = Field(60, gt=0, le=90, description="for one whole exchange: names, redirects, head and body")
    fetch_attempts: int = Field(5, ge=1, description="after which a server that is in trouble is given up")

    # people
    claim_seconds: float = Field(300, gt=0, description="a moderator's claim ends this long after the last heartbeat")
    undo_seconds: float = Field(10, ge=0, description="a decision leaves the house only after this long")
    session_hours: float = Field(12, gt=0)
    login_attempts: str = Field(
        "10 per 5 minutes",
        description="wrong passwords of an address or a device; addresses that may fail at an account",
    )

    # deliveries
    delivery_timeout: float = Field(15, gt=0)
    delivery_days: float = Field(30, gt=0, description="a message that ended, delivered or not, is forgotten after")
    allowed_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma-separated private networks that webhooks and fetches may reach, such as 127.0.0.0/8"
    )

    # operation
    home: Path = Field(Path(".unmask"), description="state of the embedded engines")
    log_format: str = Field("json", pattern="^(json|console)$")
    log_level: str = "INFO"
    upkeep_seconds: float = Field(5, gt=0, description="how often upkeep looks at the ledger")
    worker_metrics_port: int | None = Field(None, ge=1, le=65535, description="where a worker serves /metrics")
    stall_seconds: float = Field(
        300,
        gt=0,
        description="a worker or upkeep that finishes nothing for so long is ended; above 240, a task's limit",
    )
    progress: Path | None = Field(
        None, description="a file that a worker touches when it has finished something, for liveness probes"
    )

    @property
    def address(self) -> str:
        """How this installation is reached, as its operator says: `public_url`, else where it listens."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
        host = everywhere.get(self.host, self.host)
        host = f"[{host}]" if ":" in host else host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def media_limits(self) -> dict[str, Any]:
        """What `media.inspect` holds a file to."""
        return {
            "max_pixels": self.max_pixels,
            "max_jpeg_pixels": self.max_jpeg_pixels,
            "max_frames": self.max_frames,
            "max_video_pixels": self.max_video_pixels,
            "max_seconds": self.max_seconds,
            "bounds": self.bounds,
        }

    @property
    def bounds(self) -> Bounds:
        """How many parts a file may have."""
        return Bounds(self.max_scans, self.max_segments, self.max_parts)

    @property
    def late_seconds(self) -> float:
        """The age at which the last round of upkeep's chores is late: twelve rounds, and at least a minute."""
        return max(60.0, 12 * self.upkeep_seconds)

    @field_validator("allowed_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


_Kind = TypeVar("_Kind", bound=Settings)


@cache
def load() -> Settings:
    """Reads the environment once; see `read`."""
    return read(Settings)


def read(kind: type[_Kind]) -> _Kind:
    """Reads the environment.

    Raises:
        BadSettings: naming each variable that is missing or wrong, on one line.
    """
    try:
        return kind()
    except ValidationError as error:
        problems = "; ".join(f"UNMASK_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise BadSettings(problems) from None
