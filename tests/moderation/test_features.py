"""Features of faces: kept where policy allows it, gone with the submission, and read back for what stands decided."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from moderation import (
    acceptance,
    appeals,
    decisions,
    erasure,
    features,
    flags,
    media,
    people,
    platforms,
    retention,
    submissions,
    verdicts,
)
from moderation.acceptance import Draft
from moderation.features import Kept
from moderation.tables import Decision, FaceFeatures, Media, Submission, Verdict
from moderation.verdicts import Finding
from tests.conftest import PASSWORD, jpeg
from tests.moderation.test_erasure import count
from tests.moderation.test_retention import age

RELEASE = ("unmask", "1")
KEPT = Kept(0, "graph", b"\0\x3c" * 8, "network", b"\0" * 8)
ALLOWS = {"keep_features": True}


def judge(session, kept=(KEPT,)):
    found = Finding(score=0.9, band="fake", reasons=[], faces=[{}], width=64, height=48, ms=1, kept=kept)
    while (claim := submissions.claim(session, limit=9, lease_seconds=60)).submissions:
        for row in claim.submissions:
            verdicts.record(session, claim.lease, row.id, RELEASE, found)


def owners(session):
    return set(session.scalars(select(FaceFeatures.submission_id)))


def found(session, **which):
    return [(row.sha256, row.answer) for row in features.decided(session, "graph", **which)]


@pytest.fixture
def allows(session, platform):
    platforms.change_policy(session, platform.platform.id, ALLOWS)


@pytest.fixture
def silent(session):
    """A platform whose policy says nothing."""
    return platforms.create(session, "Silent").platform


@pytest.fixture
def decide(session, person):
    def _decide(row, answer, by=person):
        flag = session.scalars(select(flags.Flag).where(flags.Flag.submission_id == row.id)).one()
        flags.claim(session, flag.id, by.id, 60)
        return decisions.decide(session, flag.id, by.id, answer, "", 0)

    return _decide


@pytest.mark.parametrize("policy", [{}, {"keep_features": False}, {"retention_days": 30}])
def test_nothing_is_kept_where_policy_is_silent(session, submit, platform, policy):
    platforms.change_policy(session, platform.platform.id, policy)
    row = submit()
    judge(session)
    assert (row.state, count(session, FaceFeatures)) == ("scored", 0)


@pytest.mark.usefixtures("allows")
def test_what_is_kept_belongs_to_submission_and_verdict(session, submit):
    row = submit()
    judge(session)
    kept = session.scalars(select(FaceFeatures)).one()
    assert (kept.submission_id, kept.verdict_id) == (row.id, row.verdict_id)
    assert [getattr(kept, name) for name in Kept.__slots__] == [getattr(KEPT, name) for name in Kept.__slots__]


@pytest.mark.usefixtures("allows")
def test_of_media_that_several_platforms_sent_only_those_that_allow_it_keep_features(session, submit, silent):
    mine, theirs = submit(), submit(platform_id=silent.id)
    judge(session)
    assert owners(session) == {mine.id}
    assert theirs.verdict_id == mine.verdict_id


@pytest.mark.usefixtures("allows")
def test_a_file_that_was_judged_before_gets_what_is_kept_of_it_where_policy_allows(session, submit, silent):
    first = submit()
    judge(session)
    verdict = session.get_one(Verdict, first.verdict_id)
    again, other = submit(), submit(platform_id=silent.id)
    for row in (again, other):
        verdicts.settle_again(session, row, verdict)
    assert owners(session) == {first.id, again.id}


@pytest.mark.usefixtures("allows")
def test_somebodys_own_trial_keeps_nothing(session, submit, person):
    submit(platform_id=None, person_id=person.id)
    judge(session)
    assert count(session, FaceFeatures) == 0


@pytest.mark.usefixtures("allows")
def test_erasure_takes_features_in_the_step_that_makes_it_unreadable(session, blobs, submit):
    row = submit()
    judge(session)
    erasure.ask(session, row.id)
    assert (row.state, count(session, FaceFeatures)) == ("deleted", 0)
    assert count(session, Media) == 1  # that goes in the second step
    erasure.remove(session, blobs, row.id)
    assert count(session, Media) == 0


@pytest.mark.usefixtures("allows")
def test_media_that_two_submissions_hold_keeps_the_features_of_the_one_that_stays(session, blobs, submit):
    first, second = submit(), submit()
    judge(session)
    assert owners(session) == {first.id, second.id}
    erasure.ask(session, first.id)
    erasure.remove(session, blobs, first.id)
    assert owners(session) == {second.id}
    erasure.ask(session, second.id)
    assert owners(session) == set()


@pytest.mark.usefixtures("allows")
def test_media_that_a_silent_platform_goes_on_holding_keeps_no_features(session, blobs, submit, silent):
    mine, theirs = submit(), submit(platform_id=silent.id)
    judge(session)
    erasure.ask(session, mine.id)
    erasure.remove(session, blobs, mine.id)
    assert count(session, FaceFeatures) == 0
    assert session.get_one(Submission, theirs.id).media_sha256 is not None
    verdicts.settle_again(session, submit(), session.get_one(Verdict, theirs.verdict_id))
    assert count(session, FaceFeatures) == 0  # nothing brings them back


@pytest.mark.usefixtures("allows")
def test_media_that_goes_takes_features_of_every_verdict_with_it(session, blobs, submit):
    row = submit()
    judge(session)
    row.state, row.verdict_id, row.verdict, row.band = "failed", None, None, None
    row.failure_slug, row.media_sha256 = "torn-file", None
    session.flush()
    sha256 = session.scalars(select(Media.sha256)).one()
    assert count(session, FaceFeatures) == 1
    assert erasure.let_go(session, blobs, sha256)
    assert count(session, FaceFeatures) == 0


def test_retention_takes_features_with_the_submission(session, blobs, submit, platform):
    platforms.change_policy(session, platform.platform.id, ALLOWS | {"retention_days": 7})
    old, young = submit(jpeg("red")), submit(jpeg("blue"))
    judge(session)
    age(session, old, 8)
    for submission_id in retention.due(session, 9):
        erasure.ask(session, submission_id, actor=retention.ACTOR)
    assert owners(session) == {young.id}


@pytest.mark.parametrize("change", [{"keep_features": False}, {"keep_features": None}])
def test_a_policy_that_allows_it_no_longer_takes_what_was_kept(session, submit, platform, silent, change):
    for each in (platform.platform.id, silent.id):
        platforms.change_policy(session, each, ALLOWS)
    submit()
    theirs = submit(platform_id=silent.id)
    judge(session)
    platforms.change_policy(session, platform.platform.id, {"retention_days": 9})
    assert len(owners(session)) == 2
    platforms.change_policy(session, platform.platform.id, change)
    assert owners(session) == {theirs.id}


def test_a_policy_that_changes_while_features_are_being_kept_waits_and_takes_them(Session, blobs):
    with Session.begin() as session:
        owner = platforms.create(session, "Chirper").platform.id
        platforms.change_policy(session, owner, ALLOWS)
        file = io.BytesIO(jpeg())
        facts = media.inspect(file, max_pixels=10**8, max_frames=9)
        acceptance.submit(session, blobs, Draft(platform_id=owner), facts, file)

    def forbid():
        with Session.begin() as session:
            platforms.change_policy(session, owner, {"keep_features": False})

    with ThreadPoolExecutor(1) as other, Session.begin() as session:
        judge(session)
        assert count(session, FaceFeatures) == 1
        forbidden = other.submit(forbid)
        waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        while not session.scalar(waits) and not forbidden.done():
            time.sleep(0.01)
            session.execute(text("SELECT pg_stat_clear_snapshot()"))
        assert not forbidden.done()
        session.commit()
        forbidden.result()
    with Session() as session:
        assert count(session, FaceFeatures) == 0


@pytest.mark.usefixtures("allows")
def test_only_decisions_that_stand_as_fake_or_real_are_read(session, submit, decide, person):
    rows = {colour: submit(jpeg(colour)) for colour in ("red", "green", "blue", "white", "black", "gray", "pink")}
    judge(session)
    lead = people.create(session, "lea@example.org", "lead", PASSWORD)
    decide(rows["red"], "fake")
    decide(rows["green"], "real")
    decide(rows["blue"], "unsure")
    undone = decide(rows["white"], "fake")
    decisions.undo(session, undone.flag_id, person.id)
    decide(rows["black"], "fake")
    appeals.make(session, rows["black"].platform_id, rows["black"].id, "that is me")
    decide(rows["gray"], "unsure")
    decide(rows["gray"], "real", lead)  # supersedes the doubt
    assert rows["pink"].state == "scored"  # and nobody looked at it
    expected = {(rows["red"].media_sha256, "fake"), (rows["green"].media_sha256, "real"),
                (rows["gray"].media_sha256, "real")}  # fmt: skip
    assert set(found(session)) == expected
    assert found(session) == sorted(found(session))
    assert features.count_decided(session) == 3


@pytest.mark.usefixtures("allows")
def test_decisions_are_chosen_by_platform_and_date_and_features_by_encoder(session, submit, decide, silent):
    platforms.change_policy(session, silent.id, ALLOWS)
    mine, theirs = submit(jpeg("red")), submit(jpeg("blue"), platform_id=silent.id)
    judge(session)
    decide(mine, "fake")
    old = decide(theirs, "real")
    old.decided_at = session.scalar(select(func.now() - timedelta(days=9)))
    session.flush()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert len(found(session)) == 2
    assert found(session, platform_id=silent.id) == [(theirs.media_sha256, "real")]
    assert found(session, since=yesterday) == [(mine.media_sha256, "fake")]
    assert features.count_decided(session, platform_id=silent.id, since=yesterday) == 0
    assert features.decided(session, "another graph") == []


def test_a_decision_of_which_nothing_was_kept_is_counted_and_not_read(session, submit, decide):
    row = submit()
    judge(session)
    decide(row, "fake")
    assert (count(session, Decision), features.count_decided(session), found(session)) == (1, 1, [])
