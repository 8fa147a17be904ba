"""Erasure of a submission in two steps, so that a crash between them leaves nothing half erased for long.

`ask` is the promise: in one transaction the submission becomes `deleted` for every reader and every worker, what was
said of it goes, and it notes that blobs are still to be removed. `remove` keeps the promise; whoever asked calls it in
a second transaction, and upkeep calls it for those that never came to it.

Blobs are removed under the lock of the media row, whether or not there is one: `acceptance.hold` takes the same lock
and looks for the blob afterwards, so bytes that are sent once more at that very moment are not lost.
"""

import hashlib
from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from moderation import audit, uploads
from moderation import blobs as storage
from moderation.blobs import Blobs
from moderation.errors import NotFound
from moderation.tables import Appeal, Delivery, FaceFeatures, Flag, IdempotencyKey, Media, Round, Submission

HEAD_START = 60.0  # seconds that whoever asked has to remove blobs before upkeep takes it for interrupted
LONGEST_DELAY = 3_600.0

_now = func.clock_timestamp


def ask(session: Session, submission_id: str, *, actor: str = "system") -> Submission:
    """Makes a submission `deleted`: its flag, decisions, appeals, messages and features of faces go, its words and its
    lease are emptied, its Idempotency-Key is veiled. The audit says that it was erased, when and by whom.

    Asking again changes nothing.

    Raises:
        NotFound: when there is no such submission.
    """
    # Not FOR UPDATE: a decision that is being made on its flag refers to this row, and holds the flag that goes next.
    locked = select(Submission).where(Submission.id == submission_id).with_for_update(key_share=True)
    row = session.scalar(locked.execution_options(populate_existing=True))
    if row is None:
        raise NotFound(f"there is no submission {submission_id}")
    if row.state == "deleted":
        return row
    if row.platform_id is not None:
        audit.write(session, actor, "submission.erased", row.id, old={"state": row.state})  # and no digest of it
    for table in (Flag, Delivery, Appeal, FaceFeatures):
        session.execute(delete(table).where(table.submission_id == row.id))
    _veil_keys(session, row)
    _empty(session, row)
    return row


def _veil_keys(session: Session, row: Submission) -> None:
    """Makes the Idempotency-Key of a submission unreadable: it may be a digest of the file, and its fingerprint is one
    of all that was sent. It still works, so that a client which repeats its request does not bring the bytes back.
    """
    for kept in session.scalars(select(IdempotencyKey).where(IdempotencyKey.submission_id == row.id)):
        kept.key, kept.fingerprint = veiled(kept.platform_id, kept.key), ""


def veiled(platform_id: str, key: str) -> str:
    """Returns the form in which an Idempotency-Key is kept, for the rest of its day, once its submission is erased."""
    return "erased " + hashlib.sha256(f"erased {platform_id} {key}".encode()).hexdigest()


def _empty(session: Session, row: Submission) -> None:
    now = session.scalars(select(_now())).one()
    upload = (row.origin or {}).get("upload_id")
    row.state, row.lease, row.lease_expires_at, row.attempts = "deleted", None, None, 0
    row.origin = {"upload_id": upload} if upload else None  # the one place that is ours to clear
    row.verdict = row.verdict_id = row.band = row.external_id = row.callback_url = None
    row.failure_slug = row.failure_detail = None
    row.context = {}
    row.finished_at = row.finished_at or now
    row.erase_asked_at, row.due_at = now, now + timedelta(seconds=HEAD_START)
    session.flush()


def remove(session: Session, blobs: Blobs, submission_id: str) -> bool:
    """Removes what a submission that was asked about held, unless others hold it; returns whether media went.

    A platform's submission stays as a tombstone, an ephemeral one leaves nothing. Doing it twice changes nothing.

    Raises:
        WorldDown: when blobs cannot be removed; the promise stands, and `unfinished` names it again.
    """
    row = session.get(Submission, submission_id, populate_existing=True)
    if row is None or row.erase_asked_at is None:
        return False
    gone = row.media_sha256 is not None and let_go(session, blobs, row.media_sha256)
    if row.origin:
        uploads.spend(session, blobs, row.origin["upload_id"])
    mine = Submission.id == submission_id
    if row.platform_id is None:
        session.execute(delete(Submission).where(mine))
    else:
        done = {"erase_asked_at": None, "media_sha256": None, "origin": None}
        session.execute(update(Submission).where(mine).values(done))
    return gone


def let_go(session: Session, blobs: Blobs, sha256: str) -> bool:
    """Removes media, its renderings and its verdicts unless a submission holds it; returns whether it went.

    Raises:
        WorldDown: when the blobs cannot be removed.
    """
    _lock(session, sha256)
    asked = update(Submission).where(Submission.media_sha256 == sha256, Submission.erase_asked_at.is_not(None))
    session.execute(asked.values(media_sha256=None))
    if session.scalar(select(select(Submission.id).where(Submission.media_sha256 == sha256).exists())):
        return False
    for key in storage.keys_of(sha256):
        blobs.delete(key)
    session.execute(delete(Media).where(Media.sha256 == sha256))
    # A round through the store may have stopped at this very blob. It goes on a little before it.
    here = func.left(Round.position, func.length(Round.position) - len(sha256) + 4)
    session.execute(update(Round).where(Round.position.endswith(sha256)).values(position=here))
    return True


def removable(session: Session, ids: Collection[str]) -> set[str]:
    """Returns the digests of media that would go if the submissions ``ids`` were erased: nobody else holds them."""
    named = select(Submission.media_sha256).where(Submission.id.in_(ids), Submission.media_sha256.is_not(None))
    others = (Submission.id.not_in(ids), Submission.erase_asked_at.is_(None))
    held = select(Submission.media_sha256).where(Submission.media_sha256.in_(named), *others)
    return {digest for digest in session.scalars(named) if digest} - set(session.scalars(held))


def _lock(session: Session, sha256: str) -> None:
    """Locks the media row until commit; where there is none, a placeholder keeps others from adding one."""
    nothing = {"bytes": 0, "format": "", "content_type": "", "width": 0, "height": 0, "frames": 0}
    row = insert(Media).values(sha256=sha256, **nothing)
    session.execute(row.on_conflict_do_update(index_elements=["sha256"], set_={"held_at": Media.held_at}))


def unfinished(session: Session, limit: int) -> list[str]:
    """Returns up to ``limit`` ids whose blobs should have been removed by now, longest due first."""
    late = (Submission.erase_asked_at.is_not(None), Submission.due_at <= _now())
    return list(session.scalars(select(Submission.id).where(*late).order_by(Submission.due_at).limit(limit)))


def postpone(session: Session, submission_id: str) -> None:
    """Leaves an erasure that failed alone for a minute, and twice as long after each further failure, up to an hour."""
    delay = func.least(HEAD_START * func.power(2.0, func.least(Submission.attempts, 10)), LONGEST_DELAY)
    mine = update(Submission).where(Submission.id == submission_id, Submission.erase_asked_at.is_not(None))
    later = _now() + delay * timedelta(seconds=1)
    session.execute(mine.values(attempts=Submission.attempts + 1, due_at=later))
