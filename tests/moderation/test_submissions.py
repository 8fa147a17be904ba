import io
import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from moderation import acceptance, media, platforms, submissions, verdicts
from moderation.acceptance import Draft
from moderation.errors import NotFound, Refused
from moderation.tables import Delivery, Submission, Verdict
from moderation.verdicts import Finding
from tests.conftest import jpeg

FINDING = Finding(score=0.9, band="fake", reasons=["manipulated_face"], faces=[], width=64, height=48, ms=3.0)
RELEASE = ("unmask", "1")


def expire(session):
    session.execute(update(Submission).values(lease_expires_at=func.now() - timedelta(seconds=1)))


def test_the_line_goes_by_priority_then_age(session, submit):
    bulk, first, second, urgent = (submit(priority=p) for p in (2, 1, 1, 0))
    claim = submissions.claim(session, limit=3, lease_seconds=60)
    assert [row.id for row in claim.submissions] == [urgent.id, first.id, second.id]
    assert submissions.claim(session, limit=3, lease_seconds=60).submissions == [bulk]


def test_a_second_attempt_is_claimed_alone(session, submit):
    for colour in ("red", "green", "blue"):
        submit(jpeg(colour))
    submissions.claim(session, limit=2, lease_seconds=60)
    expire(session)
    assert submissions.take_back(session, max_attempts=3) == (2, 0)
    sizes = [len(submissions.claim(session, limit=9, lease_seconds=60).submissions) for _ in range(4)]
    assert sizes == [1, 1, 1, 0]


def test_a_fresh_claim_passes_over_second_attempts_behind_its_head(session, submit):
    tried, fresh = submit(jpeg("red")), submit(jpeg("green"), priority=0)
    tried.attempts = 1
    session.flush()
    assert submissions.claim(session, limit=9, lease_seconds=60).submissions == [fresh]


def test_two_claimants_never_hold_the_same_row(Session, blobs):
    with Session.begin() as session:
        owner = platforms.create(session, "Chirper").platform.id
        for number in range(40):
            file = io.BytesIO(jpeg(size=(20 + number, 20)))
            facts = media.inspect(file, max_pixels=10**6, max_frames=9)
            acceptance.submit(session, blobs, Draft(platform_id=owner), facts, file)
    taken: list[str] = []
    start = threading.Barrier(4)

    def take() -> None:
        start.wait()
        for _ in range(10):
            with Session.begin() as session:
                taken.extend(row.id for row in submissions.claim(session, limit=3, lease_seconds=60).submissions)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 40


def test_a_lost_lease_records_nothing(session, submit):
    row = submit()
    lost = submissions.claim(session, limit=1, lease_seconds=60)
    expire(session)
    submissions.take_back(session, max_attempts=3)
    ours = submissions.claim(session, limit=1, lease_seconds=60)
    assert not verdicts.record(session, lost.lease, row.id, RELEASE, FINDING)
    assert not submissions.fail(session, lost.lease, row.id, "torn-file", "torn")
    assert session.scalar(select(func.count()).select_from(Verdict)) == 0
    assert verdicts.record(session, ours.lease, row.id, RELEASE, FINDING)
    assert not verdicts.record(session, ours.lease, row.id, RELEASE, FINDING)
    assert session.scalar(select(func.count()).select_from(Verdict)) == 1


def test_out_of_attempts_a_submission_fails_where_the_platform_can_read_why(session, submit, platform):
    row = submit(callback_url="https://chirper.example/hook")
    for _ in range(3):
        submissions.claim(session, limit=1, lease_seconds=60)
        expire(session)
        taken = submissions.take_back(session, max_attempts=3)
        session.expire_all()
    assert taken == (0, 1)
    assert (row.state, row.failure_slug) == ("failed", "attempts-exhausted")
    sent = session.scalars(select(Delivery)).one()
    assert sent.event == "submission.failed"
    assert "attempts-exhausted" in sent.body


def test_trouble_in_the_world_costs_no_attempt(session, submit):
    row = submit()
    claim = submissions.claim(session, limit=1, lease_seconds=60)
    assert submissions.put_back(session, claim.lease, 0) == 1
    session.expire_all()
    assert (row.state, row.attempts, row.lease) == ("waiting", 0, None)
    claim = submissions.claim(session, limit=1, lease_seconds=60)
    submissions.put_back(session, claim.lease, 3600)
    assert submissions.claim(session, limit=1, lease_seconds=60).submissions == []
    assert submissions.waiting(session) == {}


def test_renewing_keeps_a_lease_from_being_taken_back(session, submit):
    submit()
    claim = submissions.claim(session, limit=1, lease_seconds=60)
    expire(session)
    assert submissions.renew(session, claim.lease, 60) == 1
    assert submissions.take_back(session, max_attempts=3) == (0, 0)
    assert submissions.renew(session, "somebody-else", 60) == 0


def test_pages_walk_through_everything_once_newest_first(session, submit, platform):
    rows = [submit(jpeg(size=(10 + n, 10))) for n in range(5)]
    seen, cursor = [], None
    for _ in range(3):
        page, cursor = submissions.page(session, platform.platform.id, limit=2, cursor=cursor)
        seen += [row.id for row in page]
    assert seen == [row.id for row in reversed(rows)]
    assert cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "bm9wZQ==", "WzEsMl0=", "WyIyMDI2LTAxLTAxIiwgImEiXQ=="])
def test_a_made_up_cursor_is_refused(session, platform, cursor):
    with pytest.raises(Refused):
        submissions.page(session, platform.platform.id, cursor=cursor)


def test_another_platforms_submission_is_not_found(session, submit):
    row, stranger = submit(), platforms.create(session, "Other").platform
    with pytest.raises(NotFound):
        submissions.get(session, stranger.id, row.id)
    assert submissions.page(session, stranger.id) == ([], None)
