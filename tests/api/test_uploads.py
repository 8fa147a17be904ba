"""Uploads: announced, put to a signed address with exactly the bytes announced, and submitted by their id."""

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from apiflask import APIFlask
from celery import Celery
from sqlalchemy import func, update
from werkzeug.test import TestResponse

from api import application
from moderation import blobs as storage
from moderation import platforms, uploads
from moderation.blobs import Blobs
from moderation.settings import Settings
from moderation.tables import Submission, Upload
from tests.api.conftest import Caller, Sessions, slug
from tests.conftest import jpeg

BODY = jpeg()


def announce(caller: Caller, size: int = len(BODY)) -> dict[str, Any]:
    answer = caller.post("/v1/uploads", {"filename": "a.jpg", "bytes": size, "content_type": "image/jpeg"})
    assert answer.status_code == 201
    found: dict[str, Any] = answer.get_json()
    return found


def sent(caller: Caller, url: str, body: bytes = BODY) -> TestResponse:
    return caller.client.put(url, data=body, content_type="image/jpeg")


def test_a_file_is_announced_put_and_submitted(caller: Caller, blobs: Blobs, Session: Sessions) -> None:
    told = announce(caller)
    assert told["url"].startswith(f"http://127.0.0.1:8000/v1/uploads/{told['upload_id']}?expires=")
    assert told["headers"] == {"Content-Type": "image/jpeg"}
    early = caller.post("/v1/submissions", {"upload_id": told["upload_id"]})
    assert (early.status_code, slug(early)) == (409, "upload-missing")
    assert sent(caller, told["url"]).status_code == 204
    assert blobs.read(storage.upload_key(told["upload_id"])) == BODY
    first = caller.post("/v1/submissions", {"upload_id": told["upload_id"], "external_id": "post-1"})
    again = caller.post("/v1/submissions", {"upload_id": told["upload_id"]})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.get_json()["state"] == "fetching"
    with Session() as session:
        row = session.get_one(Submission, first.get_json()["id"])
        assert row.origin == {"upload_id": told["upload_id"]}


def test_putting_again_replaces_what_is_there(caller: Caller, blobs: Blobs) -> None:
    told = announce(caller, 5)
    assert sent(caller, told["url"], b"first").status_code == 204
    assert sent(caller, told["url"], b"again").status_code == 204
    assert blobs.read(storage.upload_key(told["upload_id"])) == b"again"


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [(b"four", 400, "bad-request"), (b"sixsix", 413, "too-large"), (b"", 400, "bad-request")],
)
def test_any_other_number_of_bytes_is_refused(
    caller: Caller, blobs: Blobs, body: bytes, status: int, problem: str
) -> None:
    told = announce(caller, 5)
    for length in (str(len(body)), None):  # None: chunked, so that only the bytes themselves tell
        environ = {"wsgi.input_terminated": True} if length is None else {"CONTENT_LENGTH": length}
        path = told["url"].removeprefix("http://127.0.0.1:8000")
        answer = caller.client.open(
            path, method="PUT", input_stream=io.BytesIO(body), content_type="image/jpeg", environ_overrides=environ
        )
        assert (answer.status_code, slug(answer)) == (status, problem)
    assert not blobs.exists(storage.upload_key(told["upload_id"]))


def test_a_body_shorter_than_it_says_leaves_what_was_there(caller: Caller, blobs: Blobs) -> None:
    told = announce(caller, 5)
    assert sent(caller, told["url"], b"first").status_code == 204
    answer = caller.client.open(
        told["url"].removeprefix("http://127.0.0.1:8000"),
        method="PUT",
        input_stream=io.BytesIO(b"lie"),
        environ_overrides={"CONTENT_LENGTH": "5"},
    )
    assert (answer.status_code, slug(answer)) == (400, "bad-request")
    assert blobs.read(storage.upload_key(told["upload_id"])) == b"first"


def test_the_address_is_good_for_one_upload_until_it_expires(caller: Caller, Session: Sessions) -> None:
    told, other = announce(caller), announce(caller, len(BODY) + 1)
    query = parse_qs(urlsplit(told["url"]).query)
    expires, signature = query["expires"][0], query["signature"][0]
    forged = [
        (other["upload_id"], expires, signature),
        (told["upload_id"], str(int(expires) + 60), signature),
        (told["upload_id"], expires, "0" * 64),
        ("upl_" + "0a" * 13, expires, signature),
    ]
    for upload_id, until, code in forged:
        refused = sent(caller, f"/v1/uploads/{upload_id}?expires={until}&signature={code}")
        assert (refused.status_code, slug(refused)) == (403, "bad-upload-url")
    for query_string in (
        "",
        f"?expires={expires}",
        f"?expires=x&signature={signature}",
        f"?expires={expires}&signature=%00",
    ):
        refused = sent(caller, f"/v1/uploads/{told['upload_id']}{query_string}")
        assert (refused.status_code, slug(refused)) == (422, "invalid-request")
    assert sent(caller, told["url"]).status_code == 204
    with Session.begin() as session:
        session.execute(update(Upload).values(expires_at=func.now() - timedelta(seconds=1)))
    assert sent(caller, told["url"]).status_code == 403
    late = caller.post("/v1/submissions", {"upload_id": told["upload_id"]})
    assert (late.status_code, slug(late)) == (404, "not-found")


def test_an_upload_is_its_platforms_own(caller: Caller, enrol: Callable[[str], Caller]) -> None:
    told = announce(caller)
    sent(caller, told["url"])
    stolen = enrol("Rival").post("/v1/submissions", {"upload_id": told["upload_id"]})
    assert (stolen.status_code, slug(stolen)) == (404, "not-found")


def test_a_used_upload_is_told_from_one_that_never_was(caller: Caller, blobs: Blobs, Session: Sessions) -> None:
    told = announce(caller)
    sent(caller, told["url"])
    link = caller.post("/v1/submissions", {"upload_id": told["upload_id"]}, key="k").headers["Location"]
    assert caller.delete(link).status_code == 204
    with Session.begin() as session:
        uploads.spend(session, blobs, told["upload_id"])
    spent = caller.post("/v1/submissions", {"upload_id": told["upload_id"]})
    assert (spent.status_code, slug(spent)) == (409, "upload-missing")
    replayed = caller.post("/v1/submissions", {"upload_id": told["upload_id"]}, key="k")
    assert (replayed.status_code, replayed.headers["Idempotent-Replayed"]) == (202, "true")


@pytest.mark.parametrize(
    "form",
    [
        {"bytes": 0, "content_type": "image/jpeg"},
        {"bytes": -1, "content_type": "image/jpeg"},
        {"bytes": "5", "content_type": "image/jpeg"},
        {"bytes": 5.5, "content_type": "image/jpeg"},
        {"bytes": True, "content_type": "image/jpeg"},
        {"bytes": 5, "content_type": "image"},
        {"bytes": 5, "content_type": "image/jpeg\r\nX-Evil: 1"},
        {"bytes": 5},
        {"bytes": 5, "content_type": "image/jpeg", "filename": "\0"},
        {"bytes": 5, "content_type": "image/jpeg", "more": 1},
    ],
)
def test_what_is_announced_is_checked(caller: Caller, form: dict[str, object]) -> None:
    refused = caller.post("/v1/uploads", form)
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")


def test_a_file_above_the_limit_is_refused_before_it_is_sent(caller: Caller, settings: Settings) -> None:
    refused = caller.post("/v1/uploads", {"bytes": settings.max_bytes + 1, "content_type": "image/jpeg"})
    assert (refused.status_code, slug(refused)) == (413, "too-large")


@pytest.fixture
def bucket(aws: str) -> Blobs:
    boto3.client("s3").create_bucket(Bucket="unmask")
    return storage.connect("s3://unmask/media")


def test_a_bucket_takes_the_bytes_itself(settings: Settings, Session: Sessions, bucket: Blobs, orders: Celery) -> None:
    app: APIFlask = application.create(settings, session_factory=Session, blobs=bucket, queue=orders)
    with Session.begin() as session:
        new = platforms.create(session, "Chirper")
    caller = Caller(new.platform.id, new.api_key, app.test_client())
    told = announce(caller)
    assert caller.post("/v1/submissions", {"upload_id": told["upload_id"]}).status_code == 409
    assert httpx.put(told["url"], content=BODY, headers=told["headers"]).status_code == 200
    assert bucket.read(storage.upload_key(told["upload_id"])) == BODY
    assert caller.post("/v1/submissions", {"upload_id": told["upload_id"]}).status_code == 202


@pytest.mark.parametrize(
    ("named", "base"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"public_url": "https://unmask.example/"}, "https://unmask.example"),
        ({"host": "0.0.0.0", "port": 80}, "http://127.0.0.1:80"),
        ({"host": "::1", "port": 8001}, "http://[::1]:8001"),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:1", "X-Forwarded-Host": "worse.example"},
        {"Forwarded": "host=x"},
    ],
)
def test_no_header_chooses_where_a_file_goes(
    settings: Settings,
    Session: Sessions,
    blobs: Blobs,
    orders: Celery,
    named: dict[str, Any],
    base: str,
    headers: dict[str, str],
) -> None:
    app = application.create(settings.model_copy(update=named), session_factory=Session, blobs=blobs, queue=orders)
    with Session.begin() as session:
        made = platforms.create(session, "Chirper")
    answer = app.test_client().post(
        "/v1/uploads",
        json={"filename": "a.jpg", "bytes": 5, "content_type": "image/jpeg"},
        headers={"Authorization": f"Bearer {made.api_key}", **headers},
    )
    assert answer.get_json()["url"].startswith(f"{base}/v1/uploads/upl_")
