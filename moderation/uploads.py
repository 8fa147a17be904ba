"""Uploads: a platform announces bytes, puts them in place at an address of its own, and submits them by id.

An upload belongs to one platform and lives until it expires. It may be submitted more than once while its bytes are
there; whoever has fetched them spends them, and they live on as media. The row stays until the address that was handed
out is surely dead, so that what is put late is removed, too.
"""

import hashlib
import hmac
from datetime import timedelta

from sqlalchemy import Exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from moderation import blobs as storage
from moderation.blobs import Blobs
from moderation.errors import BadUploadUrl, NotFound
from moderation.tables import Submission, Upload

SECONDS = 3600  # from the announcement to the submission
GRACE = timedelta(hours=1)  # a PUT that began in time may end later than its address


def create(session: Session, platform_id: str, size: int, content_type: str, seconds: int = SECONDS) -> Upload:
    """Adds an upload of ``size`` bytes that expires after ``seconds``."""
    expires_at = session.scalar(select(func.clock_timestamp() + timedelta(seconds=seconds)))
    row = Upload(platform_id=platform_id, bytes=size, content_type=content_type, expires_at=expires_at)
    session.add(row)
    session.flush()
    return row


def find(session: Session, platform_id: str, upload_id: str) -> Upload:
    """Returns a platform's own upload, which nobody can spend or sweep until commit.

    Raises:
        NotFound: when there is none, it is somebody else's, or it has expired.
    """
    mine = (Upload.id == upload_id, Upload.platform_id == platform_id, Upload.expires_at > func.clock_timestamp())
    row = session.scalar(select(Upload).where(*mine).with_for_update(read=True))
    if row is None:
        raise NotFound(f"there is no upload {upload_id}, or it has expired")
    return row


def signature(secret_key: str, row: Upload) -> str:
    """Returns what an address of our own carries: the hexadecimal HMAC-SHA256 of the upload's id, size and expiry."""
    said = f"upload {row.id} {row.bytes} {expiry(row)}"
    return hmac.digest(secret_key.encode(), said.encode(), hashlib.sha256).hex()


def expiry(row: Upload) -> int:
    """Returns when the upload expires, in whole seconds since 1970."""
    return int(row.expires_at.timestamp())


def invited(session: Session, secret_key: str, upload_id: str, expires: int, sent: str) -> Upload:
    """Returns the upload whose address carries this expiry and the signature ``sent``.

    Raises:
        BadUploadUrl: when they are not its own, or the upload has expired; the message does not say which.
    """
    row = session.scalar(select(Upload).where(Upload.id == upload_id, Upload.expires_at > func.clock_timestamp()))
    if row is None or not hmac.compare_digest(signature(secret_key, row).encode(), sent.encode()):
        raise BadUploadUrl
    if expires != expiry(row):
        raise BadUploadUrl
    return row


def spend(session: Session, blobs: Blobs, upload_id: str) -> None:
    """Removes an upload's bytes unless another submission has yet to fetch them. Doing it twice changes nothing.

    To be called in the transaction that takes the submission out of `fetching`, after that is flushed.

    Raises:
        WorldDown: when the bytes cannot be removed.
    """
    row = session.get(Upload, upload_id, with_for_update=True)
    if row is not None and not session.scalar(select(_wanted(row.id))):
        blobs.delete(storage.upload_key(row.id))


def sweep(session: Session, blobs: Blobs, limit: int = 50) -> int:
    """Forgets up to ``limit`` uploads whose time is up, and removes their bytes; returns how many.

    Raises:
        WorldDown: when the bytes cannot be removed.
    """
    over = (Upload.expires_at < func.clock_timestamp() - GRACE, ~_wanted(Upload.id))
    rows = session.scalars(select(Upload).where(*over).limit(limit).with_for_update(skip_locked=True)).all()
    for row in rows:
        blobs.delete(storage.upload_key(row.id))
        session.delete(row)
    session.flush()
    return len(rows)


def _wanted(upload_id: str | InstrumentedAttribute[str]) -> Exists:
    named = Submission.origin["upload_id"].astext == upload_id
    return select(Submission.id).where(Submission.state == "fetching", named).exists()
