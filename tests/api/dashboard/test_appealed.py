"""An appeal in front of people: a word in the queue, and the reason, as text, beside the flag."""

from collections.abc import Callable

from sqlalchemy import select

from moderation import appeals
from moderation.tables import Flag
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser

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
