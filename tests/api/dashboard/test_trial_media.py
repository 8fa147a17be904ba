"""`/try` takes and refuses the same files as intake does, and reads the same facts off them."""

import io

import pytest
from sqlalchemy import select

from api import problems
from moderation import media
from moderation.settings import Settings
from moderation.tables import Media
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser
from tests.media.test_table import CASES, LIMITS, REFUSED, TAKEN

LARGEST = 400_000  # bytes: Werkzeug's test client leaves the file open that it builds a larger body in
SOME = [name for name in list(TAKEN)[::10] if len(CASES[name].body()) < LARGEST]  # of every kind
AT_THE_DOOR = [name for name, case in REFUSED.items() if case.says.door and len(case.body()) < LARGEST]


@pytest.mark.parametrize("name", SOME)
def test_a_file_that_is_tried_has_the_facts_that_intake_reads(
    mo: Browser, Session: Sessions, settings: Settings, name: str
) -> None:
    content = CASES[name].body()
    facts = media.inspect(io.BytesIO(content), **LIMITS)
    assert mo.drop(content).status_code == 303
    with Session.begin() as session:
        row = session.scalars(select(Media)).one()
        found = (row.sha256, row.format, row.width, row.height, row.frames)
    assert found == (facts.sha256, facts.format, facts.width, facts.height, facts.frames)


@pytest.mark.parametrize("name", AT_THE_DOOR)
def test_a_file_that_intake_refuses_is_refused_alike(mo: Browser, Session: Sessions, name: str) -> None:
    case = CASES[name]
    refused = mo.drop(case.body())
    assert refused.status_code in {413, 415, 422}
    known = problems.CATALOGUE.get(case.says.door or "")
    assert known is None or known.status == refused.status_code
    with Session.begin() as session:
        assert session.scalars(select(Media)).all() == []
