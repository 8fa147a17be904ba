"""Erasing in the background: bounded, each alone, and complete after whatever interrupts it."""

import io
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from moderation import blobs as storage
from moderation import erasure, ids, orphans
from moderation.errors import WorldDown
from moderation.tables import AuditRow, Media, Platform, Round, Submission
from tests.conftest import jpeg
from worker import erasing, previews, scoring


class Crash(Exception):
    """The process died here."""


class Breaking:
    """A store whose nth removal dies before it is done, or after; or one that refuses some keys."""

    def __init__(self, blobs, *, at=0, after=False, refused=()):
        self.blobs, self.at, self.after, self.refused, self.calls = blobs, at, after, refused, 0

    def __getattr__(self, name):
        return getattr(self.blobs, name)

    def delete(self, key):
        self.calls += 1
        if key in self.refused:
            raise WorldDown("not this one")
        if self.calls == self.at and not self.after:
            raise Crash
        self.blobs.delete(key)
        if self.calls == self.at:
            raise Crash


def left(blobs):
    return [found.key for found in blobs.walk("", 1000).found]


def run(Session, blobs):
    return erasing.run(Session, blobs, ephemeral_seconds=600)


def late(Session):
    """Lets the head start of whoever asked pass."""
    with Session.begin() as session:
        session.execute(update(Submission).values(due_at=func.now() - timedelta(seconds=1)))


@pytest.fixture
def scored(Session, bench, send):
    """Scores what is sent; returns the ids."""

    def _scored(*colours):
        sent = [send(colour) for colour in colours]
        scoring.run(bench, budget_seconds=60)
        return sent

    return _scored


def erase(Session, blobs, submission_id):
    with Session.begin() as session:
        erasure.ask(session, submission_id)
    with Session.begin() as session:
        erasure.remove(session, blobs, submission_id)


@pytest.mark.parametrize(("at", "after"), [(n, after) for n in (1, 2, 3) for after in (False, True)])
def test_a_crash_between_any_two_steps_is_mended_by_one_run(Session, blobs, scored, at, after):
    (submission_id,) = scored("red")
    assert len(left(blobs)) == 3
    with pytest.raises(Crash):
        erase(Session, Breaking(blobs, at=at, after=after), submission_id)
    with Session() as session:
        assert session.get_one(Submission, submission_id).state == "deleted"
    assert run(Session, blobs) == {}  # whoever asked may still be at it
    late(Session)
    assert run(Session, blobs) == {"finished": 1}
    assert left(blobs) == []
    with Session() as session:
        row = session.get_one(Submission, submission_id)
        assert (row.media_sha256, row.erase_asked_at) == (None, None)
        assert session.scalar(select(func.count()).select_from(Media)) == 0


def test_a_crash_before_the_first_removal_is_mended_too(Session, blobs, scored):
    (submission_id,) = scored("red")
    with Session.begin() as session:
        erasure.ask(session, submission_id)
    late(Session)
    assert run(Session, blobs) == {"finished": 1}
    assert left(blobs) == []


def test_policy_erases_oldest_first_in_bounded_steps_and_says_so(Session, blobs, home, scored, monkeypatch):
    monkeypatch.setattr(erasing, "STEP", 2)
    sent = scored("red", "blue", "green")
    with Session.begin() as session:
        session.get_one(Platform, home).policy = {"retention_days": 7}
        for days, submission_id in enumerate(sent, 8):
            finished = func.now() - timedelta(days=days)
            session.execute(update(Submission).where(Submission.id == submission_id).values(finished_at=finished))
    assert [run(Session, blobs) for _ in range(3)] == [{"erased": 2}, {"erased": 1}, {}]
    assert left(blobs) == []
    with Session() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action == "submission.erased").order_by(AuditRow.id))
        assert [(row.actor, row.subject) for row in rows] == [("retention", one) for one in reversed(sent)]


def test_one_blob_that_stays_keeps_no_other_from_going(Session, blobs, scored):
    first, second = scored("red", "blue")
    with Session.begin() as session:
        sha256 = session.get_one(Submission, first).media_sha256
        for submission_id in (first, second):
            erasure.ask(session, submission_id)
    late(Session)
    stuck = Breaking(blobs, refused={storage.media_key(sha256)})
    assert run(Session, stuck) == {"postponed": 1, "finished": 1}
    assert {key.partition("/")[2] for key in left(blobs)} == {sha256}
    assert run(Session, stuck) == {}
    late(Session)
    assert run(Session, blobs) == {"finished": 1}
    assert left(blobs) == []


def test_a_store_that_is_away_is_not_asked_for_each(Session, blobs, scored):
    sent = scored("red", "blue", "green", "white", "black")
    with Session.begin() as session:
        digests = [session.get_one(Submission, one).media_sha256 for one in sent]
        for one in sent:
            erasure.ask(session, one)
    late(Session)
    away = Breaking(blobs, refused={storage.media_key(sha256) for sha256 in digests})
    assert run(Session, away) == {"postponed": 3}
    assert away.calls == 3


def test_blobs_that_nobody_holds_are_swept_once_they_are_old(Session, blobs, scored, home):
    (held,) = scored("red")
    kept = set(left(blobs))
    orphan, upload = "ab" * 32, ids.new("upl")
    strays = [*storage.keys_of(orphan), storage.upload_key(upload)]
    for key in strays:
        blobs.put(key, io.BytesIO(b"bytes"))
    assert run(Session, blobs) == {}
    assert kept < set(left(blobs))
    for path in blobs.root.rglob("*"):
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    assert run(Session, blobs) == {}  # the round before has just ended
    with Session.begin() as session:
        session.execute(update(Round).values(due_at=func.now()))
    assert run(Session, blobs)["swept"] == len(strays)
    assert set(left(blobs)) == kept
    with Session() as session:
        assert session.get_one(Submission, held).state == "scored"
        assert session.scalar(select(func.count()).select_from(Media)) == 1


def test_a_round_goes_on_where_the_step_before_ended_and_clears_what_puts_left(Session, blobs, monkeypatch):
    strays = [storage.media_key(f"{n:02x}" * 32) for n in range(5)]
    for key in strays:
        blobs.put(key, io.BytesIO(b"bytes"))
    half = blobs.partial / "half"
    half.write_bytes(b"by")
    for path in [*blobs.root.rglob("*")]:
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    seen = []
    for _ in range(3):
        assert half.exists()
        with Session.begin() as session:
            seen.append(orphans.look(session, blobs, limit=2))
    assert seen == [strays[:2], strays[2:4], strays[4:]]
    assert not half.exists()
    with Session.begin() as session:
        assert orphans.look(session, blobs) == []
        assert session.get_one(Round, orphans.NAME).due_at > datetime.now(UTC)


def test_a_round_waits_while_the_store_is_away(Session, blobs, monkeypatch):
    def away(after, limit):
        raise WorldDown

    monkeypatch.setattr(blobs, "walk", away)
    assert run(Session, blobs) == {}
    with Session() as session:
        assert session.scalars(select(Round)).all() == []


def test_an_orphan_that_is_submitted_meanwhile_is_kept(Session, blobs, send):
    body = jpeg("red")
    with Session.begin() as session:
        submission_id = send("red")
        sha256 = session.get_one(Submission, submission_id).media_sha256
        assert not orphans.remove(session, blobs, storage.media_key(sha256))
    assert blobs.read(storage.media_key(sha256)) == body


def test_a_preview_that_comes_after_the_erasure_is_removed(Session, bench, blobs, send):
    submission_id = send("red")
    with Session() as session:
        sha256 = session.get_one(Submission, submission_id).media_sha256
    erase(Session, blobs, submission_id)
    previews.store(blobs, sha256, jpeg("red"))
    assert len(left(blobs)) == 2
    with Session.begin() as session:
        assert erasure.let_go(session, blobs, sha256)
        assert session.scalar(select(func.count()).select_from(Media)) == 0
    assert left(blobs) == []
