"""The queue as a page: what it lists, in which order, and how a person looks at it."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session as OrmSession

from api.dashboard import listing
from moderation import platforms
from moderation.blobs import Blobs
from tests import flagged
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser

MakeFlag = Callable[..., str]


def listed(page: str) -> list[str]:
    """The flags of a page of the queue, in order."""
    return re.findall(r'data-row href="/flags/([^"]+)"', page)


def test_the_root_leads_to_the_queue(mo: Browser) -> None:
    assert mo.get("/").headers["Location"] == "/queue"


def test_the_highest_score_comes_first_or_the_longest_wait(mo: Browser, flag: MakeFlag) -> None:
    old, high = flag(0.6), flag(0.9)
    assert listed(mo.get("/queue").text) == [high, old]
    assert listed(mo.get("/queue?sort=age").text) == [old, high]


def test_filters_narrow_the_list_and_can_be_left(mo: Browser, flag: MakeFlag, Session: Sessions, blobs: Blobs) -> None:
    fake, unclear = flag(0.95), flag(0.4, band="inconclusive", reasons=["no_face"])
    with Session.begin() as session:
        other = platforms.create(session, "Fotoforum").platform.id
    foreign = flagged.flag(Session, blobs, other, flagged.picture("navy"), score=0.5, band="review")
    assert listed(mo.get("/queue?band=inconclusive").text) == [unclear]
    assert listed(mo.get(f"/queue?platform={other}").text) == [foreign]
    assert listed(mo.get("/queue?mine=1").text) == []
    mo.post(f"/flags/{fake}/claim")
    assert listed(mo.get("/queue?mine=1").text) == [fake]
    empty = mo.get(f"/queue?platform={other}&band=fake").text
    assert "Nothing matches" in empty


def test_who_looks_at_a_flag_is_told_until_the_claim_ends(mo: Browser, ben: Browser, flag: MakeFlag) -> None:
    flag_id = flag()
    assert "free" in mo.get("/queue").text
    ben.post(f"/flags/{flag_id}/claim")
    assert "ben@example.org" in mo.get("/queue").text
    assert "<b>yours</b>" in ben.get("/queue").text
    ben.post(f"/flags/{flag_id}/release")
    assert "ben@example.org" not in mo.get("/queue").text


def test_an_empty_queue_says_so(mo: Browser) -> None:
    page = mo.get("/queue").text
    assert "The queue is empty" in page
    assert re.search(r'data-key="s" disabled', page)


def test_a_long_queue_has_pages(mo: Browser, flag: MakeFlag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    ids = [flag(score) for score in (0.9, 0.8, 0.7)]
    first = mo.get("/queue?band=fake").text
    assert listed(first) == ids[:2]
    assert 'href="/queue?band=fake&amp;page=2"' in first
    assert listed(mo.get("/queue?band=fake&page=2").text) == ids[2:]


@pytest.mark.parametrize(
    "query", ["page=-1", "page=x", "page=99999999999999999999", "band=x'--", "sort=;", "platform=%00", "mine=maybe"]
)
def test_a_query_that_makes_no_sense_is_no_error(mo: Browser, flag: MakeFlag, query: str) -> None:
    flag()
    assert mo.get(f"/queue?{query}").status_code == 200


def test_thumbnails_come_blurred_until_a_person_says_otherwise(mo: Browser) -> None:
    assert re.search(r'<html lang="en" class="veil boxes ', mo.get("/queue").text)
    assert mo.post("/look", switch="veil", next="/queue?sort=age").headers["Location"] == "/queue?sort=age"
    mo.post("/look", switch="grey")
    assert re.search(r'<html lang="en" class="grey boxes ', mo.get("/queue").text)
    mo.post("/look", switch="veil")
    assert re.search(r'<html lang="en" class="veil grey boxes ', mo.get("/queue").text)


def test_only_switches_that_exist_are_kept(mo: Browser) -> None:
    answer = mo.post("/look", switch="session", next="//evil.example")
    assert answer.headers["Location"] == "/queue"
    assert not any("unmask_session" in cookie for cookie in answer.headers.getlist("Set-Cookie"))


def test_the_audit_trail_is_for_leads(mo: Browser, lea: Browser, flag: MakeFlag, Session: Sessions) -> None:
    flag_id = flag()
    mo.post(f"/flags/{flag_id}/claim")
    refused = mo.get("/audit")
    assert refused.status_code == 403
    assert "leads and administrators" in refused.text
    assert 'href="/audit"' not in mo.get("/queue").text
    page = lea.get(f"/audit?subject={flag_id}").text
    assert "flag.claimed" in page
    assert "mo@example.org" in page
    assert "person.created" not in page
    assert "person.created" in lea.get("/audit").text
    assert "No rows" in lea.get("/audit?before=1").text
    assert lea.get("/audit?before=99999999999999999999&subject=%00").status_code == 200


def test_words_of_other_peoples_making_are_shown_as_they_are(
    Session: Callable[[], OrmSession], mo: Browser, flag: MakeFlag
) -> None:
    flag(reasons=["lips_out_of_step"])
    assert "Lips out of step" in mo.get("/queue").text
