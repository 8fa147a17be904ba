"""What people see of a clip, and of what a file says of itself."""

import io
from collections.abc import Callable

import pytest
from PIL import Image
from sqlalchemy import select

from moderation import blobs as storage
from moderation.blobs import Blobs
from moderation.tables import Submission
from tests import flagged
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser
from tests.movies import clip, shades

FRAMES = [{"index": 10 * n, "time": n * 1.5, "score": 0.9 if n == 7 else 0.1} for n in range(12)]
FACES = [
    {"box": [10, 10, 40, 60], "score": frame["score"], "quality": {"size_px": 60.0}, "frame": frame["index"]}
    for frame in FRAMES
]


@pytest.fixture
def clip_flag(Session: Sessions, blobs: Blobs, platform_id: str) -> Callable[..., str]:
    """Puts a clip before people; returns its flag's id."""

    def _flag(**told: object) -> str:
        fields = {"frames": FRAMES, "faces": FACES, **told}
        return flagged.flag(Session, blobs, platform_id, clip(shades(30)), drawn=False, **fields)  # type: ignore[arg-type]

    return _flag


@pytest.fixture
def strip(Session: Sessions, blobs: Blobs) -> Callable[[], str]:
    """Draws the strip of the one clip there is; returns the id of its submission."""

    def _strip() -> str:
        with Session.begin() as session:
            row = session.scalars(select(Submission)).one()
        file = io.BytesIO()
        Image.new("RGB", (8 * 60, 45)).save(file, "WEBP")
        blobs.put(storage.strip_key(row.media_sha256 or ""), file)
        return row.id

    return _strip


def test_a_clips_flag_has_a_bar_for_each_frame_that_says_what_it_shows(
    mo: Browser, clip_flag: Callable[..., str]
) -> None:
    page = mo.get(f"/flags/{clip_flag()}").text
    assert "P(fake) of 12 frames, highest 0.90 at 0:10.5" in page
    assert page.count('<rect class="bar') == 12
    assert page.count('<rect class="bar shown"') == 1
    assert "<title>0:10.5: 0.90</title>" in page
    assert "px, 3 s, 30 frames" in page


def test_the_strip_names_the_frames_that_it_shows(
    mo: Browser, stranger: Browser, clip_flag: Callable[..., str], strip: Callable[[], str]
) -> None:
    flag_id = clip_flag()
    assert 'class="strip"' not in mo.get(f"/flags/{flag_id}").text
    sent = strip()
    page = mo.get(f"/flags/{flag_id}").text
    assert f"/media/{sent}/strip" in page
    assert "<li>0:10.5 <b>0.90</b></li>" in page
    assert mo.get(f"/media/{sent}/strip").mimetype == "image/webp"
    assert stranger.get(f"/media/{sent}/strip").status_code == 303


def test_a_still_has_no_timeline(mo: Browser, flag: Callable[..., str]) -> None:
    assert 'class="timeline"' not in mo.get(f"/flags/{flag()}").text


def test_an_answer_from_before_frames_had_times_is_still_shown(mo: Browser, clip_flag: Callable[..., str]) -> None:
    frames = [{"index": frame["index"], "score": frame["score"]} for frame in FRAMES]
    assert "highest 0.90 at frame 71" in mo.get(f"/flags/{clip_flag(frames=frames)}").text


def test_what_a_file_says_of_itself_is_shown_as_a_claim_and_escaped(mo: Browser, clip_flag: Callable[..., str]) -> None:
    hostile = "<script>alert(1)</script>"
    manifest = {
        "present": True, "valid": False, "state": "invalid", "issuer": hostile, "generator": hostile,
        "actions": ["c2pa.created"], "source_types": ["trainedAlgorithmicMedia"], "ai_generated": True,
    }  # fmt: skip
    trace = {"where": "exif:Software", "name": "Midjourney", "text": hostile}
    page = mo.get(f"/flags/{clip_flag(provenance={'c2pa': manifest, 'generator_metadata': [trace]})}").text
    assert hostile not in page
    assert page.count("&lt;script&gt;") == 3
    assert "Claims, easily written and easily lost" in page
    assert "they were changed after signing" in page
    assert "made by a model, in whole or in part" in page
    assert "The file itself says that a model made it" in page


def test_a_file_that_says_nothing_says_so(mo: Browser, flag: Callable[..., str]) -> None:
    assert "It says nothing." in mo.get(f"/flags/{flag()}").text
