"""A temporary disk that is full, or away, is 503: nothing was accepted, and the same request may work later."""

import errno
import io
import os
from typing import Any

import pytest
from apiflask import APIFlask
from sqlalchemy import func, select

from api import spools
from api.spools import Spool
from moderation.errors import WorldDown
from moderation.tables import Submission
from tests.api.conftest import Caller, Sessions, slug
from tests.conftest import jpeg

LARGE = jpeg() + bytes(spools.MEMORY_BYTES)
TROUBLE = [errno.ENOSPC, errno.EROFS, errno.ENOENT]


@pytest.fixture(params=TROUBLE, ids=errno.errorcode.get)
def full(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def rollover(_self: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", rollover)


@pytest.mark.usefixtures("full")
def test_an_upload_that_finds_no_room_is_told_to_come_again(caller: Caller, Session: Sessions) -> None:
    refused = caller.send(LARGE)
    assert (refused.status_code, slug(refused)) == (503, "world-down")
    assert int(refused.headers["Retry-After"]) > 0
    assert os.strerror(errno.ENOSPC) not in refused.text  # the operator's log says why
    with Session() as session:
        assert session.scalar(select(func.count()).select_from(Submission)) == 0
    assert caller.send(jpeg()).status_code == 202  # what fits into memory needs no room


@pytest.mark.usefixtures("full")
def test_the_dashboard_says_one_moment(app: APIFlask, Session: Sessions) -> None:
    from moderation import people
    from tests.api.dashboard.conftest import Browser
    from tests.conftest import PASSWORD

    with Session.begin() as session:
        people.create(session, "mo@example.org", "moderator", PASSWORD)
    browser = Browser(app.test_client())
    browser.log_in("mo@example.org")
    assert browser.drop(LARGE).status_code == 503


def test_with_room_the_same_upload_is_taken(caller: Caller) -> None:
    assert caller.send(LARGE).status_code == 202


class Full(io.BytesIO):
    def write(self, *_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    flush = seek = write  # type: ignore[assignment]


def test_each_way_to_write_says_so() -> None:
    for step in (lambda file: file.write(b"x"), lambda file: file.flush(), lambda file: file.seek(0)):
        with Spool() as spool:
            spool._file = Full()
            with pytest.raises(WorldDown, match="no room"):
                step(spool)
            assert spool.closed
