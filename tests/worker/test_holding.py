"""Whatever two platforms send and erase, whatever dies in between: bytes that somebody holds stay, all others go."""

import io
import os
import tempfile
import time
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select, text, update

from moderation import acceptance, detectors, erasure, media, platforms, submissions, tables, verdicts
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.tables import Media, Platform, Round, Submission
from moderation.verdicts import Finding
from tests.conftest import jpeg
from worker import erasing

BODIES = [jpeg("red"), jpeg("blue")]
RELEASE = ("unmask", "1")


class Crash(Exception):
    """The process died here."""


class Mortal:
    """A store that works until it is told after how many writes the process dies."""

    def __init__(self, blobs):
        self.blobs, self.lives = blobs, None

    def __getattr__(self, name):
        return getattr(self.blobs, name)

    def _live(self):
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                raise Crash

    def put(self, key, file):
        self.blobs.put(key, file)
        self._live()

    def delete(self, key):
        self._live()
        self.blobs.delete(key)


class Holding(RuleBasedStateMachine):
    """The ledger is what was promised; the store is compared with it."""

    Session = None  # set by the test

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.blobs = Mortal(storage.connect(f"file://{self.folder.name}"))
        with self.Session.begin() as session:
            names = ", ".join(f'"{table.name}"' for table in tables.Base.metadata.sorted_tables)
            session.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
            self.owners = [platforms.create(session, name).platform.id for name in ("Chirper", "Other")]
            detectors.started(session, *RELEASE)

    def teardown(self):
        self.folder.cleanup()

    def _ids(self, *where):
        with self.Session() as session:
            return list(session.scalars(select(Submission.id).where(*where).order_by(Submission.id)))

    def _until_crash(self, lives, work):
        self.blobs.lives = lives
        try:
            return work()
        except Crash:
            return None
        finally:
            self.blobs.lives = None

    @rule(owner=st.integers(0, 1), body=st.sampled_from(BODIES), lives=st.none() | st.integers(0, 1))
    def submit(self, owner, body, lives):
        def work():
            file = io.BytesIO(body)
            facts = media.inspect(file, max_pixels=10**6, max_frames=9, max_video_pixels=10**6, max_seconds=9)
            with self.Session.begin() as session:
                acceptance.submit(session, self.blobs, Draft(platform_id=self.owners[owner]), facts, file)

        self._until_crash(lives, work)

    @rule()
    def score(self):
        with self.Session.begin() as session:
            claim = submissions.claim(session, limit=9, lease_seconds=60)
            for row in claim.submissions:
                for key in (storage.preview_key(row.media_sha256), storage.thumbnail_key(row.media_sha256)):
                    self.blobs.put(key, io.BytesIO(b"webp"))
                found = Finding(score=0.9, band="fake", reasons=[], faces=[], width=64, height=48, ms=1)
                assert verdicts.record(session, claim.lease, row.id, RELEASE, found)

    @rule(which=st.integers(0, 5), lives=st.none() | st.integers(0, 3))
    def erase(self, which, lives):
        held = self._ids(Submission.state != "deleted")
        if not held:
            return
        with self.Session.begin() as session:
            erasure.ask(session, held[which % len(held)])

        def work():
            with self.Session.begin() as session:
                erasure.remove(session, self.blobs, held[which % len(held)])

        self._until_crash(lives, work)

    @rule(owner=st.integers(0, 1), lives=st.none() | st.integers(0, 3))
    def retain(self, owner, lives):
        with self.Session.begin() as session:
            session.get_one(Platform, self.owners[owner]).policy = {"retention_days": 1}
            old = func.now() - timedelta(days=2)
            finished = (Submission.finished_at.is_not(None), Submission.state != "deleted")
            session.execute(update(Submission).where(*finished).values(finished_at=old))
        self._until_crash(lives, self._upkeep)

    @rule()
    def settle(self):
        """Time passes, upkeep runs: nothing that nobody holds is left."""
        with self.Session.begin() as session:
            session.execute(update(Submission).values(due_at=func.now() - timedelta(seconds=1)))
            session.execute(update(Round).values(due_at=func.now(), position=""))
        for found in self.blobs.walk("", 99).found:
            os.utime(self.blobs._path(found.key), (time.time() - 2 * 86400,) * 2)
        self._upkeep()
        assert {found.key.partition("/")[2] for found in self.blobs.walk("", 99).found} == self._held()
        with self.Session() as session:
            assert set(session.scalars(select(Media.sha256))) == self._held()
        assert self._ids(Submission.erase_asked_at.is_not(None)) == []

    def _upkeep(self):
        return erasing.run(self.Session, self.blobs, ephemeral_seconds=600)

    def _held(self):
        with self.Session() as session:
            held = select(Submission.media_sha256).where(Submission.state != "deleted")
            return set(session.scalars(held))

    @invariant()
    def what_is_held_is_there(self):
        for sha256 in self._held():
            assert self.blobs.exists(storage.media_key(sha256))


@pytest.mark.usefixtures("Session")
def test_held_bytes_are_never_lost_and_others_never_kept(Session):
    machine = type("Machine", (Holding,), {"Session": Session})
    bounded = settings(
        max_examples=10, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(machine, settings=bounded)
