"""Pictures of media that people are going to see though nobody scores it now: what was appealed, or judged before for
another platform, and was never put before people until then.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from model.detector import Failure
from moderation import blobs as storage
from moderation import erasure, logs, verdicts
from moderation.errors import NotFound, WorldDown
from moderation.tables import Media, Verdict
from worker import previews
from worker.scoring import Bench

LIMIT = 8  # media at a time; each costs about what preparing it for scoring does

log = logs.get(__name__)


def run(bench: Bench, limit: int = LIMIT) -> int:
    """Draws up to ``limit`` media that are marked `undrawn`; returns how many. Storage that is away is tried again."""
    with bench.ledger.begin() as session:
        digests = verdicts.undrawn(session, limit)
    try:
        for sha256 in digests:
            _draw(bench, sha256)
    except WorldDown as error:
        log.warning("drawing_put_off", error=error.detail)
    return len(digests)


def _draw(bench: Bench, sha256: str) -> None:
    with bench.ledger.begin() as session:
        frames = _frames(session, sha256)
    if not bench.blobs.exists(storage.thumbnail_key(sha256)):
        try:
            content = bench.blobs.read(storage.media_key(sha256))
        except NotFound:
            content = None  # erased meanwhile
        if content is not None:
            sheet = bench.detector.prepare([content]).sheets[0] if frames else None
            looks = () if sheet is None or isinstance(sheet, Failure) else sheet.seen
            previews.store(bench.blobs, sha256, content, frames, looks, bench.apart)
    with bench.ledger.begin() as session:
        if not erasure.let_go(session, bench.blobs, sha256):
            session.get_one(Media, sha256).undrawn = False


def _frames(session: Session, sha256: str) -> list[dict[str, object]]:
    """Returns the frames of the latest verdict; none of a still."""
    latest = select(Verdict.frames).where(Verdict.media_sha256 == sha256).order_by(Verdict.scored_at.desc()).limit(1)
    return session.scalar(latest) or []
