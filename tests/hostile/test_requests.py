"""Requests that lie about their length, hide a second request, or name what they should not: each has its answer, and
the service is well afterwards.
"""

import json

import pytest

from moderation import platforms
from tests.conftest import jpeg
from tests.hostile import wire

LINE = b"----edge"
KEY = b"{key}"


def form(body, *, field="file", name="a.jpg"):
    return (
        b"--" + LINE + f'\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode() + body
        + b"\r\n--" + LINE + b"--\r\n"
    )  # fmt: skip


def post(body, *headers, length=None, path=b"/v1/submissions", kind=b"multipart/form-data; boundary=" + LINE):
    """A POST as bytes; `length` None tells the truth, empty says nothing."""
    told = b"Content-Length: %d" % len(body) if length is None else length
    lines = [
        b"POST " + path + b" HTTP/1.1", b"Host: 127.0.0.1", b"Authorization: Bearer " + KEY,
        b"Content-Type: " + kind, told, b"Connection: close", *headers,
    ]  # fmt: skip
    return b"\r\n".join(line for line in lines if line) + b"\r\n\r\n" + body


SOUND = form(jpeg())
PART = b"--" + LINE + b'\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
HIDDEN = b"GET /v1/submissions HTTP/1.1\r\nHost: h\r\n\r\n"


def chunked(body):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


# what is sent, then the statuses of all answers; a second status would be an answer to a request that was smuggled in
REQUESTS = {
    "a sound one": (post(SOUND), [202]),
    "a sound one in pieces": (post(chunked(SOUND), length=b"Transfer-Encoding: chunked"), [202]),
    "a length that is too short": (post(SOUND, length=b"Content-Length: %d" % (len(SOUND) - 40)), [400]),
    "a length of zero": (post(SOUND, length=b"Content-Length: 0"), [400]),
    "a length that is negative": (post(SOUND, length=b"Content-Length: -1"), [400]),
    "a length with a sign": (post(SOUND, length=b"Content-Length: +5"), [400]),
    "a length that is no number": (post(SOUND, length=b"Content-Length: many"), [400]),
    "a length in hexadecimal": (post(SOUND, length=b"Content-Length: 0x10"), [400]),
    "two lengths": (post(SOUND, b"Content-Length: 5"), [400]),
    "no length": (post(SOUND, length=b""), [400]),
    "a length beyond the cap": (post(b"", length=b"Content-Length: 9999999999999"), [413]),
    "a length and pieces": (
        post(b"0\r\n\r\n" + HIDDEN, b"Transfer-Encoding: chunked", length=b"Content-Length: 5"), [400]),
    "pieces in another spelling": (
        post(b"0\r\n\r\n" + HIDDEN, b"Transfer-Encoding: xchunked", length=b"Content-Length: 5"), [400, 501]),
    "pieces said twice": (
        post(chunked(SOUND), b"Transfer-Encoding: identity", length=b"Transfer-Encoding: chunked"), [400]),
    "pieces with a blank before the colon": (post(chunked(SOUND), length=b"Transfer-Encoding : chunked"), [400]),
    "pieces of a length that is none": (post(b"zz\r\nhello\r\n0\r\n\r\n", length=b"Transfer-Encoding: chunked"), [400]),
    "pieces of a length beyond counting": (
        post(b"f" * 400 + b"\r\n", length=b"Transfer-Encoding: chunked"), [400]),
    "a header that goes on in the next line": (post(SOUND, b"X-One: a\r\n b"), [400]),
    "a header with a NUL": (post(SOUND, b"X-One: a\0b"), [400]),
    "a header with a lone line end": (post(SOUND, b"X-One: a\nAuthorization: Bearer x"), [400]),
    "a header without a name": (post(SOUND, b": a"), [400]),
    "a header without a colon": (post(SOUND, b"nonsense"), [400]),
    "a header of 64 kB": (post(SOUND, b"X-One: " + b"x" * 65_536), [431]),
    "a header of 9 kB": (post(SOUND, b"X-One: " + b"x" * 9_000), [431]),
    "a thousand headers": (post(SOUND, *[b"X-%d: a" % n for n in range(1_000)]), [431]),
    "a head that never ends": (b"GET / HTTP/1.1\r\n" + b"X-One: x\r\n" * 20_000, [431]),
    "a path of 64 kB": (post(SOUND, path=b"/" + b"x" * 65_536), [414]),
    "a path of 5 kB": (post(SOUND, path=b"/v1/submissions?" + b"x" * 5_000), [414]),
    "no host": (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", [400]),
    "an upload without a host": (post(SOUND).replace(b"Host: 127.0.0.1\r\n", b""), [400]),
    "two hosts": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", [400]),
    "a host with a path": (b"GET /healthz HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n", [400]),
    "a host with a user": (b"GET /healthz HTTP/1.1\r\nHost: a@b\r\nConnection: close\r\n\r\n", [400]),
    "an empty host": (b"GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", [200]),
    "a host with a port": (b"GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n", [200]),
    "no host in HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", [200]),
    "a path that climbs": (post(SOUND, path=b"/v1/../../etc/passwd"), [404, 405]),
    "a path with an escaped NUL": (post(SOUND, path=b"/v1/submissions/%00"), [404]),
    "a path that is an address": (post(SOUND, path=b"http://169.254.169.254/v1/submissions"), [202]),
    "no form at all": (post(SOUND, kind=b"text/plain"), [415]),
    "a form without a boundary": (post(SOUND, kind=b"multipart/form-data"), [400]),
    "a form with another boundary": (post(SOUND, kind=b"multipart/form-data; boundary=other"), [400]),
    "a boundary of a thousand bytes": (post(SOUND, kind=b"multipart/form-data; boundary=" + b"b" * 1_000), [400]),
    "a form that never ends": (post(SOUND[:-12]), [400]),
    "a part without a name": (post(SOUND.replace(b'; name="file"', b"")), [400, 422]),
    "a part with a NUL in its name": (post(form(jpeg(), field="fi\0le")), [422]),
    "a thousand parts": (post(PART * 1_000 + SOUND), [413]),
    "a part with a header of 1 MB": (
        post(SOUND.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n", 1)), [400, 413]),
    "JSON that is none": (post(b"{", kind=b"application/json"), [400, 422]),
    "JSON nested a hundred thousand times": (post(b"[" * 100_000, kind=b"application/json"), [400, 422]),
    "JSON with a number of a million digits": (
        post(b'{"url":' + b"9" * 1_000_000 + b"}", kind=b"application/json"), [400, 413, 422]),
    "JSON of 20 MB": (post(b'{"url":"' + b"x" * 20_000_000 + b'"}', kind=b"application/json"), [413]),
    "JSON in another alphabet": (post('{"url":"x"}'.encode("utf-16"), kind=b"application/json"), [400, 422]),
    "JSON with a name twice": (
        post(b'{"url":"https://example.org/a.jpg","url":"http://127.0.0.1/"}', kind=b"application/json"), [202, 422]),
    "no version": (b"GET /healthz\r\n\r\n", [400]),
    "a version to come": (b"GET /healthz HTTP/9.9\r\nHost: h\r\n\r\n", [400, 505]),
    "a method that nobody knows": (b"BREW /v1/submissions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", [405]),
    "TRACE": (b"TRACE /v1/submissions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", [405]),
    "CONNECT": (b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", [400, 404, 405]),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(engines, tmp_path_factory):
    """A gunicorn of its own, and how to reach it with a platform's key."""
    home = tmp_path_factory.mktemp("served")
    settings = {
        "UNMASK_DATABASE_URL": engines.database_url,
        "UNMASK_REDIS_URL": engines.redis_url,
        "UNMASK_MEDIA": f"file://{home / 'media'}",
        "UNMASK_SECRET_KEY": "not a secret, but long enough for tests",
        "UNMASK_MAX_BYTES": "5000000",
    }
    (home / "media").mkdir()
    with wire.served(home / "api.log", **settings) as port:
        yield port, home / "api.log"


@pytest.fixture
def key(Session):
    with Session.begin() as session:
        return platforms.create(session, "Chirper").api_key.encode()


@pytest.mark.parametrize("what", REQUESTS)
def test_each_request_gets_one_answer_and_the_service_is_well_afterwards(server, key, what):
    port, log = server
    before = len(log.read_text())
    request, expected = REQUESTS[what]
    answers = wire.exchange(port, request.replace(KEY, key), ends=what in ENDING)
    found = wire.statuses(answers)
    assert len(found) == 1, answers[:500]
    assert found[0] in expected
    assert wire.healthy(port)
    assert "Traceback" not in log.read_text()[before:]
    _told_as_a_problem(answers, found[0])


ENDING = {"a form that never ends", "pieces of a length beyond counting"}

PAGES = {404, 405}  # outside /v1 a page says so


def _told_as_a_problem(answers, status):
    if status >= 400 and status not in PAGES:
        head, _, body = answers.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        problem = json.loads(body)
        assert problem["type"].startswith("/problems/")
        assert problem["status"] == status
        assert problem["title"]
        assert problem["detail"]
        assert f"x-request-id: {problem['request_id']}" in head.decode().lower()


def test_what_follows_a_request_on_its_connection_is_a_request_of_its_own(server, key):
    port, _ = server
    request = post(SOUND).replace(KEY, key).replace(b"Connection: close\r\n", b"")
    answers = wire.exchange(port, request + b"GET /v1/submissions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert wire.statuses(answers) == [202, 401]


def test_a_file_of_the_limit_is_taken_and_one_byte_more_is_not(server, key):
    port, _ = server
    picture = jpeg()
    for size, status in ((5_000_000, 202), (5_000_001, 413)):
        body = form(picture + b"\0" * (size - len(picture)))
        assert wire.statuses(wire.exchange(port, post(body).replace(KEY, key))) == [status]


def test_what_is_no_request_is_not_waited_for(server):
    port, _ = server
    assert wire.statuses(wire.exchange(port, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", ends=True)) in ([], [400])
    assert wire.healthy(port)


def test_nobody_without_a_key_makes_us_read_a_body(server):
    port, _ = server
    answers = wire.exchange(port, post(b"x" * 1000, length=b"Content-Length: 4000000").replace(KEY, b"umk_wrong"))
    assert wire.statuses(answers) == [401]
