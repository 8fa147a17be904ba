import contextlib
import threading
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

import pytest

from moderation.addresses import Target
from tests.worker.pages import listening
from worker import connections, sending


@contextlib.contextmanager
def receiver(answer, context=None):
    """A server on loopback; ``answer(handler)`` writes whatever it likes. Yields its port and the requests it got."""
    got = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, dict(self.headers.items()), body.decode()))
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, *_):
            pass

    with listening(Receiver, context=context) as port:
        yield port, got


def saying(status, **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def target(port, path="/in?x=1", host="hooks.test", scheme="http"):
    return Target(f"{scheme}://{host}:{port}{path}", scheme, host, port, "127.0.0.1")


def post(port, timeout=10, **fields):
    return sending.post(target(port, **fields), "zoë", {"Content-Type": "application/json"}, timeout=timeout)


def test_the_request_names_the_host_and_goes_to_the_pinned_address():
    with receiver(saying(204)) as (port, got):
        assert post(port).is_success  # hooks.test resolves nowhere
    ((path, headers, body),) = got
    assert (path, headers["Host"], body) == ("/in?x=1", f"hooks.test:{port}", "zoë")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_failure_and_not_followed(status):
    with receiver(saying(200)) as (elsewhere, got), receiver(
        saying(status, Location=f"http://127.0.0.1:{elsewhere}/")
    ) as (port, _):  # fmt: skip
        answer = post(port)
    assert (answer.status, answer.is_success, got) == (status, False, [])


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("120", 120, 120),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Fri, 31 Dec 2099 23:59:59 GMT", 10**9, 10**10),
        ("soon", None, None),
        ("-5", None, None),
        ("²", None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header, least, most):
    response = SimpleNamespace(headers={"Retry-After": header})
    seconds = connections.retry_after(response)
    assert seconds is None if least is None else least <= seconds <= most


def drip(handler):
    """One byte of a header at a time, for ever: no single read ever times out."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        handler.wfile.write(b"z")
        handler.wfile.flush()
        threading.Event().wait(0.05)


def test_a_receiver_that_drips_its_answer_is_left_in_time():
    with receiver(drip) as (port, _):
        answer = post(port, timeout=0.5)
    assert answer.error == "no answer within 0.5 s"
    assert answer.status is None


def test_a_receiver_that_says_nothing_is_left_in_time():
    left = threading.Event()
    with receiver(lambda _: left.wait(30)) as (port, _):
        answer = post(port, timeout=0.3)
        left.set()
    assert answer.error == "no answer within 0.3 s"


def test_a_long_answer_is_not_read():
    def endless(handler):
        saying(200)(handler)
        while True:
            handler.wfile.write(b"z" * 65536)

    with receiver(endless) as (port, _):
        assert post(port).is_success


def test_nobody_there_and_nonsense_are_errors_in_words():
    with receiver(saying(200)) as (port, _):
        pass
    assert "refused" in post(port).error.lower()
    with receiver(lambda handler: handler.wfile.write(b"\0\0\0\r\n\r\n")) as (port, _):
        assert "BadStatusLine" in post(port).error


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n" + b"X-Long: z\r\n" * 9000, b"HTTP/1.1 100 Continue\r\n\r\n" * 9000]
)
def test_an_endless_head_is_not_kept(head):
    with receiver(lambda handler: handler.wfile.write(head)) as (port, _):
        assert "LineTooLong" in post(port).error or "more than 100" in post(port).error


@pytest.fixture
def tls_receiver(tls):
    names = []
    tls.sni_callback = lambda _, name, __: names.append(name)
    with receiver(saying(200), tls) as (port, got):
        yield port, got, names


def test_a_certificate_nobody_vouches_for_is_refused(tls_receiver):
    port, got, _ = tls_receiver
    assert "CERTIFICATE_VERIFY_FAILED" in post(port, scheme="https").error
    assert got == []


def test_the_certificate_must_be_the_hosts_and_not_the_addresss(tls_receiver, trusted):
    port, got, names = tls_receiver
    assert post(port, scheme="https").is_success
    assert names == ["hooks.test"]
    assert "Hostname mismatch" in post(port, scheme="https", host="other.test").error
    assert len(got) == 1


def test_a_receiver_that_drips_through_tls_is_left_in_time(tls, trusted):
    with receiver(drip, tls) as (port, _):
        assert post(port, timeout=0.5, scheme="https").error == "no answer within 0.5 s"
