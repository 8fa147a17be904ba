"""What is fetched is known by the same facts, and refused by the same slugs, as what is sent."""

import io
from functools import partial

import pytest

from moderation import acceptance, media
from moderation.acceptance import Draft
from moderation.errors import BadMedia
from moderation.tables import Media, Submission
from tests.media.cases import Refused
from tests.media.table import CASES
from tests.worker.pages import saying, serving
from worker import fetching
from worker.fetching import Dock

LIMITS = {"max_pixels": 10**7, "max_frames": 100}
NAMES = [
    "two tracks, the first switched off", "a matrix transposed", "pixels of 64:45", "two seconds behind the fifth",
    "wide pixels in WebM", "JPEG of EXIF 6", "AVIF cut to its left half, then turned", "HEIC that calls itself miaf",
    "DNG that was held upright", "PNG with text of 3 MB", "JPEG without its end", "motion photo",
    "nine tracks", "DNG with a thumbnail alone", "PNG with 20,000 texts", "ICO of two sizes",
]  # fmt: skip


@pytest.fixture
def dock(Session, blobs):
    inspect = partial(media.inspect, **LIMITS)
    return Dock(Session, blobs, inspect, 20_000_000, 20, 2, 60, allowed_networks=("127.0.0.1/32",))


def test_what_is_fetched_is_what_was_sent(Session, dock, home):
    bodies = {name: CASES[name].body() for name in NAMES}
    rows = {}
    with serving({f"/{number}": saying(200, bodies[name]) for number, name in enumerate(NAMES)}) as (port, _):
        for number, name in enumerate(NAMES):
            with Session.begin() as session:
                origin = {"url": f"http://127.0.0.1:{port}/{number}"}
                rows[name] = acceptance.expect(session, Draft(platform_id=home), origin).id
        fetching.run(dock, budget_seconds=30)
    for name, row_id in rows.items():
        with Session() as session:
            row = session.get_one(Submission, row_id)
            if isinstance(CASES[name].says, Refused):
                with pytest.raises(BadMedia) as refusal:
                    media.inspect(io.BytesIO(bodies[name]), **LIMITS)
                assert (row.state, row.failure_slug) == ("failed", refusal.value.slug), name
            else:
                facts = media.inspect(io.BytesIO(bodies[name]), **LIMITS)
                kept = session.get_one(Media, row.media_sha256)
                assert row.state == "waiting", name
                assert {field: getattr(kept, field) for field in ("width", "height", "frames", "seconds")} == {
                    field: getattr(facts, field) for field in ("width", "height", "frames", "seconds")
                }, name
