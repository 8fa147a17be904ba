import subprocess
import sys

import pytest
from sqlalchemy import func, select

from moderation import acceptance, detectors, platforms, submissions, verdicts
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.errors import KeyReused
from moderation.tables import Media
from moderation.verdicts import Finding
from tests.conftest import jpeg

FINDING = Finding(score=0.9, band="fake", reasons=["manipulated_face"], faces=[], width=64, height=48, ms=3.0)
RELEASE = ("unmask", "1")


def test_the_same_bytes_are_stored_once(session, blobs, submit):
    first, second = submit(), submit()
    assert first.id != second.id
    assert first.media_sha256 == second.media_sha256
    assert session.scalar(select(func.count()).select_from(Media)) == 1
    assert blobs.read(storage.media_key(first.media_sha256)) == jpeg()


def test_bytes_that_the_current_release_has_judged_are_settled_without_scoring(session, submit):
    detectors.started(session, *RELEASE)
    claimed = (submit(), submissions.claim(session, limit=9, lease_seconds=60))[1]
    assert verdicts.record(session, claimed.lease, claimed.submissions[0].id, RELEASE, FINDING)
    again = submit()
    assert again.state == "scored"
    assert again.verdict_id == claimed.submissions[0].verdict_id
    detectors.started(session, "unmask", "2")
    assert submit().state == "waiting"


def test_bytes_that_are_still_elsewhere_wait_for_whoever_fetches(session, platform):
    draft = Draft(platform_id=platform.platform.id, external_id="post-1", priority=0)
    row = acceptance.expect(session, draft, {"url": "https://chirper.example/1.jpg"})
    assert (row.state, row.media_sha256, row.origin) == ("fetching", None, {"url": "https://chirper.example/1.jpg"})
    assert submissions.claim(session, limit=9, lease_seconds=60).submissions == []
    assert submissions.page(session, platform.platform.id, state="fetching") == ([row], None)


def test_an_idempotency_key_answers_again_only_for_the_same_body(session, submit, platform):
    owner = platform.platform.id
    assert acceptance.remembered(session, owner, "k", "body") is None
    row = submit()
    acceptance.remember(session, owner, "k", "body", row.id)
    session.flush()
    assert acceptance.remembered(session, owner, "k", "body") is row
    with pytest.raises(KeyReused):
        acceptance.remembered(session, owner, "k", "another body")
    assert acceptance.remembered(session, platforms.create(session, "Other").platform.id, "k", "body") is None


def test_threads_that_are_the_first_to_submit_do_not_stumble_over_each_other(Session, engines, blobs):
    with Session.begin() as session:
        key = platforms.create(session, "Chirper").api_key
    command = [sys.executable, "-m", "tests.moderation.first_use", engines.database_url, key, blobs.root.as_uri()]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
