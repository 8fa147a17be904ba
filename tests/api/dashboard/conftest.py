"""People in front of the dashboard: each with a browser of their own that fills in forms as a page offers them."""

import io
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from apiflask import APIFlask
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from moderation import audit, people, platforms
from moderation.blobs import Blobs
from tests import flagged
from tests.api.conftest import Sessions
from tests.conftest import PASSWORD

TOKEN = re.compile(r'<meta name="csrf-token" content="([^"]+)"')


class Browser(NamedTuple):
    """Somebody's browser; ``person_id`` is theirs once they are logged in."""

    client: FlaskClient
    person_id: str = ""

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **options)

    def token(self) -> str:
        found = TOKEN.search(self.get("/login", follow_redirects=True).text)
        assert found
        return found[1]

    def post(self, path: str, *, headers: dict[str, str] | None = None, **form: Any) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.token(), **form}, headers=headers or {})

    def log_in(self, email: str, password: str = PASSWORD, **fields: str) -> TestResponse:
        return self.post("/login", email=email, password=password, **fields)

    def drop(self, body: bytes, name: str = "me.jpg", **options: Any) -> TestResponse:
        return self.post("/try", file=(io.BytesIO(body), name), **options)


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 as ever, but with little memory: these tests log in hundreds of times."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    decoy = cheap.hash("nobody")
    monkeypatch.setattr(people, "_hasher", cheap)
    monkeypatch.setattr(people, "_decoy", lambda: decoy)


@pytest.fixture
def stranger(app: APIFlask) -> Browser:
    return Browser(app.test_client())


@pytest.fixture
def hire(app: APIFlask, Session: Sessions) -> Callable[..., Browser]:
    """Makes an account and logs it in: ``hire("mo@example.org", "lead")``."""

    def _hire(email: str, role: str = "moderator") -> Browser:
        with Session.begin() as session:
            person_id = people.create(session, email, role, PASSWORD).id
        browser = Browser(app.test_client(), person_id)
        assert browser.log_in(email).status_code == 303
        return browser

    return _hire


@pytest.fixture
def mo(hire: Callable[..., Browser]) -> Browser:
    return hire("mo@example.org")


@pytest.fixture
def ben(hire: Callable[..., Browser]) -> Browser:
    return hire("ben@example.org")


@pytest.fixture
def lea(hire: Callable[..., Browser]) -> Browser:
    return hire("lea@example.org", "lead")


@pytest.fixture
def platform_id(Session: Sessions) -> str:
    with Session.begin() as session:
        return platforms.create(session, "Chirper").platform.id


@pytest.fixture
def flag(Session: Sessions, blobs: Blobs, platform_id: str) -> Callable[..., str]:
    """Puts a picture before people and returns the flag's id; each has other bytes, and the score that is given."""

    def _flag(score: float = 0.91, **told: Any) -> str:
        body = told.pop("body", None) or flagged.picture(f"#{round(score * 0xFFFF):04x}77")
        return flagged.flag(Session, blobs, platform_id, body, score=score, **told)

    return _flag


@pytest.fixture
def actions(Session: Sessions) -> Callable[[str], list[str]]:
    """The audit trail of one subject as words, oldest first."""

    def _actions(subject: str) -> list[str]:
        with Session.begin() as session:
            return [row.action for row in audit.page(session, subject)][::-1]

    return _actions
