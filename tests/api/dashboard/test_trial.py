"""Trying an image: it gets its answer, once, and nothing of it stays."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from apiflask import APIFlask
from celery import Celery
from sqlalchemy import Engine, func, select

from api import application
from api.collaborators import EXTENSION
from moderation import queue, submissions
from moderation.blobs import Blobs
from moderation.settings import Settings
from moderation.tables import Media, Submission, Verdict
from tests import flagged
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser
from tests.far import Far

ASKS_AS_SCRIPT = {"Accept": "application/json"}


def answer(session_factory: Sessions, score: float = 0.83) -> None:
    with session_factory.begin() as session:
        flagged.record(session, flagged.finding((320, 240), score))


def left(session_factory: Sessions, settings: Settings) -> tuple[int, int, int, int]:
    """How many submissions, media rows, verdicts and files there are."""
    with session_factory.begin() as session:
        rows = [session.scalar(select(func.count()).select_from(table)) or 0 for table in (Submission, Media, Verdict)]
    files = [
        path
        for path in Path(settings.media.removeprefix("file://")).rglob("*")
        if path.is_file() and path.stat().st_size
    ]
    return rows[0], rows[1], rows[2], len(files)


def test_an_image_gets_its_answer_once_and_is_erased(
    mo: Browser, Session: Sessions, settings: Settings, orders: Celery
) -> None:
    sent = mo.drop(flagged.picture())
    assert sent.status_code == 303
    address = sent.headers["Location"]
    assert queue.length(orders, "scoring.urgent") == 1
    waiting = mo.get(address)
    assert '<meta http-equiv="refresh"' in waiting.text
    assert left(Session, settings) == (1, 1, 0, 1)
    answer(Session)
    page = mo.get(address)
    assert page.status_code == 200
    for told in ("0.83", "Fake", "unmask-mobilenet 1.0.0", 'viewBox="0 0 320 240"'):
        assert told in page.text
    assert "refresh" not in page.text
    assert left(Session, settings) == (0, 0, 0, 0)
    assert mo.get(address).status_code == 404


def test_no_connection_is_held_while_a_far_store_takes_an_image(
    mo: Browser, app: APIFlask, engine: Engine, tmp_path: Path
) -> None:
    far = Far(tmp_path / "far", engine)
    far.prepare()
    app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], blobs=far)
    assert mo.drop(flagged.picture()).status_code == 303
    assert far.held == [0]


def test_a_script_gets_the_address_and_then_a_piece_of_the_page(
    mo: Browser, Session: Sessions, settings: Settings
) -> None:
    sent = mo.drop(flagged.picture(), headers=ASKS_AS_SCRIPT)
    assert sent.status_code == 202
    address = sent.get_json()["url"]
    assert mo.get(f"{address}?fragment").status_code == 202
    answer(Session)
    piece = mo.get(f"{address}?fragment")
    assert piece.status_code == 200
    assert "<html" not in piece.text
    assert "0.83" in piece.text
    assert left(Session, settings) == (0, 0, 0, 0)


def test_asking_for_the_head_of_an_answer_erases_nothing(mo: Browser, Session: Sessions) -> None:
    address = mo.drop(flagged.picture()).headers["Location"]
    answer(Session)
    mo.client.head(address)
    assert mo.get(address).status_code == 200


def test_somebody_elses_image_is_not_found(mo: Browser, ben: Browser, stranger: Browser, Session: Sessions) -> None:
    address = mo.drop(flagged.picture()).headers["Location"]
    answer(Session)
    assert ben.get(address).status_code == 404
    assert stranger.get(address).status_code == 303
    assert mo.get(address).status_code == 200


def test_a_platforms_submission_is_no_trial(mo: Browser, flag: Callable[..., str], Session: Sessions) -> None:
    flag()
    with Session.begin() as session:
        theirs = session.scalars(select(Submission.id)).one()
    assert mo.get(f"/try/{theirs}").status_code == 404


def test_bytes_that_a_platform_also_sent_survive(mo: Browser, flag: Callable[..., str], Session: Sessions) -> None:
    flag_id = flag(body=flagged.picture("olive"))
    address = mo.drop(flagged.picture("olive")).headers["Location"]
    answer(Session)
    assert mo.get(address).status_code == 200
    page = mo.get(f"/flags/{flag_id}").text
    assert "The submitted image" in page


def test_an_image_that_cannot_be_scored_says_why_and_is_erased(
    mo: Browser, Session: Sessions, settings: Settings
) -> None:
    address = mo.drop(flagged.picture()).headers["Location"]
    with Session.begin() as session:
        claim = submissions.claim(session, limit=1, lease_seconds=60)
        submissions.fail(session, claim.lease, claim.submissions[0].id, "torn-file", "ends after 12 of 90 rows")
    page = mo.get(address).text
    assert "The file is incomplete or damaged" in page
    assert "torn-file" in page
    assert "ends after 12 of 90 rows" in page
    assert left(Session, settings) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"", 422, "empty-file"),
        (b"just some words", 415, "unsupported-media-type"),
        (b"\xff\xd8\xff\xe0 and then nothing", 422, "torn-file"),
    ],
)
def test_a_bad_file_is_refused_by_name(mo: Browser, body: bytes, status: int, slug: str) -> None:
    page = mo.drop(body)
    assert page.status_code == status
    assert f"<code>{slug}</code>" in page.text
    problem = mo.drop(body, headers=ASKS_AS_SCRIPT)
    assert problem.status_code == status
    assert problem.get_json()["type"] == f"/problems/{slug}"


def test_no_file_at_all_is_refused(mo: Browser) -> None:
    assert mo.post("/try").status_code == 422


def test_a_file_above_the_cap_is_refused_before_it_is_read(
    app: APIFlask, settings: Settings, mo: Browser, Session: Sessions, blobs: Blobs, orders: Celery
) -> None:
    small = application.create(
        settings.model_copy(update={"max_bytes": 1000}), session_factory=Session, blobs=blobs, queue=orders
    )
    browser = Browser(small.test_client())
    browser.log_in("mo@example.org")
    answer = browser.drop(b"\xff\xd8\xff" + bytes(200_000))
    assert answer.status_code == 413
    assert "Too large" in answer.text
    assert left(Session, settings) == (0, 0, 0, 0)


def test_only_these_pages_may_show_the_browsers_own_file(mo: Browser, Session: Sessions) -> None:
    address = mo.drop(flagged.picture()).headers["Location"]
    for path in ("/try", address):
        assert "img-src 'self' blob: data:" in mo.get(path).headers["Content-Security-Policy"]
    for path in ("/queue", "/login"):
        assert "blob:" not in mo.get(path).headers["Content-Security-Policy"]


def test_an_image_goes_ahead_of_the_platforms(mo: Browser, Session: Sessions) -> None:
    mo.drop(flagged.picture(), name="../../etc/passwd")
    with Session.begin() as session:
        row = session.scalars(select(Submission)).one()
        assert (row.priority, row.person_id, row.platform_id, row.external_id) == (0, mo.person_id, None, None)


def test_the_form_field_must_be_a_file(mo: Browser) -> None:
    assert mo.post("/try", file="not a file").status_code == 422
    assert mo.client.post("/try", data={"csrf_token": mo.token(), "file": (io.BytesIO(b"x"), "")}).status_code == 422
