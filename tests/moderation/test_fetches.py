import io
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from moderation import acceptance, detectors, erasure, fetches, media, platforms, submissions, uploads, verdicts
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.tables import Delivery, Media, Submission
from moderation.verdicts import Finding
from tests.conftest import jpeg

LEASE = "lse_test"
FINDING = Finding(score=0.1, band="clear", reasons=[], faces=[], width=64, height=48, ms=1.0)


@pytest.fixture
def expect(session, platform):
    """Adds a submission whose bytes are at a URL; returns its id."""

    def _expect(url="https://media.example.org/a.jpg", origin=None, **fields):
        draft = Draft(**{"platform_id": platform.platform.id, **fields})
        return acceptance.expect(session, draft, origin or {"url": url}).id

    return _expect


def claim(session, lease=LEASE, *, limit=99, per_platform=99, per_host=99):
    rows = fetches.claim(session, lease, limit=limit, lease_seconds=60, per_platform=per_platform, per_host=per_host)
    return [row.id for row in rows]


def inspected(body):
    file = io.BytesIO(body)
    return media.inspect(file, max_pixels=10**8, max_frames=100), file


def finish(session, blobs, row_id, body=None, lease=LEASE):
    return fetches.finish(session, blobs, lease, row_id, *inspected(jpeg() if body is None else body))


def get(session, row_id):
    return session.get_one(Submission, row_id, populate_existing=True)


def later(session, **columns):
    values = columns or {"due_at": func.clock_timestamp()}
    session.execute(update(Submission).values(**values).execution_options(synchronize_session=False))


def test_the_most_urgent_and_oldest_is_claimed_first_and_once(session, expect):
    late, soon, first = expect(priority=1), expect(priority=1), expect(priority=0)
    assert claim(session, limit=2) == [first, late]
    assert claim(session, "another") == [soon]
    assert claim(session) == []
    assert get(session, late).state == "fetching"


def test_no_host_gets_more_than_its_share_of_a_run(session, expect):
    slow = [expect(f"https://slow.example.org/{n}.jpg") for n in range(5)]
    spelled = expect("HTTPS://SLOW.example.org?again")
    other = expect("https://other.example.org/a.jpg")
    assert claim(session, per_host=2) == [*slow[:2], other]
    assert claim(session, per_host=2) == []  # those it holds count
    assert claim(session, "another", per_host=9) == [*slow[2:], spelled]


def test_a_slow_host_does_not_use_up_its_platforms_share(session, expect):
    for n in range(9):
        expect(f"https://slow.example.org/{n}.jpg")
    other = expect("https://other.example.org/a.jpg")
    assert other in claim(session, per_host=2, per_platform=3)


def test_a_flood_at_one_host_does_not_keep_its_platform_from_a_shared_one(session, expect):
    for n in range(9):
        expect(f"https://slow.example.org/{n}.jpg")
    mine = expect("https://shared.example.org/mine.jpg")
    second = platforms.create(session, "Second").platform.id
    theirs = [expect(f"https://shared.example.org/{n}.jpg", platform_id=second) for n in range(4)]
    assert {mine, theirs[0]} <= set(claim(session, per_host=2))


def test_platforms_take_turns_however_many_one_sent(session, expect):
    flood = [expect(f"https://media.example.org/{n}.jpg") for n in range(6)]
    second = platforms.create(session, "Second").platform.id
    theirs = [expect(f"https://media.example.org/{n}.jpg", platform_id=second) for n in range(2)]
    assert claim(session, limit=4) == [flood[0], theirs[0], flood[1], theirs[1]]
    later(session, lease=None, lease_expires_at=None)
    assert claim(session, per_platform=1) == [flood[0], theirs[0]]
    later(session, lease=None, lease_expires_at=None)
    assert claim(session, per_host=2) == [flood[0], theirs[0]]


def test_uploads_share_no_host(session, expect):
    rows = [expect(origin={"upload_id": f"upl_{n}"}) for n in range(3)]
    assert claim(session, per_host=1) == rows


def test_what_was_fetched_waits_for_scoring_in_its_old_place(session, blobs, expect):
    row = expect()
    received = get(session, row).received_at
    claim(session)
    assert fetches.count(session, LEASE, row)
    assert finish(session, blobs, row).state == "waiting"
    done = get(session, row)
    assert (done.attempts, done.lease, done.received_at) == (0, None, received)
    assert blobs.read(storage.media_key(done.media_sha256)) == jpeg()
    assert [one.id for one in submissions.claim(session, limit=9, lease_seconds=60).submissions] == [row]


def test_bytes_that_were_judged_before_are_settled_at_once(session, blobs, submit, expect):
    detectors.started(session, "red", "1")
    known = submit().id
    lease = submissions.claim(session, limit=1, lease_seconds=60).lease
    assert verdicts.record(session, lease, known, ("red", "1"), FINDING)
    row = expect(callback_url="https://platform.example.org/in")
    claim(session)
    assert finish(session, blobs, row).state == "scored"
    told = session.scalars(select(Delivery.event).where(Delivery.submission_id == row)).all()
    assert told == ["submission.scored"]


def test_what_was_erased_meanwhile_is_not_stored(session, blobs, expect):
    row = expect()
    claim(session)
    erasure.ask(session, row)
    assert finish(session, blobs, row) is None
    assert not fetches.count(session, LEASE, row)
    assert not fetches.fail(session, blobs, LEASE, row, "fetch-status", "no")
    assert fetches.retry(session, LEASE, row, "fetch-failed", "no", max_attempts=1) == "lost"
    assert session.scalars(select(Media.sha256)).all() == []
    assert not blobs.exists(storage.media_key(inspected(jpeg())[0].sha256))
    assert (get(session, row).state, get(session, row).origin) == ("deleted", None)


def test_a_lease_that_was_lost_changes_nothing(session, blobs, expect):
    row = expect()
    claim(session)
    assert finish(session, blobs, row, lease="another") is None
    claimed = get(session, row)
    later(session, lease="another")
    assert not fetches.put_back(session, LEASE, claimed, 0)
    assert get(session, row).lease == "another"


def test_a_failure_says_why_and_tells_the_platform(session, blobs, expect):
    row = expect(callback_url="https://platform.example.org/in")
    claim(session)
    assert fetches.fail(session, blobs, LEASE, row, "fetch-status", "the server answered 404")
    failed = get(session, row)
    assert (failed.state, failed.failure_slug, failed.lease) == ("failed", "fetch-status", None)
    assert session.scalars(select(Delivery.event)).all() == ["submission.failed"]


def test_trouble_that_may_pass_is_tried_again_later_and_later_and_then_fails(session, expect):
    row, delays = expect(), []
    for attempt in (1, 2, 3):
        assert claim(session) == [row]
        came = fetches.retry(session, LEASE, row, "fetch-timeout", "slow", max_attempts=3)
        assert came == ("failed" if attempt == 3 else "retried")
        delays.append(session.scalar(select(Submission.due_at - func.clock_timestamp())).total_seconds())
        if came == "retried":
            assert claim(session) == []
            later(session)
    assert 3 < delays[0] < 7
    assert 15 < delays[1] < 25
    assert (get(session, row).failure_slug, get(session, row).failure_detail) == (
        "fetch-timeout",
        "slow (tried 3 times)",
    )


@pytest.mark.parametrize(("asked", "least", "most"), [(600, 590, 601), (10**9, 3590, 3601), (0, 3, 7)])
def test_a_server_may_ask_to_be_left_alone_for_an_hour_at_most(session, expect, asked, least, most):
    row = expect()
    claim(session)
    fetches.retry(session, LEASE, row, "fetch-status", "busy", max_attempts=3, retry_after=asked)
    due_in = session.scalar(select(Submission.due_at - func.clock_timestamp())).total_seconds()
    assert least < due_in < most


def test_trouble_in_the_world_costs_no_attempt(session, expect):
    row = expect()
    (claimed,) = fetches.claim(session, LEASE, limit=1, lease_seconds=60, per_platform=1, per_host=1)
    session.expunge(claimed)
    assert fetches.count(session, LEASE, row)
    session.flush()
    assert fetches.put_back(session, LEASE, claimed, 30)
    assert (get(session, row).attempts, get(session, row).lease) == (0, None)
    assert claim(session) == []


def test_a_process_that_died_while_downloading_costs_no_attempt(session, expect):
    row = expect()
    for _ in range(4):
        assert claim(session) == [row]
        assert fetches.take_back(session, max_attempts=2) == (0, 0)
        later(session, lease_expires_at=func.clock_timestamp() - timedelta(seconds=1))
        assert submissions.take_back(session, max_attempts=2) == (0, 0)  # scoring leaves them alone
        assert fetches.take_back(session, max_attempts=2) == (1, 0)
    assert get(session, row).state == "fetching"


def test_a_file_that_kills_whoever_opens_it_is_given_up(session, expect):
    row = expect()
    for expected in ((1, 0), (0, 1)):
        assert claim(session) == [row]
        assert fetches.count(session, LEASE, row)
        session.flush()
        later(session, lease_expires_at=func.clock_timestamp() - timedelta(seconds=1))
        session.expire_all()
        assert fetches.take_back(session, max_attempts=2) == expected
    assert get(session, row).failure_slug == submissions.OUT_OF_ATTEMPTS


def test_a_lease_that_is_lost_day_after_day_ends(session, expect):
    row = expect()
    claim(session)
    past = func.clock_timestamp() - timedelta(hours=fetches.PATIENCE_HOURS + 1)
    later(session, lease_expires_at=past, received_at=past)
    assert fetches.take_back(session, max_attempts=9) == (0, 1)
    assert get(session, row).state == "failed"


def test_an_upload_is_spent_by_whoever_needs_it_last(session, blobs, platform, expect):
    upload = uploads.create(session, platform.platform.id, len(jpeg()), "image/jpeg").id
    blobs.put(storage.upload_key(upload), io.BytesIO(jpeg()))
    first, second = (expect(origin={"upload_id": upload}) for _ in range(2))
    claim(session)
    finish(session, blobs, first)
    assert blobs.exists(storage.upload_key(upload))
    fetches.fail(session, blobs, LEASE, second, "torn-file", "it is torn")
    assert not blobs.exists(storage.upload_key(upload))


def test_how_many_could_be_fetched_now(session, expect):
    first = expect()
    expect()
    assert fetches.waiting(session) == 2
    claim(session, limit=1)
    assert fetches.waiting(session) == 1
    fetches.retry(session, LEASE, first, "fetch-failed", "away", max_attempts=3)
    assert fetches.waiting(session) == 1
