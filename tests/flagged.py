"""Flags as the pipeline makes them, for tests of what people see: submitted, claimed, recorded, and drawn as WebP."""

import io
from typing import Any

from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from moderation import acceptance, media, submissions, verdicts
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.blobs import Blobs
from moderation.tables import Flag
from moderation.verdicts import Finding

DETECTOR = ("unmask-mobilenet", "1.0.0")


def picture(colour: str = "teal", size: tuple[int, int] = (320, 240)) -> bytes:
    """A JPEG of one colour; another colour or size gives other bytes."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return file.getvalue()


def finding(size: tuple[int, int], score: float = 0.91, band: str = "fake", **fields: Any) -> Finding:
    """What a detector would say: one face in the middle unless ``faces`` are given."""
    width, height = size
    box = [width * 0.3, height * 0.2, width * 0.3, height * 0.5]
    quality = {"size_px": height * 0.5, "sharpness": 214.37, "confidence": 0.982}
    told = {"reasons": [], "faces": [{"box": box, "score": score, "quality": quality, "frame": 0}], "ms": 34.2} | fields
    return Finding(score=score, band=band, width=width, height=height, **told)


def record(ledger: Session, answer: Finding) -> str:
    """Answers the submission that is next in the line, as a worker does; returns its id."""
    claim = submissions.claim(ledger, limit=1, lease_seconds=60)
    (row,) = claim.submissions
    assert verdicts.record(ledger, claim.lease, row.id, DETECTOR, answer)
    return row.id


def draw(blobs: Blobs, sha256: str, body: bytes) -> None:
    """Keeps the WebP renderings that a worker makes of flagged media."""
    for key, side in ((storage.preview_key(sha256), 1600), (storage.thumbnail_key(sha256), 320)):
        image, file = Image.open(io.BytesIO(body)).convert("RGB"), io.BytesIO()
        image.thumbnail((side, side))
        image.save(file, "WEBP", quality=80)
        file.seek(0)
        blobs.put(key, file)


def flag(
    sessions: sessionmaker[Session],
    blobs: Blobs,
    platform_id: str,
    body: bytes | None = None,
    *,
    drawn: bool = True,
    external_id: str | None = None,
    context: dict[str, Any] | None = None,
    **told: Any,
) -> str:
    """Sends a picture through the ledger until it lies before people; returns the flag's id."""
    file = io.BytesIO(picture() if body is None else body)
    facts = media.inspect(file, max_pixels=10**8, max_frames=100)
    draft = Draft(platform_id=platform_id, external_id=external_id, context=context or {})
    with sessions.begin() as ledger:
        row = acceptance.submit(ledger, blobs, draft, facts, file)
        record(ledger, finding((facts.width, facts.height), **told))
        found = ledger.scalar(select(Flag.id).where(Flag.submission_id == row.id))
    if drawn:
        draw(blobs, facts.sha256, file.getvalue())
    assert found is not None
    return found
