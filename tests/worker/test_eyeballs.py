"""A host's first address may be dead: the others are tried, all of them judged. Interim answers are no answers."""

import contextlib
import io
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest

from moderation import addresses
from moderation.addresses import Target
from moderation.errors import ForbiddenAddress, NotFetched
from tests.conftest import jpeg
from tests.worker.pages import listening, raw, saying, serving
from worker import downloads, eyeballs, sending

BODY = jpeg()
LOOPBACK = ("127.0.0.0/8", "::1/128")


@contextlib.contextmanager
def silent(host, port):
    """An address at which no connection is ever taken or refused: its queue is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((host, server.getsockname()[1]))
        yield


@contextlib.contextmanager
def dead(kind, port):
    """``port`` of 127.0.0.9, dead in the way that is named; yields the address."""
    with silent("127.0.0.9", port) if kind == "silent" else contextlib.nullcontext():
        yield "127.0.0.9"


def soon():
    return time.monotonic() + 20


@pytest.mark.parametrize("kind", ["refused", "silent"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_dead_address_keeps_nobody_from_the_living_one(kind, place):
    with serving({"/a.jpg": saying(200, BODY)}) as (port, asked), dead(kind, port) as gone:
        found = [gone, gone.replace(".9", ".8") if kind == "refused" else gone]
        found.insert(place, "127.0.0.1")
        file = io.BytesIO()
        url = f"http://several.test:{port}/a.jpg"
        downloads.get(url, file, most=50_000, seconds=20, allowed_networks=LOOPBACK, resolver=lambda *_: found)
    assert file.getvalue() == BODY
    assert asked == ["/a.jpg"]  # once


def test_a_family_that_this_machine_has_no_way_to_is_passed_over():
    with serving({}) as (port, _):
        stream = eyeballs.connect(["2001:db8::1", "127.0.0.1"], port, soon())
        with stream:
            assert stream.getpeername() == ("127.0.0.1", port)
            assert stream.getblocking()


def test_where_none_lives_the_first_ones_error_is_told():
    with serving({}) as (port, _):
        pass
    with pytest.raises(ConnectionRefusedError):
        eyeballs.connect(["127.0.0.1", "127.0.0.9"], port, soon())
    with pytest.raises(OSError, match="without an address"):
        eyeballs.connect([], port, soon())


def test_silence_everywhere_ends_on_time():
    with serving({}) as (port, _), silent("127.0.0.9", port):
        with pytest.raises(TimeoutError):
            eyeballs.connect(["127.0.0.9"], port, time.monotonic() + 0.3)
        with pytest.raises(TimeoutError):
            eyeballs.connect(["127.0.0.9", "127.0.0.9"], port, time.monotonic() + 0.4)
        with pytest.raises(TimeoutError):
            eyeballs.connect(["127.0.0.1"], port, time.monotonic() - 1)


def test_attempts_that_lost_leave_no_socket_open():
    with serving({}) as (port, _), silent("127.0.0.9", port):
        made = []
        real = socket.socket

        class Counted(real):
            def __init__(self, *arguments, **options):
                super().__init__(*arguments, **options)
                made.append(self)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(eyeballs.socket, "socket", Counted)
            stream = eyeballs.connect(["127.0.0.9", "127.0.0.1"], port, soon())
        assert [one.fileno() >= 0 for one in made[:2]] == [False, True]  # a third is the server's own
        stream.close()


@pytest.mark.parametrize(
    ("found", "order"),
    [
        (["1.1.1.1"], ["1.1.1.1"]),
        (["1.1.1.1", "1.1.1.1"], ["1.1.1.1"]),
        (["2606:4700::1", "2606:4700::2", "1.1.1.1"], ["2606:4700::1", "1.1.1.1", "2606:4700::2"]),
        (["1.1.1.1", "1.0.0.1", "2606:4700::1"], ["1.1.1.1", "2606:4700::1", "1.0.0.1"]),
        ([f"1.1.1.{n}" for n in range(1, 200)], [f"1.1.1.{n}" for n in range(1, 9)]),
    ],
)
def test_families_take_turns_and_few_are_tried(found, order):
    assert list(addresses.resolve("https://x.test/", resolver=lambda *_: found).addresses) == order


@pytest.mark.parametrize("place", [0, 1, 7, 8, 150])
def test_one_bad_address_among_many_spoils_the_host(place):
    """Also one that would never be tried: whoever names it is not to be trusted."""
    found = [f"1.1.1.{n}" for n in range(1, 200)]
    found.insert(place, "169.254.169.254")
    with pytest.raises(ForbiddenAddress):
        addresses.resolve("https://x.test/", resolver=lambda *_: found)


def interim(*heads):
    return b"".join(head + b"\r\n\r\n" for head in heads)


FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
CONTINUE, WORKING, HINTS = (
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 102 Processing",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>",
)


@pytest.mark.parametrize(
    "heads",
    [
        (CONTINUE,),
        (WORKING,),
        (HINTS,),
        (HINTS, HINTS),
        (CONTINUE, WORKING, HINTS),
        (WORKING,) * 40,
        (b"HTTP/1.1 199 Whatever\r\nContent-Length: 9\r\nTransfer-Encoding: chunked",),
        (b"HTTP/1.1 103 ",),
    ],
)
def test_interim_answers_are_skipped(heads):
    file = io.BytesIO()
    with serving({"/a.jpg": raw(interim(*heads) + FINAL)}) as (port, _):
        downloads.get(f"http://127.0.0.1:{port}/a.jpg", file, most=50_000, seconds=20, allowed_networks=LOOPBACK)
    assert file.getvalue() == BODY


@pytest.mark.parametrize(
    ("answer", "slug"),
    [
        (interim(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x"), "fetch-status"),
        (interim(HINTS, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0"), "fetch-status"),
        (interim(HINTS), "fetch-failed"),
        (interim(HINTS, b"nonsense"), "fetch-failed"),
        (interim(*[HINTS] * 5_000), "fetch-failed"),
        (interim(*[b"HTTP/1.1 103 x\r\n" + b"\r\n".join([b"X: y"] * 200)] * 3), "fetch-failed"),
    ],
)
def test_what_comes_after_interim_answers_is_judged_as_ever(answer, slug):
    with serving({"/a.jpg": raw(answer)}) as (port, _), pytest.raises(NotFetched) as caught:
        downloads.get(f"http://127.0.0.1:{port}/a.jpg", io.BytesIO(), most=9, seconds=20, allowed_networks=LOOPBACK)
    assert caught.value.slug == slug


class Receiver(BaseHTTPRequestHandler):
    """Answers each POST with what the server was given."""

    heads = b""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.wfile.write(self.heads)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("heads", "status", "error"),
    [
        ((HINTS, b"HTTP/1.1 204 No Content"), 204, None),
        ((CONTINUE, WORKING, b"HTTP/1.1 200 OK\r\nContent-Length: 0"), 200, None),
        ((HINTS, b"HTTP/1.1 500 Broken\r\nContent-Length: 0"), 500, "answered 500"),
        ((HINTS, b"HTTP/1.1 302 Found\r\nLocation: /x"), 302, "redirects are not followed"),
        ((b"HTTP/1.1 101 Switching Protocols",), 101, "answered 101"),
    ],
)
def test_a_webhooks_receiver_may_send_interim_answers(heads, status, error):
    kind = type("Receiver", (Receiver,), {"heads": interim(*heads)})
    with listening(kind) as port, silent("127.0.0.9", port):
        target = Target(f"http://hooks.test:{port}/", "http", "hooks.test", port, "127.0.0.9", ("127.0.0.1",))
        answer = sending.post(target, "{}", {}, timeout=20)
    assert (answer.status, answer.error) == (status, error)
    assert answer.is_success == (200 <= status < 300)


def test_endless_interim_answers_end_on_time():
    over = threading.Event()
    with serving({"/": raw(b"", interim(HINTS), every=0.02, until=over)}) as (port, _):
        with pytest.raises(NotFetched) as caught:
            downloads.get(f"http://127.0.0.1:{port}/", io.BytesIO(), most=9, seconds=0.4, allowed_networks=LOOPBACK)
        over.set()
    assert caught.value.slug == "fetch-timeout"
