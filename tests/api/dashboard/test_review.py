"""From a claim to a decision and back: what two people may do to one flag, and what is written down of it."""

from collections.abc import Callable

import pytest
from celery import Celery
from sqlalchemy import func, select, update

from api import application
from moderation import decisions, flags, queue
from moderation.blobs import Blobs
from moderation.settings import Settings
from moderation.tables import Flag, Submission
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser

MakeFlag = Callable[..., str]
Actions = Callable[[str], list[str]]


def expire(session_factory: Sessions, flag_id: str) -> None:
    """Ends a claim as if its holder had walked away."""
    with session_factory.begin() as session:
        session.execute(update(Flag).where(Flag.id == flag_id).values(claim_expires_at=func.clock_timestamp()))


def test_starting_claims_the_worst_flag_that_is_free(mo: Browser, ben: Browser, flag: MakeFlag) -> None:
    second, first = flag(0.7), flag(0.95)
    assert mo.post("/queue/next").headers["Location"] == f"/flags/{first}"
    assert ben.post("/queue/next").headers["Location"] == f"/flags/{second}"


def test_looking_claims_nothing(mo: Browser, flag: MakeFlag, actions: Actions) -> None:
    flag_id = flag()
    page = mo.get(f"/flags/{flag_id}").text
    assert "Claim to answer" in page
    assert "<fieldset disabled>" in page
    assert actions(flag_id) == []


def test_two_people_cannot_hold_one_flag(mo: Browser, ben: Browser, flag: MakeFlag) -> None:
    flag_id = flag()
    assert mo.post(f"/flags/{flag_id}/claim").status_code == 303
    answer = ben.post(f"/flags/{flag_id}/claim")
    assert answer.status_code == 409
    assert "somebody else is looking at this flag" in answer.text
    assert "mo@example.org" in answer.text
    assert 'value="fake"' not in answer.text


def test_a_decision_leads_to_the_next_flag_at_once(mo: Browser, flag: MakeFlag, actions: Actions) -> None:
    first, second = flag(0.95), flag(0.7)
    mo.post("/queue/next")
    answer = mo.post(f"/flags/{first}/decision", answer="fake", note=" swapped face ")
    assert answer.headers["Location"] == f"/flags/{second}"
    page = mo.get(f"/flags/{second}").text
    assert "Marked as fake" in page
    assert f'action="/flags/{first}/undo"' in page
    assert "Yours for" in page
    assert actions(first) == ["flag.claimed", "flag.decided"]
    assert actions(second) == ["flag.claimed"]
    assert "swapped face" in mo.get(f"/flags/{first}").text


def test_the_last_decision_leads_to_an_empty_queue(mo: Browser, flag: MakeFlag) -> None:
    flag_id = flag()
    mo.post("/queue/next")
    assert mo.post(f"/flags/{flag_id}/decision", answer="real").headers["Location"] == "/queue"
    page = mo.get("/queue").text
    assert "Marked as real" in page
    assert "Nothing is left for you" in page
    assert "The queue is empty" in page


def test_undo_returns_to_the_flag_and_claims_it(mo: Browser, flag: MakeFlag, actions: Actions) -> None:
    flag_id = flag()
    mo.post("/queue/next")
    mo.post(f"/flags/{flag_id}/decision", answer="fake")
    assert mo.post(f"/flags/{flag_id}/undo").headers["Location"] == f"/flags/{flag_id}"
    page = mo.get(f"/flags/{flag_id}").text
    assert "Yours for" in page
    assert "took the answer back: fake" in " ".join(page.split()).replace("</b> ", "")
    assert actions(flag_id) == ["flag.claimed", "flag.decided", "decision.undone", "flag.claimed"]
    assert mo.post(f"/flags/{flag_id}/decision", answer="real").status_code == 303


def test_only_ones_own_answer_can_be_undone_unless_one_leads(
    mo: Browser, ben: Browser, lea: Browser, flag: MakeFlag
) -> None:
    flag_id = flag()
    mo.post("/queue/next")
    mo.post(f"/flags/{flag_id}/decision", answer="fake")
    assert ben.post(f"/flags/{flag_id}/undo").status_code == 409
    assert "Undo this answer" not in ben.get(f"/flags/{flag_id}").text
    assert "Undo this answer" in lea.get(f"/flags/{flag_id}").text
    assert lea.post(f"/flags/{flag_id}/undo").status_code == 303


def test_undoing_twice_is_told_kindly(mo: Browser, flag: MakeFlag) -> None:
    flag_id = flag()
    mo.post("/queue/next")
    mo.post(f"/flags/{flag_id}/decision", answer="fake")
    mo.post(f"/flags/{flag_id}/undo")
    again = mo.post(f"/flags/{flag_id}/undo")
    assert again.status_code == 409
    assert "no standing decision" in again.text


def test_deciding_without_a_claim_keeps_the_note(mo: Browser, ben: Browser, flag: MakeFlag, Session: Sessions) -> None:
    flag_id = flag()
    mo.post(f"/flags/{flag_id}/claim")
    expire(Session, flag_id)
    late = mo.post(f"/flags/{flag_id}/decision", answer="fake", note="the ear is doubled")
    assert late.status_code == 409
    assert "Your claim on this flag has ended" in late.text
    assert ">the ear is doubled</textarea>" in late.text
    ben.post(f"/flags/{flag_id}/claim")
    later = mo.post(f"/flags/{flag_id}/decision", answer="fake", note="the ear is doubled")
    assert later.status_code == 409
    assert "ben@example.org" in later.text
    assert "the ear is doubled</textarea>" in later.text


def test_deciding_twice_shows_what_was_decided(mo: Browser, ben: Browser, flag: MakeFlag) -> None:
    flag_id = flag()
    mo.post("/queue/next")
    mo.post(f"/flags/{flag_id}/decision", answer="real")
    again = mo.post(f"/flags/{flag_id}/decision", answer="fake")
    assert again.status_code == 409
    assert "already decided" in again.text
    assert ben.post(f"/flags/{flag_id}/claim").status_code == 409


def test_unsure_leaves_it_to_a_lead(mo: Browser, lea: Browser, flag: MakeFlag) -> None:
    flag_id = flag()
    mo.post("/queue/next")
    assert mo.post(f"/flags/{flag_id}/decision", answer="unsure").headers["Location"] == "/queue"
    assert "Second opinion" in lea.get("/queue").text
    assert lea.post("/queue/next").headers["Location"] == f"/flags/{flag_id}"


def test_an_answer_that_does_not_exist_is_refused(mo: Browser, flag: MakeFlag) -> None:
    flag_id = flag()
    mo.post("/queue/next")
    assert mo.post(f"/flags/{flag_id}/decision", answer="maybe").status_code == 422


def test_a_heartbeat_extends_the_claim(mo: Browser, flag: MakeFlag, Session: Sessions) -> None:
    flag_id = flag()
    mo.post(f"/flags/{flag_id}/claim")
    with Session.begin() as session:
        before = flags.get(session, flag_id).claim_expires_at
    beat = mo.post(f"/flags/{flag_id}/heartbeat", headers={"Accept": "application/json"})
    assert beat.get_json() == {"seconds": 300.0}
    with Session.begin() as session:
        after = flags.get(session, flag_id).claim_expires_at
    assert before is not None
    assert after is not None
    assert after > before


def test_a_heartbeat_of_a_lost_claim_says_so(mo: Browser, flag: MakeFlag, Session: Sessions) -> None:
    flag_id = flag()
    mo.post(f"/flags/{flag_id}/claim")
    expire(Session, flag_id)
    beat = mo.post(f"/flags/{flag_id}/heartbeat", headers={"Accept": "application/json"})
    assert beat.status_code == 409
    assert beat.mimetype == "application/problem+json"
    assert beat.get_json()["type"] == "/problems/claim-lost"


def test_a_heartbeat_after_the_session_has_ended_says_so(stranger: Browser, flag: MakeFlag) -> None:
    beat = stranger.post(f"/flags/{flag()}/heartbeat", headers={"Accept": "application/json"})
    assert beat.status_code == 401


def test_a_flag_can_be_given_back_and_skipped(mo: Browser, ben: Browser, flag: MakeFlag, actions: Actions) -> None:
    second, first = flag(0.7), flag(0.95)
    mo.post("/queue/next")
    assert mo.post(f"/flags/{first}/skip").headers["Location"] == f"/flags/{second}"
    assert actions(first) == ["flag.claimed", "flag.released"]
    assert mo.post(f"/flags/{second}/release").headers["Location"] == "/queue"
    assert ben.post(f"/flags/{second}/claim").status_code == 303


def test_a_decision_rings_for_its_delivery(mo: Browser, flag: MakeFlag, orders: Celery) -> None:
    flag_id = flag()
    mo.post("/queue/next")
    mo.post(f"/flags/{flag_id}/decision", answer="fake")
    assert queue.length(orders, queue.DELIVERIES) == 1


def test_a_decision_stands_while_redis_is_away(
    mo: Browser, flag: MakeFlag, settings: Settings, Session: Sessions, blobs: Blobs
) -> None:
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    app = application.create(away, session_factory=Session, blobs=blobs, queue=queue.application(away.redis_url))
    browser = Browser(app.test_client())
    browser.log_in("mo@example.org")
    flag_id = flag()
    browser.post("/queue/next")
    assert browser.post(f"/flags/{flag_id}/decision", answer="fake").status_code == 303
    with Session.begin() as session:
        standing = flags.standing(session, flag_id)
        assert standing is not None
        assert standing.answer == "fake"


def test_what_a_platform_sent_is_shown_as_text(mo: Browser, flag: MakeFlag) -> None:
    hostile = '"><script>alert(1)</script>'
    flag_id = flag(external_id=hostile, context={hostile: [hostile, {"deep": hostile}], "n": None, "ok": True})
    for path in ("/queue", f"/flags/{flag_id}"):
        page = mo.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_note_is_shown_as_text(mo: Browser, flag: MakeFlag) -> None:
    flag_id = flag()
    mo.post("/queue/next")
    mo.post(f"/flags/{flag_id}/decision", answer="fake", note="<b onclick=x>bold</b>\0")
    assert "&lt;b onclick=x&gt;bold&lt;/b&gt;" in mo.get(f"/flags/{flag_id}").text


def test_the_evidence_is_on_the_page(mo: Browser, flag: MakeFlag, Session: Sessions) -> None:
    two = [
        {"box": [10, 20, 60, 80], "score": score, "quality": {"sharpness": 12.345}, "frame": 0}
        for score in (0.93, 0.12)
    ]
    flag_id = flag(0.93, faces=two, reasons=["manipulated_face"], external_id="post-17", context={"author": "ann"})
    page = mo.get(f"/flags/{flag_id}").text
    for told in (
        'viewBox="0 0 320 240"',
        '<rect x="10" y="20" width="60" height="80"',
        "0.93",
        "0.12",
        "60 \u00d7 80 px",
        "Looks most like a manipulated face",
        "unmask-mobilenet 1.0.0",
        "Chirper",
        "post-17",
        "ann",
        "JPEG",
        "12.3",
        "<meter",
    ):
        assert told in page, told
    with Session.begin() as session:
        assert session.scalar(select(Submission.media_sha256)) in page


def test_boxes_of_other_frames_are_not_drawn_over_the_one_that_is_shown(mo: Browser, flag: MakeFlag) -> None:
    scores = {0: 0.2, 4: 0.9}
    faces = [{"box": [10 + at, 20, 60, 80], "score": scores[at], "quality": {}, "frame": at} for at in scores]
    frames = [{"index": at, "time": at / 2, "score": scores[at]} for at in scores]
    page = mo.get(f"/flags/{flag(faces=faces, frames=frames)}").text
    assert '<rect x="14"' in page
    assert '<rect x="10"' not in page
    assert "<td>0:02.0</td>" in page


def test_a_missing_preview_says_so(mo: Browser, flag: MakeFlag) -> None:
    assert "The preview is not there yet" in mo.get(f"/flags/{flag(drawn=False)}").text


@pytest.mark.parametrize("path", ["/flags/flg_00000000000000000000000000", "/flags/no-such-thing", "/flags/%00"])
def test_a_flag_that_does_not_exist_is_not_found(mo: Browser, path: str) -> None:
    assert mo.get(path).status_code == 404


def test_a_note_may_be_long_and_no_longer(mo: Browser, flag: MakeFlag, Session: Sessions) -> None:
    flag_id = flag()
    mo.post("/queue/next")
    mo.post(f"/flags/{flag_id}/decision", answer="fake", note="x\r\n" * decisions.LONGEST_NOTE)
    with Session.begin() as session:
        standing = flags.standing(session, flag_id)
        assert standing is not None
        assert 0 < len(standing.note) <= decisions.LONGEST_NOTE
