"""The page of platforms: what each wants done, for those who oversee."""

from moderation import platforms
from moderation.tables import Platform
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser


def test_a_lead_reads_what_each_platform_wants(lea: Browser, Session: Sessions, platform_id: str) -> None:
    with Session.begin() as session:
        changes = {"thresholds": {"review": 0.5, "fake": 0.9}, "retention_days": 30, "callback_hosts": ["a.example"]}
        platforms.change_policy(session, platform_id, changes | {"keep_features": True})
        platforms.create(session, "Plain <b>")
    page = lea.get("/platforms").text
    for said in ("review from 0.5, fake from 0.9", "30 days after it is finished", "a.example", "Plain &lt;b&gt;"):
        assert said in page
    assert "the detector&#39;s own" in page
    assert "any public host" in page
    assert "kept, to learn from decisions" in page
    assert "not kept" in page


def test_a_policy_that_cannot_be_read_is_told_of_and_the_page_stands(
    lea: Browser, Session: Sessions, platform_id: str
) -> None:
    with Session.begin() as session:
        session.get_one(Platform, platform_id).policy = {"retention_days": "soon"}
        platforms.create(session, "Other")
    page = lea.get("/platforms")
    assert page.status_code == 200
    assert "retention_days" in page.text
    assert "Other" in page.text


def test_a_moderator_may_not(mo: Browser) -> None:
    assert mo.get("/platforms").status_code == 403
    assert "/platforms" not in mo.get("/queue").text
