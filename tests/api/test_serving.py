"""The web under real gunicorn on loopback: clients that drip, lie, or never hang up hold nobody else up."""

import json
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import credentials, intake, pace, serving, waiting
from moderation import platforms
from tests.api.conftest import Sessions
from tests.conftest import Engines, jpeg
from tests.hostile import wire

ROOT = Path(__file__).resolve().parents[2]
THREADS = waiting.AT_WORK + waiting.SEATS
MANY = THREADS + 4  # more than one process has threads
FLOOD = 1050  # more than gunicorn's worker_connections
SPARED = 60  # so many of them are closed for the rest, and a few


@pytest.fixture(scope="module")
def port(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One gunicorn process, as it is deployed but for their number."""
    home = tmp_path_factory.mktemp("web")
    (home / "media").mkdir()
    settings = {
        "UNMASK_DATABASE_URL": engines.database_url,
        "UNMASK_REDIS_URL": engines.redis_url,
        "UNMASK_MEDIA": f"file://{home / 'media'}",
        "UNMASK_SECRET_KEY": "not a secret, but long enough for tests",
        "UNMASK_KEY_ATTEMPTS": "",  # strangers come in numbers here
    }
    with wire.served(home / "log", workers=1, **settings) as port:
        yield port


@pytest.fixture
def key(Session: Sessions) -> str:
    with Session.begin() as session:
        return platforms.create(session, "Chirper").api_key


@pytest.fixture
def open_many(port: int) -> Callable[[bytes], list[socket.socket]]:
    with ExitStack() as stack:

        def _open(beginning: bytes) -> list[socket.socket]:
            """As many connections as a process cannot have threads for, each with this much of a request sent."""
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 60)) for _ in range(MANY)]
            for client in clients:
                client.sendall(beginning)
            return clients

        yield _open


@contextmanager
def dripping(clients: list[socket.socket]) -> Iterator[None]:
    """Adds a byte to each request, before and after what is asked meanwhile."""
    for client in clients:
        client.sendall(b"a")
    yield
    for client in clients:
        client.sendall(b"a")


def healthy(port: int) -> bool:
    return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=60).is_success


def head(key: str, *lines: str, method: str = "POST", path: str = "/v1/webhook-endpoints") -> bytes:
    said = (f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", *lines, "", "")
    return "\r\n".join(said).encode()


def ask(port: int, sent: bytes, *, hang_up: bool = False) -> tuple[int, str]:
    """Sends bytes; returns the answer's status, 0 for none, and the slug of its problem."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(sent)
        if hang_up:
            client.shutdown(socket.SHUT_WR)
        return answer(client)


def answer(client: socket.socket) -> tuple[int, str]:
    received = b""
    while part := client.recv(65536):
        received += part
        top, _, body = received.partition(b"\r\n\r\n")
        if body.endswith(b"}"):
            break
    if not received:
        return 0, ""
    status = int(received.split(b" ", 2)[1])
    return status, json.loads(body)["type"].removeprefix("/problems/") if b"problem+json" in top else ""


@pytest.mark.parametrize(
    "beginning",
    [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Drip: ", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /h"],
    ids=["silent", "a letter", "in a header", "in the next request"],
)
def test_heads_that_drip_hold_no_thread(
    port: int, open_many: Callable[[bytes], list[socket.socket]], beginning: bytes
) -> None:
    clients = open_many(beginning)
    with dripping(clients if beginning else []):
        assert healthy(port)


def test_a_flood_of_silent_connections_closes_its_own_oldest(port: int) -> None:
    with ExitStack() as stack:
        flood = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 60)) for _ in range(FLOOD)]
        assert healthy(port)
        assert flood[0].recv(1) == b""
        assert not hung_up(flood[FLOOD // 2])


@pytest.mark.parametrize("bearer", ["umk_wrong", None], ids=["wrong key", "good key"])
def test_short_bodies_that_drip_hold_no_thread(
    port: int, key: str, open_many: Callable[[bytes], list[socket.socket]], bearer: str | None
) -> None:
    with dripping(open_many(head(bearer or key, "Content-Type: application/json", "Content-Length: 90") + b"{")):
        assert healthy(port)


def test_long_bodies_that_drip_keep_a_few_threads_and_the_rest_are_told(
    port: int, key: str, open_many: Callable[[bytes], list[socket.socket]]
) -> None:
    form = ("Content-Type: multipart/form-data; boundary=b", "Content-Length: 1000000")
    begun = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    clients = open_many(head(key, *form, path="/v1/submissions") + begun)
    with dripping(clients):
        assert healthy(port)
    waiting_for, told = set(clients), []
    while len(waiting_for) > pace.SEATS:
        answered, _, _ = select.select(list(waiting_for), [], [], 60)
        assert answered
        told += [answer(client) for client in answered]
        waiting_for -= set(answered)
    assert set(told) == {(408, "too-slow")}
    assert not select.select(list(waiting_for), [], [], 0)[0]
    good = httpx.post(
        f"http://127.0.0.1:{port}/v1/submissions",
        files={"file": jpeg()},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert good.status_code == 202, good.text


def test_clients_that_never_hang_up_do_not_stop_the_loop(
    port: int, open_many: Callable[[bytes], list[socket.socket]]
) -> None:
    for client in open_many(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
        assert answer(client) == (200, "")
    assert healthy(port)


def test_a_long_body_of_a_stranger_is_not_waited_for(
    port: int, open_many: Callable[[bytes], list[socket.socket]]
) -> None:
    clients = open_many(head("umk_wrong", "Content-Type: multipart/form-data", "Content-Length: 100000000"))
    with dripping(clients):
        assert healthy(port)
    assert {status for status, _ in map(answer, clients)} == {401}


CHUNKED = ("Content-Type: application/json", "Transfer-Encoding: chunked")
LONG = credentials.BODY_BYTES + 1


@pytest.mark.parametrize(
    ("lines", "body", "wanted"),
    [
        (("Content-Type: application/json", f"Content-Length: {LONG}"), b"", (413, "too-large")),
        (("Content-Type: application/json", f"Content-Length: {10**15}"), b"", (413, "too-large")),
        (("Content-Type: text/plain", f"Content-Length: {LONG}"), b"", (413, "too-large")),
        (CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (LONG, b" " * LONG), (400, "bad-request")),
        (CHUNKED, b"2\r\n{}\r\n0\r\n\r\n", (422, "invalid-request")),
        (CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n", (400, "bad-request")),
        (("Content-Type: application/json",), b"", (400, "bad-request")),
        (("Content-Type: application/json", "Content-Length: 2"), b"{}trailing", (422, "invalid-request")),
        (("Content-Type: application/json", "Content-Length: -1"), b"{}", (400, "bad-request")),
        (("Content-Type: application/json", "Content-Length: 2", "Content-Length: 3"), b"{} ", (400, "bad-request")),
        (("Content-Type: application/json", "Content-Length: 2", "Transfer-Encoding: chunked"), b"0\r\n\r\n", (400, "bad-request")),
        (("Content-Type: application/json", "Content-Length: 99"), b"{}", (0, "")),
        ((f"X-Long: {'a' * 3 * serving.HEAD_BYTES}",), b"", (431, "headers-too-large")),
    ],
    ids=["over the cap", "absurd", "not JSON", "chunks, read up to the cap", "chunks", "bad chunks", "no body", "more than said",
         "negative", "two lengths", "length and chunks", "less than said", "long head"],
)  # fmt: skip
def test_bodies_that_are_too_long_or_lie_are_refused(
    port: int, key: str, lines: tuple[str, ...], body: bytes, wanted: tuple[int, str]
) -> None:
    sent = head(key, *lines) + body
    try:
        found = ask(port, sent, hang_up=wanted[0] == 0)
    except (ConnectionResetError, BrokenPipeError):
        found = wanted if wanted[0] == 413 and len(body) > 1000 else (-1, "")  # answered before all of it was taken
    assert found == wanted
    assert healthy(port)


def test_who_speaks_the_moment_they_are_closed_does_no_harm(port: int) -> None:
    """A newcomer and what the one closed for it has just sent may come in one turn of the loop."""
    with ExitStack() as stack:

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))

        flood = [connect() for _ in range(FLOOD)]
        worker = serving_process(port)
        while not hung_up(flood[SPARED]):  # until the next to come is one too many
            flood.append(connect())
        silent = next(number for number, client in enumerate(flood) if not hung_up(client))
        worker.suspend()
        try:
            newcomer = connect()
            for client in flood[silent : silent + 20]:
                client.sendall(b"G")
        finally:
            worker.resume()
        newcomer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer(newcomer) == (200, "")
        assert serving_process(port) == worker  # it was not started anew


def serving_process(port: int) -> psutil.Process:
    children = psutil.Process().children(recursive=True)
    listening = [child for child in children if port in {at.laddr.port for at in child.net_connections("tcp")}]
    (worker,) = [child for child in listening if not child.children()]
    return worker


def hung_up(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    finally:
        client.setblocking(True)


def test_json_in_chunks_is_read_up_to_its_cap(port: int, key: str) -> None:
    def sent(size: int) -> bytes:
        body = b"{}".ljust(size)
        return head(key, *CHUNKED, path="/v1/submissions") + b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)

    assert ask(port, sent(intake.JSON_BYTES)) == (422, "invalid-request")
    assert ask(port, sent(intake.JSON_BYTES + 1)) == (413, "too-large")


@given(
    body=st.binary(max_size=200), cut=st.integers(0, 400), named=st.sampled_from([b"Content-Length", b"cOnTeNt-LeNgTh"])
)
def test_a_request_has_arrived_when_its_last_byte_has(body: bytes, cut: int, named: bytes) -> None:
    whole = b"POST / HTTP/1.1\r\nHost: x\r\n%s: %d\r\n\r\n%s" % (named, len(body), body)
    assert serving.has_arrived(whole)
    assert serving.has_arrived(whole[:cut]) == (cut >= len(whole))
