import pytest
from sqlalchemy import select

from moderation import acceptance, appeals, audit, decisions, endpoints, flags, people, platforms, submissions, verdicts
from moderation.errors import NotAppealable, NotFound, TooManyAppeals
from moderation.tables import Decision, Delivery, Flag
from moderation.verdicts import Finding
from tests.conftest import PASSWORD

RELEASE = ("unmask", "1")


@pytest.fixture
def scored(session, submit, platform):
    """Submits and judges; returns the submission's id."""
    endpoints.create(session, platform.platform.id, "http://127.0.0.1:9/hook", allowed_networks=["127.0.0.0/8"])

    def _scored(band: str = "fake", score: float = 0.9) -> str:
        submit()
        claim = submissions.claim(session, limit=1, lease_seconds=60)
        finding = Finding(score=score, band=band, reasons=[], faces=[], width=64, height=48, ms=3.0)
        assert verdicts.record(session, claim.lease, claim.submissions[0].id, RELEASE, finding)
        return claim.submissions[0].id

    return _scored


@pytest.fixture
def appeal(session, platform):
    return lambda submission_id, reason="it is her own photograph": appeals.make(
        session, platform.platform.id, submission_id, reason
    )


def decide(session, flag, person, answer="fake", undo_seconds=0.0):
    flags.claim(session, flag.id, person.id, 60)
    return decisions.decide(session, flag.id, person.id, answer, "", undo_seconds)


def events(session, submission_id):
    query = select(Delivery.event).where(Delivery.submission_id == submission_id, Delivery.state != "cancelled")
    return list(session.scalars(query.order_by(Delivery.created_at, Delivery.id)))


def test_what_nobody_looked_at_is_put_before_people(session, scored, appeal, platform):
    submission_id = scored("clear", 0.02)
    assert session.scalar(select(Flag)) is None
    made = appeal(submission_id)
    assert (made.flag.state, made.flag.band, made.flag.escalated) == ("open", "clear", False)
    assert [row.reason for row in appeals.of(session, made.flag)] == ["it is her own photograph"]
    assert appeals.counts(session, [made.flag]) == {made.flag.id: 1}
    assert events(session, submission_id) == ["submission.scored", "flag.opened"]
    (row,) = audit.page(session, made.flag.id)
    assert (row.actor, row.action, row.old) == (platform.platform.id, "flag.appealed", None)
    assert row.new["appeal"] == made.appeal.id


def test_a_flag_that_is_open_gets_the_reason_and_nobody_is_told_twice(session, scored, appeal):
    submission_id = scored()
    first, second = appeal(submission_id, "one"), appeal(submission_id, "two")
    assert first.flag.id == second.flag.id
    assert [row.reason for row in appeals.of(session, first.flag)] == ["one", "two"]
    assert events(session, submission_id) == ["submission.scored", "flag.opened"]


def test_a_decided_flag_is_open_again_for_somebody_else(session, scored, appeal, person):
    submission_id = scored()
    flag = session.scalar(select(Flag))
    decision = decide(session, flag, person)
    for row in session.scalars(select(Delivery)):
        row.state, row.attempts = "delivered", 1
    made = appeal(submission_id)
    assert made.flag.id == flag.id
    assert (flag.state, flag.decided_at, flag.escalated, flag.claimed_by) == ("open", None, True, None)
    assert flags.standing(session, flag.id) is None
    assert session.get_one(Decision, decision.id).undone_by is None
    assert events(session, submission_id) == ["submission.scored", "flag.opened", "flag.decided", "flag.opened"]
    told = session.scalars(select(Delivery).where(Delivery.state == "waiting")).one()
    assert made.appeal.id in told.body
    assert made.appeal.reason not in told.body
    assert flags.upcoming(session, person.id) is None
    lead = people.create(session, "lead@example.org", "lead", PASSWORD)
    assert flags.upcoming(session, lead.id) == flag


def test_a_decision_that_was_not_sent_yet_is_never_heard_of(session, scored, appeal, person):
    submission_id = scored()
    decide(session, session.scalar(select(Flag)), person, undo_seconds=10)
    appeal(submission_id)
    assert events(session, submission_id) == ["submission.scored", "flag.opened", "flag.opened"]


def test_an_answer_to_an_appeal_that_is_undone_still_needs_a_lead(session, scored, appeal, person):
    submission_id = scored()
    flag = session.scalar(select(Flag))
    decide(session, flag, person)
    appeal(submission_id)
    lead = people.create(session, "lead@example.org", "lead", PASSWORD)
    decide(session, flag, lead, "real")
    assert flag.state == "decided"
    decisions.undo(session, flag.id, lead.id)
    assert (flag.state, flag.escalated) == ("open", True)


@pytest.mark.parametrize("state", ["fetching", "waiting", "scoring", "failed"])
def test_only_what_was_scored_can_be_appealed(session, submit, appeal, platform, state):
    if state == "fetching":
        draft = acceptance.Draft(platform_id=platform.platform.id)
        row = acceptance.expect(session, draft, {"url": "https://chirper.example/1.jpg"})
    else:
        row = submit()
    if state in ("scoring", "failed"):
        claim = submissions.claim(session, limit=1, lease_seconds=60)
        if state == "failed":
            assert submissions.fail(session, claim.lease, row.id, "torn-file", "it is torn")
    assert row.state == state
    with pytest.raises(NotAppealable, match=state):
        appeal(row.id)


def test_appeals_come_to_an_end(session, scored, appeal):
    submission_id = scored()
    for number in range(appeals.MOST):
        appeal(submission_id, str(number))
    with pytest.raises(TooManyAppeals):
        appeal(submission_id)
    assert appeals.counts(session, list(session.scalars(select(Flag)))) == {
        session.scalar(select(Flag.id)): appeals.MOST
    }


def test_another_platforms_submission_cannot_be_appealed(session, scored):
    rival = platforms.create(session, "Rival").platform
    with pytest.raises(NotFound):
        appeals.make(session, rival.id, scored(), "mine")
