"""The web on real engines: an application, a platform whose key it knows, and short words for what tests do."""

import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple

import pytest
from apiflask import APIFlask
from celery import Celery
from flask.testing import FlaskClient
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker
from werkzeug.test import TestResponse

from api import application
from api.bell import Bell
from moderation import detectors, platforms, queue, submissions, verdicts
from moderation.blobs import Blobs
from moderation.settings import Settings
from moderation.verdicts import Finding
from tests.conftest import jpeg

Sessions = sessionmaker[OrmSession]
DETECTOR = ("unmask", "1.0.0")


class Caller(NamedTuple):
    """A platform as the API meets it."""

    platform_id: str
    api_key: str
    client: FlaskClient

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.client.get(path, query_string=query, headers=self.headers)

    def post(self, path: str, body: Any, *, key: str | None = None) -> TestResponse:
        """Posts JSON."""
        headers = self.headers | ({"Idempotency-Key": key} if key is not None else {})
        return self.client.post(path, data=json.dumps(body), content_type="application/json", headers=headers)

    def delete(self, path: str) -> TestResponse:
        return self.client.delete(path, headers=self.headers)

    def send(
        self, body: bytes | None = None, *, name: str = "photo.jpg", key: str | None = None, **fields: Any
    ) -> TestResponse:
        """Posts a picture; ``fields`` are further parts, and ``key`` the Idempotency-Key."""
        headers = self.headers | ({"Idempotency-Key": key} if key is not None else {})
        form = {"file": (io.BytesIO(jpeg() if body is None else body), name), **fields}
        answer = self.client.post("/v1/submissions", data=form, headers=headers, content_type="multipart/form-data")
        answer.request.environ["wsgi.input"].close()  # werkzeug keeps a large body in a file that it leaves open
        return answer


class AtOnce(Executor):
    """Runs what it is given before it returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@pytest.fixture
def orders(redis_url: str) -> Iterator[Celery]:
    """The queue, empty before and after."""
    app = queue.application(redis_url)
    _empty(app)
    yield app
    _empty(app)
    app.close()


def _empty(app: Celery) -> None:
    with app.connection_for_write() as connection:
        connection.default_channel.client.flushdb()


@pytest.fixture
def blobs(blobs: Blobs) -> Blobs:
    blobs.prepare()
    return blobs


@pytest.fixture
def app(settings: Settings, Session: Sessions, blobs: Blobs, orders: Celery) -> APIFlask:
    bell = Bell(orders, settings.lane_orders, pool=AtOnce())  # what a test reads of the queue was rung before
    return application.create(settings, session_factory=Session, blobs=blobs, queue=orders, bell=bell)


@pytest.fixture
def enrol(app: APIFlask, Session: Sessions) -> Callable[[str], Caller]:
    def _enrol(name: str) -> Caller:
        with Session.begin() as session:
            new = platforms.create(session, name)
        return Caller(new.platform.id, new.api_key, app.test_client())

    return _enrol


@pytest.fixture
def caller(enrol: Callable[[str], Caller]) -> Caller:
    return enrol("Chirper")


@pytest.fixture
def score(Session: Sessions) -> Callable[[], str]:
    """Judges the next submission in the line, as a worker would; returns its id."""

    def _score() -> str:
        found = Finding(
            score=0.93,
            band="fake",
            reasons=["blend_boundary"],
            width=64,
            height=48,
            ms=12.5,
            faces=[{"box": [8, 6, 20, 22], "score": 0.93, "quality": {"sharpness": 41.0}, "frame": 0}],
        )
        with Session.begin() as session:
            detectors.started(session, *DETECTOR)
            claim = submissions.claim(session, limit=1, lease_seconds=60)
            (row,) = claim.submissions
            assert verdicts.record(session, claim.lease, row.id, DETECTOR, found)
            return row.id

    return _score


def slug(response: TestResponse) -> str:
    """Returns which problem a response tells of, once everything that a problem must have is there."""
    assert response.mimetype == "application/problem+json"
    problem = response.get_json()
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["X-Request-Id"]
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"].startswith("/")
    return str(problem["type"]).removeprefix("/problems/")
