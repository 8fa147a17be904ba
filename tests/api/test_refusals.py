"""What intake refuses, and by which name; nothing refused leaves a row or a blob."""

import io
import json
from typing import Any

import pytest
from celery import Celery
from PIL import Image
from sqlalchemy import func, select

from api import application
from moderation.blobs import Blobs
from moderation.settings import Settings
from moderation.tables import Media, Submission
from tests.api.conftest import Caller, Sessions, slug
from tests.conftest import jpeg
from tests.hostile.files import REFUSED


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_cannot_be_scored_is_refused(caller: Caller, Session: Sessions, what: str) -> None:
    refused = caller.send(REFUSED[what].body)
    assert (refused.status_code, slug(refused)) == REFUSED[what].door
    with Session() as session:
        assert session.scalar(select(func.count()).select_from(Submission)) == 0
        assert session.scalar(select(func.count()).select_from(Media)) == 0


def test_the_bytes_decide_what_a_file_is_and_its_name_goes_nowhere(caller: Caller, Session: Sessions) -> None:
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, "PNG")
    assert caller.send(file.getvalue(), name="../../etc/passwd.jpg").status_code == 202
    with Session() as session:
        assert session.scalars(select(Media.format)).all() == ["PNG"]


FIELDS: dict[str, dict[str, Any]] = {
    "context that is no JSON": {"context": "{"},
    "context that is no object": {"context": "[1]"},
    "context with a NUL": {"context": json.dumps({"note": "a\0b"})},
    "context with a NUL in a name": {"context": json.dumps({"a\0b": 1})},
    "context with half a surrogate pair": {"context": '{"note": "\\ud800"}'},
    "context with NaN": {"context": '{"x": NaN}'},
    "context with an infinite number": {"context": '{"x": 1e999}'},
    "context nested too deep": {"context": '{"a":' * 40 + "1" + "}" * 40},
    "context nested deeper than Python goes": {"context": '{"a":' + "[" * 5_000 + "]" * 5_000 + "}"},
    "context that is too long": {"context": json.dumps({"note": "x" * 16_384})},
    "an unknown priority": {"priority": "asap"},
    "an external_id that is too long": {"external_id": "x" * 256},
    "an external_id with a NUL": {"external_id": "a\0b"},
    "an external_id with a line break": {"external_id": "a\nb"},
    "an empty external_id": {"external_id": ""},
    "a field that nobody knows": {"colour": "red"},
}


@pytest.mark.parametrize("what", FIELDS)
def test_a_field_that_cannot_be_meant_is_refused_by_name(caller: Caller, what: str) -> None:
    refused = caller.send(**FIELDS[what])
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")
    assert list(refused.get_json()["errors"]) == list(FIELDS[what])


@pytest.mark.parametrize(
    "url",
    [
        "https://192.168.1.1/hook",
        "http://169.254.169.254/",
        "ftp://example.org/",
        "nonsense",
        "https://me:pw@example.org/",
    ],
)
def test_a_callback_into_a_private_network_is_refused(caller: Caller, url: str) -> None:
    refused = caller.send(callback_url=url)
    assert (refused.status_code, slug(refused)) == (422, "forbidden-address")


def test_a_callback_into_an_allowed_network_is_kept(caller: Caller, Session: Sessions) -> None:
    assert caller.send(callback_url="http://127.0.0.1:9/hook").status_code == 202
    with Session() as session:
        assert session.scalars(select(Submission.callback_url)).all() == ["http://127.0.0.1:9/hook"]


def test_a_request_without_a_file_is_refused(caller: Caller) -> None:
    refused = caller.client.post(
        "/v1/submissions", data={"priority": "bulk"}, headers=caller.headers, content_type="multipart/form-data"
    )
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")
    assert refused.get_json()["errors"] == {"file": ["is missing"]}


@pytest.mark.parametrize("name", ["file", "another"])
def test_a_second_file_is_refused(caller: Caller, name: str) -> None:
    files = [("file", (io.BytesIO(jpeg()), "a.jpg")), (name, (io.BytesIO(jpeg("blue")), "b.jpg"))]
    form: dict[str, Any] = {}
    for field, part in files:
        form.setdefault(field, []).append(part)
    refused = caller.client.post("/v1/submissions", data=form, headers=caller.headers)
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")
    assert list(refused.get_json()["errors"]) == [name]


def test_a_field_sent_twice_is_refused(caller: Caller) -> None:
    refused = caller.send(priority=["bulk", "urgent"])
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")


def test_a_file_sent_as_text_is_refused(caller: Caller) -> None:
    refused = caller.client.post(
        "/v1/submissions", data={"file": "AAAA"}, headers=caller.headers, content_type="multipart/form-data"
    )
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")


@pytest.mark.parametrize("content_type", ["text/json", "image/jpeg", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_no_form_is_refused(caller: Caller, content_type: str) -> None:
    refused = caller.client.post("/v1/submissions", data=b"{}", content_type=content_type, headers=caller.headers)
    assert (refused.status_code, slug(refused)) == (415, "unsupported-media-type")


@pytest.mark.parametrize("key", ["", "white space", "x" * 256, "\xe4"])
def test_an_idempotency_key_is_visible_ascii(caller: Caller, key: str) -> None:
    refused = caller.send(key=key)
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")


def test_a_file_may_be_as_large_as_the_limit_and_not_a_byte_larger(
    settings: Settings, Session: Sessions, blobs: Blobs, orders: Celery, caller: Caller
) -> None:
    body = jpeg()
    for limit, status in ((len(body), 202), (len(body) - 1, 413)):
        small = application.create(
            settings.model_copy(update={"max_bytes": limit}), session_factory=Session, blobs=blobs, queue=orders
        )
        answer = caller._replace(client=small.test_client()).send(body)
        assert answer.status_code == status
    assert slug(answer) == "too-large"
