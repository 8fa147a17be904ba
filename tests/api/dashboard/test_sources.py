"""The page of sources: who tells of media, and a dry run that shows everything and stores nothing."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from moderation import sources
from moderation.tables import Base
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser
from tests.moderation.sources import conftest as senders
from tests.moderation.sources.conftest import PLANTED, SECRET


@pytest.fixture
def source(Session: Sessions, platform_id: str) -> Callable[..., str]:
    def _source(kind: str, **options: str) -> str:
        with Session.begin() as session:
            return sources.create(session, platform_id, kind, secret=SECRET, options=options).id

    return _source


def rows(Session: Sessions) -> dict[str, list[str]]:
    tables = [table.name for table in Base.metadata.sorted_tables]
    with Session.begin() as session:
        return {name: list(session.scalars(text(f'SELECT row_to_json(t)::text FROM "{name}" t'))) for name in tables}


def test_a_lead_sees_who_tells_and_when(lea: Browser, source: Callable[..., str], Session: Sessions) -> None:
    assert "No sources yet" in lea.get("/sources").text
    toot, bucket = source("mastodon"), source("s3")
    raw = senders.body("mastodon_status_created")
    with Session.begin() as session:
        sources.receive(session, sources.get(session, toot), senders.mastodon(raw), raw)
        sources.disable(session, bucket)
    page = lea.get("/sources").text
    for said in (toot, bucket, "Chirper", "just now", "never", "disabled", "Takes nothing until it has"):
        assert said in page
    assert SECRET not in page


def test_a_dry_run_shows_verification_media_and_key_and_stores_nothing(
    lea: Browser, source: Callable[..., str], Session: Sessions
) -> None:
    toot, raw = source("mastodon"), senders.body("mastodon_status_created")
    token, before = lea.token(), rows(Session)
    headers = f"X-Hub-Signature: {senders.hub(raw)}\r\nContent-Type: application/json"
    form = {"csrf_token": token, "source": toot, "headers": headers, "payload": raw.decode()}
    page = lea.client.post("/sources", data=form)
    assert page.status_code == 200
    for said in ("Verified", "status.created 113500000000000001 2026-11-21", "901/original/a1b2.jpg", ">no<"):
        assert said in page.text
    assert rows(Session) == before
    stored = str(rows(Session))
    assert not any(word in stored for word in PLANTED)
    wrong = lea.client.post("/sources", data=form | {"headers": ""})
    assert "Not verified" in wrong.text
    assert "901/original/a1b2.jpg" in wrong.text


def test_a_dry_run_of_what_is_known_says_so(lea: Browser, source: Callable[..., str], Session: Sessions) -> None:
    toot, raw = source("mastodon"), senders.body("mastodon_status_created")
    with Session.begin() as session:
        sources.receive(session, sources.get(session, toot), senders.mastodon(raw), raw)
    page = lea.post("/sources", source=toot, payload=raw.decode()).text
    assert "nothing would happen again" in page
    assert ">yes<" in page


def test_what_cannot_be_read_is_said_and_markup_is_text(lea: Browser, source: Callable[..., str]) -> None:
    toot = source("mastodon")
    assert lea.post("/sources", source=toot, payload="<b>no</b>").text.count("<b>no</b>") == 0
    assert "cannot be read" in lea.post("/sources", source=toot, payload="{").text
    form = {"csrf_token": lea.token(), "source": toot, "headers": "nonsense"}
    answer = lea.client.post("/sources", data=form)
    assert answer.status_code == 422
    assert "headers are lines of" in answer.text
    assert lea.post("/sources", source="src_nothing").status_code == 404


def test_only_those_who_oversee_and_only_from_our_own_form(
    mo: Browser, lea: Browser, stranger: Browser, source: Callable[..., str]
) -> None:
    toot = source("mastodon")
    assert mo.get("/sources").status_code == 403
    assert mo.post("/sources", source=toot).status_code == 403
    assert "/sources" not in mo.get("/queue").text
    assert "/sources" in lea.get("/queue").text
    assert stranger.get("/sources").status_code == 303
    assert lea.client.post("/sources", data={"source": toot}).status_code == 400
