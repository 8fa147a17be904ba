"""Erasure: what is removed when a submission goes, and what stays because others hold it.

Blobs are removed while the media row is locked; `submissions.submit` looks again under the same lock, so bytes that are
sent once more at that very moment are not lost. A crash between the removal and the commit leaves a row without bytes,
which the next erasure of it finishes.
"""

from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from moderation import audit
from moderation import blobs as storage
from moderation.blobs import Blobs
from moderation.errors import NotFound
from moderation.tables import Delivery, Flag, IdempotencyKey, Media, Submission


def erase(session: Session, blobs: Blobs, submission_id: str, *, actor: str = "system") -> None:
    """Removes a submission's media, previews, verdicts, flag and messages; others that hold the media keep it.

    A platform's submission stays as a tombstone in state `deleted`; an ephemeral one leaves nothing.

    Raises:
        NotFound: when there is no such submission.
        WorldDown: when the blobs cannot be removed; then nothing has changed.
    """
    row = session.scalar(select(Submission).where(Submission.id == submission_id).with_for_update())
    if row is None:
        raise NotFound(f"there is no submission {submission_id}")
    sha256 = row.media_sha256
    media = session.get(Media, sha256, with_for_update=True) if sha256 else None
    session.execute(delete(Flag).where(Flag.submission_id == row.id))
    session.execute(delete(Delivery).where(Delivery.submission_id == row.id))
    _empty(session, row, actor)
    if media is not None and not _held(session, media.sha256):
        for key in (storage.media_key, storage.preview_key, storage.thumbnail_key):
            blobs.delete(key(media.sha256))
        session.execute(delete(Media).where(Media.sha256 == media.sha256))


def sweep(session: Session, blobs: Blobs, sha256: str) -> None:
    """Removes the previews of media that was erased while a worker was rendering them.

    Raises:
        WorldDown: when the blobs cannot be removed.
    """
    if session.get(Media, sha256) is None:
        blobs.delete(storage.preview_key(sha256))
        blobs.delete(storage.thumbnail_key(sha256))


def _empty(session: Session, row: Submission, actor: str) -> None:
    if row.platform_id is None:
        session.delete(row)
    elif row.state != "deleted":
        audit.write(session, actor, "submission.erased", row.id, old={"state": row.state, "sha256": row.media_sha256})
        row.state, row.lease, row.lease_expires_at = "deleted", None, None
        row.media_sha256 = row.verdict_id = row.external_id = row.callback_url = None
        row.failure_slug = row.failure_detail = None
        row.context = {}
        row.finished_at = row.finished_at or session.scalar(select(func.clock_timestamp()))
    session.flush()


def _held(session: Session, sha256: str) -> bool:
    return bool(session.scalar(select(select(Submission.id).where(Submission.media_sha256 == sha256).exists())))


def erase_ephemeral(session: Session, blobs: Blobs, older_than_seconds: float, limit: int = 50) -> int:
    """Erases /try uploads that nobody waited for; returns how many."""
    old = Submission.received_at < func.clock_timestamp() - timedelta(seconds=older_than_seconds)
    rows = session.scalars(select(Submission.id).where(Submission.person_id.is_not(None), old).limit(limit)).all()
    for submission_id in rows:
        erase(session, blobs, submission_id)
    return len(rows)


def forget_keys(session: Session, hours: float) -> int:
    """Forgets Idempotency-Keys older than ``hours``; returns how many."""
    old = IdempotencyKey.created_at < func.clock_timestamp() - timedelta(hours=hours)
    gone = session.execute(delete(IdempotencyKey).where(old).returning(IdempotencyKey.key))
    return len(gone.all())
