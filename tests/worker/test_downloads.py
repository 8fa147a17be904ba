import gzip
import io
import socket
import struct
import threading

import pytest

from moderation.errors import NotFetched
from tests.conftest import jpeg
from tests.worker.pages import raw, saying, serving, to
from worker import downloads

HERE = ("127.0.0.1/32",)  # what may be reached; a second server on 127.0.0.2 stands for what may not
BODY = jpeg()
MOST = 50_000


def get(url, *, seconds=20, most=MOST, networks=HERE, **options):
    file = io.BytesIO()
    size = downloads.get(url, file, most=most, seconds=seconds, allowed_networks=networks, **options)
    assert size == len(file.getvalue())
    return file.getvalue()


def refused(url, slug, **options):
    with pytest.raises(NotFetched) as caught:
        get(url, **options)
    assert caught.value.slug == slug, caught.value.detail
    return caught.value


def resetting(handler):
    """Begins a body and resets the connection."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nabc")
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


@pytest.fixture
def inside():
    """A server that must never be reached; its port, and what it was asked for all the same."""
    with serving({"/a.jpg": saying(200, BODY)}, host="127.0.0.2") as served:
        yield served


def test_the_bytes_arrive_as_they_are_and_the_request_says_little():
    def answer(handler):
        seen.update(handler.headers.items())
        saying(200, BODY, Set_Cookie="a=b", Content_Type="text/html")(handler)

    seen = {}
    with serving({"/a.jpg": answer}) as (port, asked):
        assert get(f"http://127.0.0.1:{port}/a.jpg?size=large#top") == BODY
    assert asked == ["/a.jpg?size=large"]
    assert seen["Accept-Encoding"] == "identity"
    assert {"Cookie", "Authorization", "Referer", "Range"}.isdisjoint(seen)


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving({"/": saying(200, BODY)}) as (port, _):
        assert get(f"http://127.0.0.1:{port}/") == BODY


@pytest.mark.parametrize(
    ("answer", "arrives"),
    [
        (saying(200, BODY, Content_Length=None), BODY),
        (saying(200, BODY, Content_Encoding="identity"), BODY),
        (saying(200, BODY, Content_Length="many"), BODY),
        (saying(200, BODY, Content_Length=10), BODY[:10]),  # longer than announced: the rest is not read
        (saying(200), b""),  # `media.inspect` refuses it
        (
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n"),
            b"abcde",
        ),
    ],
)
def test_lengths_are_not_believed(answer, arrives):
    with serving({"/a.jpg": answer}) as (port, _):
        assert get(f"http://127.0.0.1:{port}/a.jpg") == arrives


@pytest.mark.parametrize(
    ("answer", "slug", "may_pass"),
    [
        (saying(404), "fetch-status", False),
        (saying(403), "fetch-status", False),
        (saying(410), "fetch-status", False),
        (saying(204), "fetch-status", False),
        (saying(206, b"part"), "fetch-status", False),
        (saying(304), "fetch-status", False),
        (saying(300, Location="/a"), "fetch-status", False),
        (saying(401, WWW_Authenticate="Basic"), "fetch-status", False),
        (saying(408), "fetch-status", True),
        (saying(429), "fetch-status", True),
        (saying(500), "fetch-status", True),
        (saying(503), "fetch-status", True),
        (saying(200, gzip.compress(BODY), Content_Encoding="gzip"), "fetch-encoded", False),
        (saying(200, gzip.compress(bytes(10**7)), Content_Encoding="x-gzip"), "fetch-encoded", False),
        (saying(200, BODY, Content_Encoding="br"), "fetch-encoded", False),
        (saying(200, BODY, Content_Length=MOST + 1), "too-large", False),
        (saying(200, BODY, Content_Length=10**18), "too-large", False),
        (saying(200, bytes(MOST + 1), Content_Length=None), "too-large", False),
        (saying(200, bytes(MOST + 1), Content_Length=-5), "too-large", False),
        (saying(200, BODY, Content_Length=len(BODY) + 1), "fetch-failed", True),
        (resetting, "fetch-failed", True),
        (lambda handler: handler.connection.close(), "fetch-failed", True),
        (raw(b"\0\0\0\r\n\r\n"), "fetch-failed", True),
        (raw(b"HTTP/1.1 999999 Hm\r\n\r\n"), "fetch-failed", True),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc"), "fetch-failed", True),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc"), "fetch-failed", True),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"), "fetch-failed", True),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"X-Header: z\r\n" * 20_000), "fetch-failed", True),
        (raw(b"HTTP/1.1 200 OK\r\nX-Header: " + b"z" * 200_000), "fetch-failed", True),
        (raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 9_000), "fetch-failed", True),
        (saying(302), "fetch-redirect", False),
        (saying(301, Location=" "), "fetch-redirect", False),
        (saying(307, Location="http://[::1"), "fetch-redirect", False),
    ],
)  # fmt: skip
def test_what_servers_do_wrong_has_a_name(answer, slug, may_pass):
    with serving({"/a.jpg": answer, "/good.jpg": saying(200, BODY)}) as (port, _):
        assert refused(f"http://127.0.0.1:{port}/a.jpg", slug).may_pass == may_pass
        assert get(f"http://127.0.0.1:{port}/good.jpg") == BODY  # nothing of it stays behind


def test_nothing_beyond_the_cap_is_kept():
    file = io.BytesIO()
    with serving({"/": saying(200, bytes(MOST * 10), Content_Length=None)}) as (port, _), pytest.raises(NotFetched):
        downloads.get(f"http://127.0.0.1:{port}/", file, most=MOST, seconds=20, allowed_networks=HERE)
    assert len(file.getvalue()) <= MOST


def test_an_overloaded_server_says_when_to_come_back():
    with serving({"/": saying(429, Retry_After="120"), "/gone": saying(404, Retry_After="120")}) as (port, _):
        assert refused(f"http://127.0.0.1:{port}/", "fetch-status").retry_after == 120
        assert refused(f"http://127.0.0.1:{port}/gone", "fetch-status").retry_after is None


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"z"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"z"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n", b"z"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nz\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b""),
    ],
)
def test_a_server_that_drips_is_left_in_time(pieces):
    over = threading.Event()
    with serving({"/": raw(*pieces, every=0.03, until=over)}) as (port, _):
        error = refused(f"http://127.0.0.1:{port}/", "fetch-timeout", seconds=0.4)
        over.set()
    assert error.may_pass
    assert error.detail == "not done within 0.4 s"


def test_the_clock_runs_through_all_redirects_and_names():
    over = threading.Event()

    def slow(handler):
        over.wait(0.25)
        to("/")(handler)

    with serving({"/": slow}) as (port, asked):
        refused(f"http://127.0.0.1:{port}/", "fetch-timeout", seconds=0.6)
        assert len(asked) < downloads.REDIRECTS + 1
    refused("http://slow.test/", "fetch-failed", seconds=0.1, resolver=lambda *_: over.wait(30))
    over.set()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_few_redirects_are_followed(status):
    with serving({"/good.jpg": saying(200, BODY)}) as (other, _):
        pages = {
            "/1": to("/2?x=1", status),
            "/2": to("3#top", status),
            "/3": to(f"//127.0.0.1:{other}/good.jpg", status),
        }
        with serving(pages) as (port, asked):
            assert get(f"http://127.0.0.1:{port}/1") == BODY
        assert asked == ["/1", "/2?x=1", "/3"]


def test_too_many_redirects_and_loops_end():
    with serving({"/": to("/")}) as (port, asked):
        error = refused(f"http://127.0.0.1:{port}/", "fetch-redirect")
    assert error.detail == "more than 3 redirects"
    assert len(asked) == 4


def test_a_location_in_another_alphabet_is_escaped():
    with serving({"/b%C3%BCcher.jpg": saying(200, BODY), "/": to("/bücher.jpg".encode().decode("latin-1"))}) as (
        port,
        _,
    ):
        assert get(f"http://127.0.0.1:{port}/") == BODY


FORBIDDEN = [
    "http://127.0.0.2:{inside}/a.jpg",
    "//127.0.0.2:{inside}/a.jpg",
    "http://2130706434:{inside}/a.jpg",
    "http://0x7f000002:{inside}/a.jpg",
    "http://0177.0.0.2:{inside}/a.jpg",
    "http://127.2:{inside}/a.jpg",
    "http://[::ffff:127.0.0.2]:{inside}/a.jpg",
    "http://[::127.0.0.2]:{inside}/a.jpg",
    "http://[64:ff9b::7f00:2]:{inside}/a.jpg",
    "http://[2002:7f00:2::]/a.jpg",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[::1]:{inside}/a.jpg",
    "http://[::]:{inside}/a.jpg",
    "http://0.0.0.0:{inside}/a.jpg",
    "http://0:{inside}/a.jpg",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fe80::1%25lo]/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://100.100.100.200/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://inside.test/a.jpg",
    "http://both.test/a.jpg",
    "http://inside.test./a.jpg",
    "http://public.test:{inside}/a.jpg",
    "http://public.test:22/",
    "http://user@127.0.0.1:{port}/good.jpg",
    "http://user:word@127.0.0.1:{port}/good.jpg",
    "http://127.0.0.1:{port}@127.0.0.2:{inside}/a.jpg",
    "http://127.0.0.2:{inside}#@127.0.0.1:{port}/",
    "http://127.0.0.2:{inside}\\@127.0.0.1:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "http://127。0。0。2/",
    "https:///a.jpg",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "ftp://127.0.0.1/a.jpg",
    "dict://127.0.0.1:11211/stats",
    "data:image/jpeg;base64,AAAA",
    "javascript:alert(1)",
    "http://127.0.0.1:{port}/" + "a" * 2048,
]
NAMES = {
    "metadata.google.internal": ["169.254.169.254"],
    "inside.test": ["127.0.0.2"],
    "inside.test.": ["127.0.0.2"],
    "both.test": ["127.0.0.1", "127.0.0.2"],
    "public.test": ["93.184.215.14"],
}


def resolver(host, port):
    return NAMES.get(host) or [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@pytest.mark.parametrize("where", FORBIDDEN)
def test_what_must_not_be_reached_is_not_reached_at_first(where, inside):
    with serving({"/good.jpg": saying(200, BODY)}) as (port, asked):
        url = where.format(inside=inside[0], port=port)
        if not url.startswith("//"):
            assert not refused(url, "forbidden-address", resolver=resolver).may_pass
        assert get(f"http://127.0.0.1:{port}/good.jpg") == BODY
    assert inside[1] == []
    assert asked == ["/good.jpg"]


@pytest.mark.parametrize("where", FORBIDDEN)
def test_what_must_not_be_reached_is_not_reached_by_a_redirect(where, inside):
    pages = {"/2": to("/3", 307), "/good.jpg": saying(200, BODY)}
    with serving(pages) as (port, asked):
        location = where.format(inside=inside[0], port=port).encode().decode("latin-1")
        pages["/1"], pages["/3"] = to("/2"), to(location)
        refused(f"http://127.0.0.1:{port}/1", "forbidden-address", resolver=resolver)
        assert get(f"http://127.0.0.1:{port}/good.jpg") == BODY
    assert inside[1] == []
    assert asked == ["/1", "/2", "/3", "/good.jpg"]


def test_a_location_cannot_smuggle_a_second_request(inside):
    with serving({"/": raw(b"HTTP/1.1 302 Found\r\nLocation: /x\x00y z\r\n\r\n")}) as (port, asked):
        refused(f"http://127.0.0.1:{port}/", "fetch-status")
    assert asked == ["/", "/x%00y%20z"]


def test_a_name_that_changes_its_mind_is_judged_at_each_connection(inside):
    """DNS rebinding: allowed when it was judged first, forbidden the next time it is asked for."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    with serving({"/1": to("/2"), "/2": saying(200, BODY)}) as (port, asked):
        refused(f"http://rebinding.test:{port}/1", "forbidden-address", resolver=lambda *_: next(answers))
    assert asked == ["/1"]
    assert inside[1] == []


def test_what_was_judged_is_what_is_connected_to():
    """DNS rebinding between judging and connecting: the name is asked for once, and its answer is pinned."""
    asked_for = []

    def once(host, port):
        asked_for.append(host)
        return ["127.0.0.1"] if len(asked_for) == 1 else ["127.0.0.2"]

    with serving({"/": saying(200, BODY)}) as (port, _):
        assert get(f"http://rebinding.test:{port}/", resolver=once) == BODY
    assert asked_for == ["rebinding.test"]


def test_a_name_that_does_not_resolve_may_resolve_later():
    def away(*_):
        raise OSError("no name server")

    assert refused("http://nowhere.test/", "fetch-failed", resolver=away).may_pass


def test_nobody_there_may_be_there_later():
    with serving({}) as (port, _):
        pass
    assert refused(f"http://127.0.0.1:{port}/", "fetch-failed").may_pass


def test_certificates_are_checked_and_https_is_not_left(tls, trusted):
    pages = {"/a.jpg": saying(200, BODY), "/down": to("http://127.0.0.1:1/"), "/on": to("/a.jpg")}
    with serving(pages, context=tls) as (port, asked):
        here = lambda *_: ["127.0.0.1"]  # noqa: E731
        assert get(f"https://hooks.test:{port}/on", resolver=here) == BODY
        refused(f"https://hooks.test:{port}/down", "fetch-redirect", resolver=here)
        error = refused(f"https://other.test:{port}/a.jpg", "fetch-failed", resolver=here)
        assert (error.may_pass, "Hostname mismatch" in error.detail) == (False, True)
    assert asked == ["/on", "/a.jpg", "/down"]


def test_a_certificate_nobody_vouches_for_is_refused(tls):
    with serving({"/a.jpg": saying(200, BODY)}, context=tls) as (port, asked):
        error = refused(f"https://hooks.test:{port}/a.jpg", "fetch-failed", resolver=lambda *_: ["127.0.0.1"])
    assert (error.may_pass, asked) == (False, [])


def test_a_process_that_is_asked_to_end_does_not_wait_for_a_slow_server():
    over, stopping = threading.Event(), []

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not over.wait(0.02):
            handler.wfile.write(b"z")
            stopping.append(True)

    with serving({"/": drip}) as (port, _):
        with pytest.raises(downloads.Interrupted):
            get(f"http://127.0.0.1:{port}/", is_stopping=lambda: len(stopping) > 3)
        over.set()
