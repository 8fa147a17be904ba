"""An appeal in front of people: a word in the queue, and the reason, as text, beside the flag."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session as OrmSession

from moderation import appeals, decisions, flags
from moderation.errors import AppealedMeanwhile
from moderation.tables import Flag
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser
from tests.installations import eventually

BLOCKED = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
MakeFlag = Callable[..., str]


def appeal(Session: Sessions, flag_id: str, reason: str) -> None:
    with Session.begin() as session:
        flag = session.scalars(select(Flag).where(Flag.id == flag_id)).one()
        appeals.make(session, flag.platform_id, flag.submission_id, reason)


def test_the_queue_says_which_flags_were_appealed(mo: Browser, flag: MakeFlag, Session: Sessions) -> None:
    flag(0.9)
    assert "Appealed" not in mo.get("/queue").text
    flag_id = flag(0.8)
    appeal(Session, flag_id, "one")
    assert mo.get("/queue").text.count("Appealed") == 1
    appeal(Session, flag_id, "two")
    assert "Appealed 2 \N{MULTIPLICATION SIGN}" in mo.get("/queue").text


def test_the_reasons_stand_beside_the_flag_as_text(mo: Browser, flag: MakeFlag, Session: Sessions) -> None:
    flag_id = flag(0.9)
    appeal(Session, flag_id, "<script>alert(1)</script>")
    page = mo.get(f"/flags/{flag_id}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "appealed" in page
    assert "plt_" not in page  # the platform has a name


def test_a_decided_flag_that_is_appealed_waits_again(mo: Browser, flag: MakeFlag, Session: Sessions) -> None:
    flag_id = flag(0.9)
    mo.post("/queue/next")
    mo.post(f"/flags/{flag_id}/decision", answer="fake")
    assert f'href="/flags/{flag_id}"' not in mo.get("/queue").text
    appeal(Session, flag_id, "it is her own photograph")
    page = mo.get("/queue").text
    assert "Second opinion" in page
    assert f'href="/flags/{flag_id}"' in page
    shown = mo.get(f"/flags/{flag_id}").text
    assert "it is her own photograph" in shown
    assert "Undo this answer" not in shown
    assert mo.post("/queue/next").headers["Location"] == "/queue"  # somebody else is to look


def test_an_appeal_made_while_somebody_looks_is_read_before_the_flag_is_answered(
    mo: Browser, flag: MakeFlag, Session: Sessions
) -> None:
    flag_id = flag(0.9)
    mo.post("/queue/next")
    appeal(Session, flag_id, "it is her own photograph")
    refused = mo.post(f"/flags/{flag_id}/decision", answer="fake", note="ears", appeals="0")
    assert refused.status_code == 409
    assert "appealed while you looked" in refused.text
    assert "it is her own photograph" in refused.text
    assert "ears" in refused.text  # the note is kept
    assert 'name="appeals" value="1"' in refused.text
    with Session.begin() as session:
        assert session.scalars(select(Flag.state).where(Flag.id == flag_id)).one() == "open"
    assert mo.post(f"/flags/{flag_id}/decision", answer="fake", appeals="1").status_code == 303


@pytest.mark.parametrize("sent", [{}, {"appeals": ""}, {"appeals": "many"}, {"appeals": "-1"}])
def test_a_form_that_does_not_say_what_was_seen_has_seen_nothing(
    mo: Browser, flag: MakeFlag, Session: Sessions, sent: dict[str, str]
) -> None:
    flag_id = flag(0.9)
    mo.post("/queue/next")
    appeal(Session, flag_id, "one")
    assert mo.post(f"/flags/{flag_id}/decision", answer="fake", **sent).status_code == 409


def test_however_a_decision_and_an_appeal_meet_the_appeal_is_never_closed_unseen(
    mo: Browser, flag: MakeFlag, Session: Sessions
) -> None:
    """Ten flags, each decided and appealed at the same moment by two threads."""

    def decide(flag_id: str) -> str:
        try:
            with Session.begin() as session:
                decisions.decide(session, flag_id, mo.person_id, "fake", "", 10, seen_appeals=0)
        except AppealedMeanwhile:
            return "refused"
        return "decided"

    outcomes = []
    with ThreadPoolExecutor(2) as threads:
        for number in range(10):
            flag_id = flag(0.5 + number / 100)
            with Session.begin() as session:
                flags.claim(session, flag_id, mo.person_id, 60)
            met = [threads.submit(decide, flag_id), threads.submit(appeal, Session, flag_id, "that is me")]
            outcomes.append(met[0].result())
            met[1].result()
            with Session.begin() as session:
                found = session.get_one(Flag, flag_id)
                assert found.state == "open", outcomes
                standing = flags.standing(session, flag_id)
            assert standing is None
    assert set(outcomes) <= {"refused", "decided"}


@pytest.mark.parametrize("first", ["decision", "appeal"])
def test_whoever_comes_second_waits_for_the_first_and_sees_it(
    mo: Browser, flag: MakeFlag, Session: Sessions, first: str
) -> None:
    flag_id = flag(0.9)
    with Session.begin() as session:
        flags.claim(session, flag_id, mo.person_id, 60)
        row = session.get_one(Flag, flag_id)
        platform_id, submission_id = row.platform_id, row.submission_id

    def decide(session: OrmSession) -> None:
        decisions.decide(session, flag_id, mo.person_id, "fake", "", 10, seen_appeals=0)

    def object_to_it(session: OrmSession) -> None:
        appeals.make(session, platform_id, submission_id, "that is me")

    steps = [decide, object_to_it] if first == "decision" else [object_to_it, decide]

    def second() -> None:
        with Session.begin() as session:
            steps[1](session)

    with ThreadPoolExecutor(1) as threads:
        with Session.begin() as session:
            steps[0](session)
            waiting = threads.submit(second)
            with Session() as other:
                eventually(lambda: bool(other.scalar(BLOCKED)) or waiting.done())
        if first == "appeal":
            with pytest.raises(AppealedMeanwhile):
                waiting.result()
        else:
            waiting.result()
    with Session.begin() as session:
        assert session.get_one(Flag, flag_id).state == "open"
