"""Where storing takes long, no connection is held meanwhile, and what is going to be refused is not stored first."""

from pathlib import Path

import pytest
from celery import Celery
from sqlalchemy import Engine

from api import application
from moderation import platforms
from moderation.settings import Settings
from moderation.tables import Platform
from tests.api.conftest import Caller, Sessions, slug
from tests.conftest import jpeg
from tests.far import Far


@pytest.fixture
def far(tmp_path: Path, engine: Engine) -> Far:
    store = Far(tmp_path / "far", engine)
    store.prepare()
    return store


@pytest.fixture
def caller(settings: Settings, Session: Sessions, far: Far, orders: Celery) -> Caller:
    app = application.create(settings, session_factory=Session, blobs=far, queue=orders)
    with Session.begin() as session:
        new = platforms.create(session, "Chirper")
    return Caller(new.platform.id, new.api_key, app.test_client())


def test_no_connection_is_held_while_bytes_are_stored(caller: Caller, far: Far) -> None:
    assert caller.send(jpeg("red")).status_code == 202
    assert caller.send(jpeg("blue"), key="k-1").status_code == 202
    assert far.held == [0, 0]


def test_a_request_that_was_answered_before_stores_nothing(caller: Caller, far: Far) -> None:
    first = caller.send(key="k-1").get_json()
    assert caller.delete(first["links"]["self"]).status_code == 204
    again = caller.send(key="k-1")
    assert (again.get_json()["id"], again.get_json()["state"]) == (first["id"], "deleted")
    assert len(far.held) == 1
    assert not far.exists(f"media/{first['sha256']}")


def test_what_is_refused_is_not_stored_first(caller: Caller, far: Far, Session: Sessions) -> None:
    caller.send(jpeg("red"), key="k-1")
    assert slug(caller.send(jpeg("blue"), key="k-1")) == "idempotency-key-reused"
    with Session.begin() as session:
        session.get_one(Platform, caller.platform_id).policy = {"callback_hosts": ["chirper.example"]}
    assert slug(caller.send(jpeg("green"), callback_url="http://127.0.0.1:9/hook")) == "callback-not-allowed"
    assert len(far.held) == 1
