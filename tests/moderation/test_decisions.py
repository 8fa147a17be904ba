from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from moderation import decisions, endpoints, flags, people, submissions, verdicts
from moderation.errors import AlreadyDecided, ClaimLost, Conflict, NothingToUndo, Refused
from moderation.tables import AuditRow, Delivery, Flag
from moderation.verdicts import Finding
from tests.conftest import PASSWORD, jpeg


@pytest.fixture
def flag_up(session, submit):
    """Opens a flag with a given score."""

    def _flag(score=0.8, size=(40, 40)):
        submit(jpeg(size=size))
        claim = submissions.claim(session, limit=1, lease_seconds=60)
        found = Finding(score=score, band="fake", reasons=[], faces=[], width=40, height=40, ms=1)
        verdicts.record(session, claim.lease, claim.submissions[0].id, ("unmask", "1"), found)
        return session.scalars(select(Flag).where(Flag.submission_id == claim.submissions[0].id)).one()

    return _flag


@pytest.fixture
def lead(session):
    return people.create(session, "lead@example.org", "lead", PASSWORD)


def sent(session, event):
    return [d.state for d in session.scalars(select(Delivery).where(Delivery.event == event).order_by(Delivery.id))]


def end_claims(session):
    session.execute(update(Flag).values(claim_expires_at=func.now() - timedelta(seconds=1)))
    session.expire_all()


def test_a_claim_shuts_others_out_until_it_ends(session, flag_up, person, lead):
    flag = flag_up()
    flags.claim(session, flag.id, person.id, 60)
    with pytest.raises(Conflict):
        flags.claim(session, flag.id, lead.id, 60)
    end_claims(session)
    with pytest.raises(ClaimLost):
        flags.heartbeat(session, flag.id, person.id, 60)
    assert flags.claim(session, flag.id, lead.id, 60).claimed_by == lead.id


def test_a_heartbeat_moves_the_end_of_a_claim(session, flag_up, person):
    flag = flag_up()
    before = flags.claim(session, flag.id, person.id, 60).claim_expires_at
    assert flags.heartbeat(session, flag.id, person.id, 600).claim_expires_at > before


def test_only_the_holder_of_a_claim_decides(session, flag_up, person, lead):
    flag = flag_up()
    flags.claim(session, flag.id, person.id, 60)
    with pytest.raises(ClaimLost):
        decisions.decide(session, flag.id, lead.id, "fake", "", 10)
    decisions.decide(session, flag.id, person.id, "fake", "ears melt", 10)
    assert (flag.state, flag.claimed_by) == ("decided", None)
    with pytest.raises(AlreadyDecided):
        flags.claim(session, flag.id, lead.id, 60)


@pytest.mark.parametrize(("answer", "note"), [("maybe", ""), ("fake", "x" * 5000), ("real", "a\0b")])
def test_a_malformed_answer_is_refused(session, flag_up, person, answer, note):
    flag = flag_up()
    flags.claim(session, flag.id, person.id, 60)
    with pytest.raises(Refused):
        decisions.decide(session, flag.id, person.id, answer, note, 10)


def test_an_undo_within_the_window_is_silent(session, flag_up, person, platform):
    endpoints.create(session, platform.platform.id, "https://127.0.0.1/hook", allowed_networks=("127.0.0.0/8",))
    flag = flag_up()
    flags.claim(session, flag.id, person.id, 60)
    decisions.decide(session, flag.id, person.id, "real", "", 10)
    assert sent(session, "flag.decided") == ["waiting"]
    decisions.undo(session, flag.id, person.id)
    session.expire_all()
    assert flag.state == "open"
    assert sent(session, "flag.decided") == ["cancelled"]
    assert sent(session, "decision.revised") == []
    with pytest.raises(NothingToUndo):
        decisions.undo(session, flag.id, person.id)


def test_an_undo_after_the_window_tells_the_platform(session, flag_up, person, platform):
    endpoints.create(session, platform.platform.id, "https://127.0.0.1/hook", allowed_networks=("127.0.0.0/8",))
    flag = flag_up()
    flags.claim(session, flag.id, person.id, 60)
    decisions.decide(session, flag.id, person.id, "real", "", 0)
    session.execute(update(Delivery).values(attempts=1, state="delivered"))
    decisions.undo(session, flag.id, person.id)
    assert sent(session, "decision.revised") == ["waiting"]


def test_a_moderator_undoes_their_own_and_a_lead_anybodys(session, flag_up, person, lead):
    other = people.create(session, "other@example.org", "moderator", PASSWORD)
    flag = flag_up()
    flags.claim(session, flag.id, person.id, 60)
    decisions.decide(session, flag.id, person.id, "fake", "", 10)
    with pytest.raises(NothingToUndo):
        decisions.undo(session, flag.id, other.id)
    assert decisions.undo(session, flag.id, lead.id).undone_by == lead.id


def test_unsure_escalates_and_a_lead_sees_it_first(session, flag_up, person, lead):
    flag, better = flag_up(0.6), flag_up(0.9, (50, 50))
    flags.claim(session, flag.id, person.id, 60)
    decisions.decide(session, flag.id, person.id, "unsure", "odd light", 10)
    assert (flag.state, flag.escalated) == ("open", True)
    assert flags.upcoming(session, lead.id) is flag
    assert flags.upcoming(session, person.id) is better
    assert flags.upcoming(session, person.id, after=better.id) is None
    flags.claim(session, flag.id, lead.id, 60)
    decisions.decide(session, flag.id, lead.id, "fake", "", 10)
    decisions.undo(session, flag.id, lead.id)
    assert (flag.state, flag.escalated) == ("open", True)


def test_the_next_flag_is_ones_own_then_the_highest_score_nobody_holds(session, flag_up, person, lead):
    low, high, held = flag_up(0.5), flag_up(0.8, (50, 50)), flag_up(0.99, (60, 60))
    flags.claim(session, held.id, lead.id, 60)
    assert flags.upcoming(session, person.id) is high
    flags.claim(session, low.id, person.id, 60)
    assert flags.upcoming(session, person.id) is low
    assert [flag.score for flag in flags.queue(session, person_id=person.id)] == [0.99, 0.8, 0.5]
    assert flags.queue(session, person_id=person.id, mine=True) == [low]
    assert flags.counts(session)["fake"] == 3
    assert flags.counts(session)["claimed"] == 2


def test_each_step_leaves_an_audit_row(session, flag_up, person):
    flag = flag_up()
    flags.claim(session, flag.id, person.id, 60)
    flags.release(session, flag.id, person.id)
    flags.claim(session, flag.id, person.id, 60)
    decisions.decide(session, flag.id, person.id, "fake", "", 10)
    decisions.undo(session, flag.id, person.id)
    rows = flags.history(session, flag.id)
    assert [row.action for row in rows] == [
        "flag.claimed",
        "flag.released",
        "flag.claimed",
        "flag.decided",
        "decision.undone",
    ]
    assert {row.actor for row in rows} == {person.id}
    assert rows[-1].old["answer"] == "fake"
    assert session.scalar(select(func.count()).select_from(AuditRow)) >= 5
