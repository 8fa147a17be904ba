import io
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from moderation import acceptance, platforms, uploads
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.errors import BadUploadUrl, NotFound
from moderation.tables import Upload

SECRET = "not a secret, but long enough for tests"


@pytest.fixture
def upload(session, blobs, platform):
    """An upload whose bytes are in place."""
    row = uploads.create(session, platform.platform.id, 5, "image/jpeg")
    blobs.put(storage.upload_key(row.id), io.BytesIO(b"bytes"))
    return row


def expire(session, **past):
    session.execute(update(Upload).values(expires_at=func.clock_timestamp() - timedelta(**past)))
    session.expire_all()


def expect(session, upload):
    return acceptance.expect(session, Draft(platform_id=upload.platform_id), {"upload_id": upload.id})


def test_an_upload_is_its_platforms_own_until_it_expires(session, upload):
    rival = platforms.create(session, "Rival").platform
    assert uploads.find(session, upload.platform_id, upload.id) is upload
    with pytest.raises(NotFound):
        uploads.find(session, rival.id, upload.id)
    expire(session, seconds=1)
    with pytest.raises(NotFound):
        uploads.find(session, upload.platform_id, upload.id)


def test_a_signature_is_bound_to_id_size_expiry_and_secret(session, upload):
    good, expires = uploads.signature(SECRET, upload), uploads.expiry(upload)
    assert uploads.invited(session, SECRET, upload.id, expires, good) is upload
    other = uploads.create(session, upload.platform_id, 5, "image/jpeg")
    for upload_id, until, code in [
        (other.id, uploads.expiry(other), good),
        (upload.id, expires, uploads.signature("another secret", upload)),
        (upload.id, expires + 1, good),
        (upload.id, expires, good[:-1]),
        (upload.id, expires, ""),
    ]:
        with pytest.raises(BadUploadUrl):
            uploads.invited(session, SECRET, upload_id, until, code)
    upload.bytes = 6
    session.flush()
    with pytest.raises(BadUploadUrl):
        uploads.invited(session, SECRET, upload.id, expires, good)


def test_bytes_go_with_the_last_submission_that_wants_them(session, blobs, upload):
    first, second = expect(session, upload), expect(session, upload)
    for row, left in ((first, True), (second, False)):
        row.state, row.failure_slug = "failed", "torn-file"
        session.flush()
        uploads.spend(session, blobs, upload.id)
        assert blobs.exists(storage.upload_key(upload.id)) is left
    uploads.spend(session, blobs, upload.id)
    uploads.spend(session, blobs, "upl_" + "0a" * 13)


def test_what_is_put_late_is_swept_and_what_is_wanted_is_not(session, blobs, upload):
    row = expect(session, upload)
    assert uploads.sweep(session, blobs) == 0
    expire(session, minutes=30)
    assert uploads.sweep(session, blobs) == 0  # a PUT may be under way
    expire(session, hours=2)
    assert uploads.sweep(session, blobs) == 0  # it waits to be fetched
    row.state, row.failure_slug = "failed", "torn-file"
    session.flush()
    assert uploads.sweep(session, blobs) == 1
    assert not blobs.exists(storage.upload_key(upload.id))
    assert session.scalar(select(Upload.id)) is None


def test_sweeping_goes_in_bounded_steps(session, blobs, platform):
    for _ in range(5):
        uploads.create(session, platform.platform.id, 5, "image/jpeg")
    expire(session, hours=2)
    assert [uploads.sweep(session, blobs, limit=2) for _ in range(4)] == [2, 2, 1, 0]
