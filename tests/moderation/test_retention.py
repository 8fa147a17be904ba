import io

import pytest
from sqlalchemy import func, select

from moderation import blobs as storage
from moderation import people, retention, submissions, verdicts
from moderation.errors import NotFound
from moderation.tables import AuditRow, Flag, IdempotencyKey, Media, Verdict
from moderation.verdicts import Finding
from tests.conftest import PASSWORD


def count(session, table):
    return session.scalar(select(func.count()).select_from(table))


def judge_all(session):
    while (claim := submissions.claim(session, limit=9, lease_seconds=60)).submissions:
        for row in claim.submissions:
            found = Finding(score=0.9, band="fake", reasons=[], faces=[], width=64, height=48, ms=1)
            verdicts.record(session, claim.lease, row.id, ("unmask", "1"), found)


def test_erasing_leaves_a_tombstone_and_nothing_else(session, blobs, submit):
    row = submit(external_id="post-1", context={"author": "x"})
    sha256 = row.media_sha256
    for key in (storage.preview_key(sha256), storage.thumbnail_key(sha256)):
        blobs.put(key, io.BytesIO(b"webp"))
    judge_all(session)
    retention.erase(session, blobs, row.id, actor="plt_x")
    session.expire_all()
    assert (row.state, row.context, row.external_id, row.media_sha256) == ("deleted", {}, None, None)
    assert not any(blobs.exists(key(sha256)) for key in (storage.media_key, storage.preview_key, storage.thumbnail_key))
    assert [count(session, table) for table in (Media, Verdict, Flag)] == [0, 0, 0]
    assert session.scalars(select(AuditRow).where(AuditRow.action == "submission.erased")).one().actor == "plt_x"
    retention.erase(session, blobs, row.id)
    assert session.scalar(select(func.count()).where(AuditRow.action == "submission.erased")) == 1


def test_media_that_another_submission_holds_stays(session, blobs, submit):
    first, second = submit(), submit()
    judge_all(session)
    retention.erase(session, blobs, first.id)
    assert blobs.exists(storage.media_key(second.media_sha256))
    assert second.state == "scored"
    assert count(session, Flag) == 1


def test_erasing_while_a_worker_scores_ends_its_lease(session, blobs, submit):
    row = submit()
    claim = submissions.claim(session, limit=1, lease_seconds=60)
    retention.erase(session, blobs, row.id)
    found = Finding(score=0.9, band="fake", reasons=[], faces=[], width=64, height=48, ms=1)
    assert not verdicts.record(session, claim.lease, row.id, ("unmask", "1"), found)
    assert count(session, Verdict) == 0


def test_old_ephemeral_submissions_go_and_others_stay(session, blobs, submit):
    somebody = people.create(session, "try@example.org", "moderator", PASSWORD)
    kept = submit()
    submit(platform_id=None, person_id=somebody.id)
    assert retention.erase_ephemeral(session, blobs, older_than_seconds=3600) == 0
    assert retention.erase_ephemeral(session, blobs, older_than_seconds=-1) == 1
    assert submissions.get(session, kept.platform_id, kept.id) is kept
    assert blobs.exists(storage.media_key(kept.media_sha256))


def test_old_idempotency_keys_are_forgotten(session, submit, platform):
    submissions.remember(session, platform.platform.id, "k", "body", submit().id)
    session.flush()
    assert retention.forget_keys(session, hours=1) == 0
    assert retention.forget_keys(session, hours=-1) == 1
    assert count(session, IdempotencyKey) == 0


def test_erasing_what_never_was_is_not_found(session, blobs):
    with pytest.raises(NotFound):
        retention.erase(session, blobs, "sub_nothing")
