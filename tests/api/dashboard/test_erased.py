"""What somebody is looking at is erased: pages and scripts say so, and nothing of it is shown or decided any more."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from moderation import erasure, platforms
from moderation.blobs import Blobs
from moderation.tables import Flag, Submission
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser


@pytest.fixture
def vanish(Session: Sessions, blobs: Blobs) -> Callable[[str], str]:
    """Erases what a flag is about; returns the id of its submission."""

    def _vanish(flag_id: str) -> str:
        with Session.begin() as session:
            row = session.get_one(
                Submission, session.scalars(select(Flag.submission_id).where(Flag.id == flag_id)).one()
            )
            erasure.ask(session, row.id)
        return row.id

    return _vanish


@pytest.mark.parametrize("step", ["claim", "heartbeat", "release", "skip", "decision", "undo"])
def test_a_flag_that_is_gone_is_a_page_that_says_so(
    mo: Browser, flag: Callable[..., str], vanish: Callable[[str], str], step: str
) -> None:
    flag_id = flag()
    assert mo.post(f"/flags/{flag_id}/claim").status_code == 303
    sent = vanish(flag_id)
    page = mo.post(f"/flags/{flag_id}/{step}", answer="fake", note="mine")
    assert page.status_code == 404
    assert "erased" in page.text
    assert 'href="/queue"' in page.text
    assert mo.get(f"/flags/{flag_id}").status_code == 404
    for kind in ("preview", "thumbnail"):  # though the blobs are still there
        assert mo.get(f"/media/{sent}/{kind}").status_code == 404
    assert flag_id not in mo.get("/queue").text


def test_a_script_that_keeps_a_claim_alive_is_told(
    mo: Browser, flag: Callable[..., str], vanish: Callable[[str], str]
) -> None:
    flag_id = flag()
    mo.post(f"/flags/{flag_id}/claim")
    vanish(flag_id)
    answer = mo.post(f"/flags/{flag_id}/heartbeat", headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert "erased" in answer.get_json()["detail"]


def test_a_flag_shows_the_platforms_band_and_tells_of_the_detectors(
    mo: Browser, flag: Callable[..., str], Session: Sessions, platform_id: str
) -> None:
    with Session.begin() as session:
        platforms.change_policy(session, platform_id, {"thresholds": {"review": 0.1, "fake": 0.2}})
    page = mo.get(f"/flags/{flag(0.5, band='clear')}").text
    assert "its own band is clear, the platform&#39;s policy says fake" in page or (
        "its own band is clear, the platform's policy says fake" in page
    )
