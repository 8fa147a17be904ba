"""Erasure and what else happens at that very moment, in transactions that really overlap."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text

from moderation import acceptance, decisions, endpoints, erasure, flags, media, people, platforms, submissions, verdicts
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.tables import Delivery, Flag, Submission
from moderation.verdicts import Finding
from tests.conftest import PASSWORD, jpeg


@pytest.fixture
def home(Session):
    with Session.begin() as session:
        return platforms.create(session, "Chirper").platform.id


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def send(session, blobs, home, colour="red"):
    file = io.BytesIO(jpeg(colour))
    facts = media.inspect(file, max_pixels=10**6, max_frames=9, max_video_pixels=10**6, max_seconds=9)
    return acceptance.submit(session, blobs, Draft(platform_id=home), facts, file)


def in_one(Session, work):
    with Session.begin() as session:
        return work(session)


def until_somebody_waits(session):
    """Returns once another connection waits for a lock."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while not session.scalar(waiting):
        session.execute(text("SELECT pg_sleep(0.01)"))


def test_media_that_is_being_submitted_is_not_taken_for_an_orphan(Session, blobs, home, pool):
    with Session.begin() as session:
        sha256 = send(session, blobs, home).media_sha256
        sweeping = pool.submit(in_one, Session, lambda other: erasure.let_go(other, blobs, sha256))
        with Session() as watch:
            until_somebody_waits(watch)
    assert not sweeping.result()
    assert blobs.exists(storage.media_key(sha256))


def test_bytes_that_are_removed_right_after_they_were_put_are_put_again(Session, blobs, home):
    class Unlucky:
        def __getattr__(self, name):
            return getattr(blobs, name)

        def put(self, key, file):
            blobs.put(key, file)
            if not self.removed:
                self.removed = in_one(Session, lambda other: erasure.let_go(other, blobs, key.partition("/")[2]))

        removed = False

    unlucky = Unlucky()
    with Session.begin() as session:
        sha256 = send(session, unlucky, home).media_sha256
    assert unlucky.removed
    assert blobs.exists(storage.media_key(sha256))


def test_a_decision_and_an_erasure_of_its_submission_do_not_block_each_other(Session, blobs, home, pool):
    with Session.begin() as session:
        somebody = people.create(session, "mo@example.org", "moderator", PASSWORD).id
        endpoints.create(session, home, "https://127.0.0.1/hook", allowed_networks=("127.0.0.0/8",))
        row = send(session, blobs, home)
        claim = submissions.claim(session, limit=1, lease_seconds=60)
        found = Finding(score=0.9, band="fake", reasons=[], faces=[], width=64, height=48, ms=1)
        verdicts.record(session, claim.lease, row.id, ("unmask", "1"), found)
        flag_id = session.scalars(select(Flag.id)).one()
        flags.claim(session, flag_id, somebody, 60)
    with Session.begin() as session:
        flags.locked(session, flag_id)
        erasing = pool.submit(in_one, Session, lambda other: erasure.ask(other, row.id))
        with Session() as watch:
            until_somebody_waits(watch)
        decisions.decide(session, flag_id, somebody, "fake", "", 0)
    assert erasing.result().state == "deleted"
    with Session() as session:
        assert session.get_one(Submission, row.id).state == "deleted"
        assert session.scalar(select(func.count()).select_from(Delivery)) == 0
