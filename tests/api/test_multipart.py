"""Bodies that lie, stop, or never end: refused while they stream, with memory flat."""

import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from werkzeug.test import EnvironBuilder, TestResponse

from api import application, multipart
from moderation.blobs import Blobs
from moderation.settings import Settings
from tests.api.conftest import Caller, Sessions, slug
from tests.conftest import jpeg

HEAD = b'--line\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
TAIL = b"\r\n--line--\r\n"
LIMIT = 3_000_000


class Endless(io.RawIOBase):
    """A body that goes on until ``total`` bytes were read, made while it is read."""

    def __init__(self, total: int) -> None:
        self.left, self.head = total, HEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self.left)
        made = (self.head + b"\xff" * count)[:count]
        self.head = self.head[count:]
        buffer[:count] = made
        self.left -= count
        return count


@pytest.fixture
def narrow(settings: Settings, Session: Sessions, blobs: Blobs, orders: Celery, caller: Caller) -> Caller:
    """The caller, at an installation that takes 3 MB."""
    app = application.create(
        settings.model_copy(update={"max_bytes": LIMIT}), session_factory=Session, blobs=blobs, queue=orders
    )
    return caller._replace(client=app.test_client())


def post(caller: Caller, stream: Any, **environ: Any) -> TestResponse:
    raw = {"wsgi.input": stream, "CONTENT_TYPE": "multipart/form-data; boundary=line", **environ}
    builder = EnvironBuilder(path="/v1/submissions", method="POST", headers=caller.headers, environ_overrides=raw)
    return caller.client.open(builder)


def test_a_length_above_the_cap_is_refused_before_the_first_byte(narrow: Caller) -> None:
    body = Endless(0)
    refused = post(narrow, body, CONTENT_LENGTH=str(LIMIT + multipart.FORM_BYTES + 1))
    assert (refused.status_code, slug(refused)) == (413, "too-large")
    assert body.head == HEAD


def test_a_stream_without_a_length_is_refused_as_soon_as_it_passes_the_cap(narrow: Caller) -> None:
    body = Endless(20 * LIMIT)
    refused = post(narrow, body, HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True})
    assert (refused.status_code, slug(refused)) == (413, "too-large")
    assert body.left > 15 * LIMIT


def test_a_stream_without_a_length_is_accepted_below_the_cap(narrow: Caller) -> None:
    body = io.BytesIO(HEAD + jpeg() + TAIL)
    accepted = post(narrow, body, HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True})
    assert accepted.status_code == 202


def test_a_length_beyond_the_body_is_refused(narrow: Caller) -> None:
    body = HEAD + jpeg() + TAIL
    refused = post(narrow, io.BytesIO(body), CONTENT_LENGTH=str(len(body) + 100))
    assert (refused.status_code, slug(refused)) == (400, "bad-request")


def test_a_length_short_of_the_body_is_refused(narrow: Caller) -> None:
    body = HEAD + jpeg() + TAIL
    refused = post(narrow, io.BytesIO(body), CONTENT_LENGTH=str(len(body) - 100))
    assert (refused.status_code, slug(refused)) == (400, "bad-request")


def test_a_form_without_a_boundary_is_refused(narrow: Caller) -> None:
    refused = narrow.client.post(
        "/v1/submissions", data=b"x", content_type="multipart/form-data", headers=narrow.headers
    )
    assert (refused.status_code, slug(refused)) == (400, "bad-request")


def test_a_crowd_of_parts_is_refused(narrow: Caller) -> None:
    refused = narrow.send(**{f"field{number}": "x" for number in range(50)})
    assert (refused.status_code, slug(refused)) == (413, "too-large")


def test_a_text_field_cannot_be_used_to_fill_memory(narrow: Caller) -> None:
    refused = narrow.send(context="x" * (multipart.TEXT_BYTES + 1))
    assert (refused.status_code, slug(refused)) == (413, "too-large")


@pytest.fixture
def measured() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_a_large_file_is_not_held_in_memory(caller: Caller, measured: None) -> None:
    size = 40_000_000
    caller.send()  # whatever is imported or cached at first
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    refused = post(caller, Endless(size), CONTENT_LENGTH=str(size))
    assert refused.status_code == 400  # it has no closing line
    assert tracemalloc.get_traced_memory()[1] - before < 5_000_000
