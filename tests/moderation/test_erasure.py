"""Erasure: everything goes that nobody else holds, at once for readers, and whatever interrupts it."""

import io

import pytest
from sqlalchemy import func, select, text

from moderation import acceptance, deliveries, documents, endpoints, erasure, submissions, verdicts
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.errors import NotFound, WorldDown
from moderation.tables import (
    Appeal,
    AuditRow,
    Base,
    Decision,
    Delivery,
    Flag,
    Media,
    Round,
    Submission,
    Upload,
    Verdict,
)
from moderation.verdicts import Finding
from tests.conftest import jpeg

RELEASE = ("unmask", "1")


def count(session, table):
    return session.scalar(select(func.count()).select_from(table))


def judge_all(session):
    found = Finding(score=0.9, band="fake", reasons=[], faces=[], width=64, height=48, ms=1)
    while (claim := submissions.claim(session, limit=9, lease_seconds=60)).submissions:
        for row in claim.submissions:
            verdicts.record(session, claim.lease, row.id, RELEASE, found)


def draw(blobs, sha256):
    for key in (storage.preview_key(sha256), storage.thumbnail_key(sha256)):
        blobs.put(key, io.BytesIO(b"webp"))


def left(blobs):
    return [found.key for found in blobs.walk("", 1000).found]


@pytest.fixture
def judged(session, blobs, submit, platform, person):
    """A submission with all that can hang from one: renderings, flag, decision, appeal, messages."""
    endpoints.create(session, platform.platform.id, "https://127.0.0.1/hook", allowed_networks=("127.0.0.0/8",))
    row = submit(external_id="post-1", context={"author": "x"}, callback_url="https://127.0.0.1/cb")
    row.origin = {"url": "https://chirper.example/secret-of-somebody.jpg"}
    draw(blobs, row.media_sha256)
    judge_all(session)
    flag = session.scalars(select(Flag)).one()
    session.add(Decision(flag_id=flag.id, person_id=person.id, answer="fake", note="their name is X"))
    session.add(Appeal(submission_id=row.id, reason="that is me"))
    session.flush()
    assert count(session, Delivery) == 4
    return row


def test_asking_is_enough_for_every_reader(session, blobs, judged):
    erasure.ask(session, judged.id, actor="plt_x")
    session.expire_all()
    shown = documents.submission(judged)
    assert shown["state"] == "deleted"
    assert [shown[name] for name in ("sha256", "external_id", "verdict", "failure", "context")] == [None] * 4 + [{}]
    assert (judged.callback_url, judged.origin, judged.band) == (None, None, None)
    assert [count(session, table) for table in (Flag, Decision, Appeal, Delivery)] == [0] * 4
    assert deliveries.claim(session, limit=9, lease_seconds=60) == []
    listed, _ = submissions.page(session, judged.platform_id, state="deleted")
    assert listed == [judged]
    assert len(left(blobs)) == 3


def test_removing_leaves_a_tombstone_and_nothing_else(session, blobs, judged):
    erasure.ask(session, judged.id, actor="plt_x")
    assert erasure.remove(session, blobs, judged.id)
    session.expire_all()
    assert (judged.state, judged.media_sha256, judged.erase_asked_at) == ("deleted", None, None)
    assert left(blobs) == []
    assert [count(session, table) for table in (Media, Verdict)] == [0, 0]
    assert session.scalars(select(AuditRow).where(AuditRow.action == "submission.erased")).one().actor == "plt_x"


def everything(session):
    """Every row of every table as text."""
    tables = [table.name for table in Base.metadata.sorted_tables]
    return {name: str(session.scalar(text(f'SELECT json_agg(t)::text FROM "{name}" t'))) for name in tables}


@pytest.mark.parametrize("held", [False, True])
def test_no_table_keeps_a_digest_of_what_was_erased(session, blobs, judged, submit, held):
    digest = judged.media_sha256
    fingerprint = "f" * 64
    acceptance.remember(session, judged.platform_id, f"sha256:{digest}", fingerprint, judged.id)
    session.add(Round(name="orphans", position=f"previews/{digest[:2]}/{digest[2:4]}/{digest}"))
    session.flush()
    other = submit(external_id="post-2") if held else None
    erasure.ask(session, judged.id, actor="plt_x")
    assert erasure.remove(session, blobs, judged.id) is not held
    if other is not None:  # which holds the same bytes: theirs is erased, too
        erasure.ask(session, other.id, actor="plt_y")
        erasure.remove(session, blobs, other.id)
    session.expire_all()
    found = {name for name, rows in everything(session).items() if digest in rows or fingerprint in rows}
    assert found == set()
    (row, *_) = session.scalars(select(AuditRow).where(AuditRow.action == "submission.erased"))
    assert (row.actor, row.subject, row.old) == ("plt_x", judged.id, {"state": "scored"})
    position = session.get_one(Round, "orphans").position
    assert position == f"previews/{digest[:2]}/{digest[2:4]}/{digest[:4]}"


def test_a_walk_goes_on_where_an_erased_blob_was(session, blobs, submit):
    kept, gone = submit(jpeg("red")), submit(jpeg("blue"))
    digest, places = gone.media_sha256, [kept.media_sha256]
    session.add(Round(name="orphans", position=f"media/{digest[:2]}/{digest[2:4]}/{digest}"))
    session.flush()
    erasure.ask(session, gone.id)
    erasure.remove(session, blobs, gone.id)
    session.expire_all()
    after = [found.key.partition("/")[2] for found in blobs.walk(session.get_one(Round, "orphans").position, 9).found]
    assert after == [place for place in places if place > digest]


def test_doing_each_step_twice_changes_nothing(session, blobs, judged):
    for _ in range(2):
        erasure.ask(session, judged.id)
        erasure.remove(session, blobs, judged.id)
    assert not erasure.remove(session, blobs, judged.id)
    assert session.scalar(select(func.count()).where(AuditRow.action == "submission.erased")) == 1


def test_media_that_another_submission_holds_stays(session, blobs, judged, submit):
    second = submit()
    judge_all(session)
    erasure.ask(session, judged.id)
    assert not erasure.remove(session, blobs, judged.id)
    session.expire_all()
    assert len(left(blobs)) == 3
    assert (second.state, judged.media_sha256, judged.erase_asked_at) == ("scored", None, None)
    assert count(session, Flag) == 1


def test_the_last_of_several_that_were_asked_about_takes_the_media_with_it(session, blobs, submit):
    first, second = submit(), submit()
    for row in (first, second):
        erasure.ask(session, row.id)
    assert erasure.remove(session, blobs, first.id)
    assert left(blobs) == []
    assert not erasure.remove(session, blobs, second.id)
    session.expire_all()
    assert (second.media_sha256, second.erase_asked_at) == (None, None)


def test_a_score_that_comes_too_late_revives_nothing_and_tells_nobody(session, blobs, submit, platform):
    endpoints.create(session, platform.platform.id, "https://127.0.0.1/hook", allowed_networks=("127.0.0.0/8",))
    row = submit(callback_url="https://127.0.0.1/cb")
    claim = submissions.claim(session, limit=1, lease_seconds=60)
    erasure.ask(session, row.id)
    found = Finding(score=0.9, band="fake", reasons=[], faces=[], width=64, height=48, ms=1)
    assert not verdicts.record(session, claim.lease, row.id, RELEASE, found)
    assert not submissions.fail(session, claim.lease, row.id, "torn-file", "late")
    assert submissions.put_back(session, claim.lease, 0) == 0
    assert (row.state, count(session, Verdict), count(session, Delivery)) == ("deleted", 0, 0)
    assert submissions.waiting(session) == {}


def test_what_was_still_to_be_fetched_is_forgotten_with_its_upload(session, blobs, platform):
    upload = Upload(platform_id=platform.platform.id, bytes=3, content_type="image/jpeg", expires_at=func.now())
    session.add(upload)
    session.flush()
    blobs.put(storage.upload_key(upload.id), io.BytesIO(b"abc"))
    draft = Draft(platform_id=platform.platform.id)
    row = acceptance.expect(session, draft, {"upload_id": upload.id})
    elsewhere = acceptance.expect(session, draft, {"url": "https://chirper.example/1.jpg"})
    for one in (row, elsewhere):
        erasure.ask(session, one.id)
        erasure.remove(session, blobs, one.id)
    session.expire_all()
    assert left(blobs) == []
    assert [(one.state, one.origin) for one in (row, elsewhere)] == [("deleted", None)] * 2


def test_bytes_sent_again_between_the_steps_are_kept(session, blobs, submit):
    first = submit()
    erasure.ask(session, first.id)
    second = submit()
    assert not erasure.remove(session, blobs, first.id)
    assert blobs.exists(storage.media_key(second.media_sha256))


def test_an_ephemeral_submission_leaves_no_row(session, blobs, submit, person):
    row = submit(platform_id=None, person_id=person.id)
    erasure.ask(session, row.id)
    erasure.remove(session, blobs, row.id)
    assert [count(session, table) for table in (Submission, Media)] == [0, 0]
    assert left(blobs) == []
    assert session.scalar(select(func.count()).where(AuditRow.action == "submission.erased")) == 0


def test_erasing_what_never_was_is_not_found(session):
    with pytest.raises(NotFound):
        erasure.ask(session, "sub_nothing")


def test_an_erasure_that_fails_again_and_again_is_left_alone_for_longer_each_time(session, blobs, submit, monkeypatch):
    row = submit()
    erasure.ask(session, row.id)
    waits = []
    for _ in range(9):
        now = session.scalar(select(func.clock_timestamp()))
        erasure.postpone(session, row.id)
        session.expire_all()
        waits.append(round((row.due_at - now).total_seconds()))
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert erasure.unfinished(session, 9) == []
    row.due_at = now
    session.flush()
    assert erasure.unfinished(session, 9) == [row.id]


def test_a_store_that_is_away_is_told_of(session, blobs, submit, monkeypatch):
    def away(key):
        raise WorldDown

    row = submit()
    erasure.ask(session, row.id)
    monkeypatch.setattr(blobs, "delete", away)
    with pytest.raises(WorldDown):
        erasure.remove(session, blobs, row.id)
