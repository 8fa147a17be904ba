"""Who sees which image: nobody from outside, and nobody what is not before people."""

import io
from collections.abc import Callable

import pytest
from PIL import Image
from sqlalchemy import select

from moderation import acceptance, media
from moderation.acceptance import Draft
from moderation.blobs import Blobs
from moderation.tables import Submission
from tests import flagged
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser


@pytest.fixture
def sent(flag: Callable[..., str], Session: Sessions) -> str:
    """A submission that lies before people."""
    flag()
    with Session.begin() as session:
        return session.scalars(select(Submission.id)).one()


@pytest.mark.parametrize(("kind", "side"), [("preview", 320), ("thumbnail", 320)])
def test_a_flags_picture_is_shown_to_those_who_are_logged_in(mo: Browser, sent: str, kind: str, side: int) -> None:
    answer = mo.get(f"/media/{sent}/{kind}")
    assert (answer.status_code, answer.mimetype) == (200, "image/webp")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"].startswith("private")
    assert max(Image.open(io.BytesIO(answer.data)).size) == side


def test_a_stranger_sees_no_picture(stranger: Browser, sent: str) -> None:
    for kind in ("preview", "thumbnail"):
        answer = stranger.get(f"/media/{sent}/{kind}")
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith("/login")


def test_a_picture_that_is_not_before_people_is_nobodys(
    mo: Browser, Session: Sessions, blobs: Blobs, platform_id: str
) -> None:
    body = flagged.picture("white")
    facts = media.inspect(io.BytesIO(body), max_pixels=10**6, max_frames=1)
    with Session.begin() as session:
        row = acceptance.submit(session, blobs, Draft(platform_id=platform_id), facts, io.BytesIO(body))
        flagged.record(session, flagged.finding((320, 240), 0.02, "clear"))
    flagged.draw(blobs, facts.sha256, body)
    assert mo.get(f"/media/{row.id}/preview").status_code == 404


def test_the_uploaded_bytes_themselves_are_never_served(mo: Browser, sent: str) -> None:
    for kind in ("media", "original", "..%2Fmedia", ""):
        assert mo.get(f"/media/{sent}/{kind}").status_code == 404


@pytest.mark.parametrize("name", ["sub_" + "0" * 26, "0" * 64, "..", "x", "%00"])
def test_a_name_that_is_nobodys_is_not_found(mo: Browser, name: str) -> None:
    assert mo.get(f"/media/{name}/preview").status_code == 404


def test_a_thumbnail_that_is_not_made_yet_is_drawn_as_missing(
    mo: Browser, flag: Callable[..., str], Session: Sessions
) -> None:
    flag(drawn=False)
    with Session.begin() as session:
        sent = session.scalars(select(Submission.id)).one()
    answer = mo.get(f"/media/{sent}/thumbnail")
    assert (answer.status_code, answer.mimetype) == (404, "image/svg+xml")
    assert answer.headers["Cache-Control"] == "no-store"
    assert b"no preview yet" in answer.data


def test_a_digest_is_no_address_of_a_picture(mo: Browser, sent: str, Session: Sessions) -> None:
    with Session.begin() as session:
        sha256 = session.get_one(Submission, sent).media_sha256
    assert mo.get(f"/media/{sha256}/preview").status_code == 404
    page = mo.get("/queue").text
    assert f"/media/{sent}/thumbnail" in page
    assert str(sha256) not in page
