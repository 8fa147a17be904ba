"""When a request is sent again: httpx's own mock stands for networks that fail, and no test sleeps."""

import asyncio
import io
import itertools

import httpx
import pytest

import unmask_client
from unmask_client import AsyncClient, Client, Patience, exchange

ACCEPTED = {"id": "sub_1", "state": "waiting", "sha256": "00", "links": {"self": "/v1/submissions/sub_1"}}


@pytest.fixture(autouse=True)
def naps(monkeypatch):
    """How long each pause would have been; time passes by pauses alone."""
    slept = []
    monkeypatch.setattr(exchange, "now", lambda: sum(slept))
    monkeypatch.setattr("unmask_client.client.time.sleep", slept.append)

    async def nap(seconds):
        slept.append(seconds)

    monkeypatch.setattr("unmask_client.asynchronous.asyncio.sleep", nap)
    return slept


class Server:
    """Answers with what it was given, one after another, the last for ever; keeps what it got."""

    def __init__(self, *answers):
        self.answers = itertools.chain(answers, itertools.repeat(answers[-1]))
        self.got = []

    def __call__(self, request):
        request.read()
        return self._answer(request)

    async def asynchronously(self, request):
        await request.aread()
        return self._answer(request)

    def _answer(self, request):
        self.got.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)  # not the same twice

    def keys(self):
        return [request.headers["Idempotency-Key"] for request in self.got]

    def client(self, **patience):
        return Client(
            "https://unmask.example", "umk_1", patience=Patience(**patience), transport=httpx.MockTransport(self)
        )


def accepted():
    return httpx.Response(202, json=ACCEPTED)


def problem(status, slug="refused", **headers):
    body = {"type": f"/problems/{slug}", "title": "No", "status": status, "detail": "why", "request_id": "req_1"}
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json", **headers})


LOST = [
    httpx.ConnectError("refused"),
    httpx.ConnectTimeout("slow"),
    httpx.ReadTimeout("slow"),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
]
FOR_NOW = [problem(429), problem(503), httpx.Response(502), httpx.Response(504)]


@pytest.mark.parametrize("trouble", LOST + FOR_NOW, ids=repr)
def test_a_submission_is_sent_again_under_the_same_key(trouble, naps):
    server = Server(trouble, trouble, accepted())
    sent = server.client().submit(b"picture", external_id="post-1")
    assert sent.id == "sub_1"
    assert len(server.got) == 3
    assert len(set(server.keys())) == 1
    assert all(b"picture" in request.content and b"post-1" in request.content for request in server.got)
    assert len(naps) == 2


@pytest.mark.parametrize("trouble", LOST + FOR_NOW, ids=repr)
def test_the_asynchronous_client_does_the_same(trouble, naps):
    server = Server(trouble, trouble, accepted())

    async def submit():
        transport = httpx.MockTransport(server.asynchronously)
        async with AsyncClient("https://unmask.example", "umk_1", transport=transport) as client:
            return await client.submit(io.BytesIO(b"picture"))

    assert asyncio.run(submit()).id == "sub_1"
    assert len(set(server.keys())) == 1
    assert all(b"picture" in request.content for request in server.got)
    assert len(naps) == 2


def test_every_submission_has_a_key_of_its_own_unless_one_is_given():
    server = Server(accepted())
    client = server.client()
    client.submit(b"a")
    client.submit(b"a")
    client.submit_url("https://chirper.example/a.jpg")
    client.submit(b"a", idempotency_key="post-1")
    assert len(set(server.keys())) == 4
    assert server.keys()[-1] == "post-1"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, unmask_client.BadRequest),
        (401, unmask_client.Unauthorized),
        (403, unmask_client.Forbidden),
        (404, unmask_client.NotFound),
        (409, unmask_client.Conflict),
        (413, unmask_client.TooLarge),
        (415, unmask_client.UnsupportedMedia),
        (422, unmask_client.Invalid),
        (500, unmask_client.ServerError),
        (301, unmask_client.UnmaskError),
        (418, unmask_client.UnmaskError),
    ],
)
def test_a_refusal_stands(status, kind, naps):
    server = Server(problem(status, "some-slug"))
    with pytest.raises(kind) as told:
        server.client().submit(b"picture")
    assert (told.value.slug, told.value.status, told.value.detail) == ("some-slug", status, "why")
    assert told.value.request_id == "req_1"
    assert str(told.value) == f"why (some-slug, {status}, req_1)"
    assert len(server.got) == 1
    assert naps == []


@pytest.mark.parametrize("trouble", [httpx.ReadError("reset"), httpx.Response(502), httpx.Response(504)], ids=repr)
def test_what_would_be_done_twice_is_not_repeated_after_a_lost_answer(trouble):
    server = Server(trouble)
    calls = [
        lambda client: client.endpoints.create("https://chirper.example/hook"),
        lambda client: client.endpoints.rotate("wep_1"),
        lambda client: client.endpoints.test("wep_1"),
        lambda client: client.deliveries.replay("msg_1"),
    ]
    for call in calls:
        with pytest.raises(unmask_client.UnmaskError):
            call(server.client())
    assert len(server.got) == len(calls)


def test_what_never_reached_a_server_is_repeated_whatever_it_is():
    made = {
        "id": "wep_1",
        "url": "https://a.example",
        "events": [],
        "created_at": "2026-11-21T08:00:00Z",
        "secret": "s",
    }
    server = Server(httpx.ConnectError("refused"), problem(503), problem(429), httpx.Response(201, json=made))
    assert server.client().endpoints.create("https://a.example").secret == "s"


def test_the_server_is_kept_waiting_for_as_long_as_it_asks(naps):
    server = Server(problem(429, Retry_After="7"), problem(503, Retry_After="3"), accepted())
    server.client().submit(b"picture")
    assert 7 <= naps[0] <= 8
    assert 3 <= naps[1] <= 4


@pytest.mark.parametrize("asked", ["61", "86400", "9" * 400, "Fri, 21 Nov 2098 08:00:00 GMT"])
def test_longer_than_our_patience_is_told_at_once(asked, naps):
    server = Server(problem(429, "too-many-requests", Retry_After=asked))
    with pytest.raises(unmask_client.RateLimited) as told:
        server.client(seconds=60).submit(b"picture")
    assert told.value.retry_after > 60
    assert naps == []


@pytest.mark.parametrize("asked", ["soon", "", "-1", "Fri, 99 Nov", "Fri, 21 Nov 1998 08:00:00 GMT"])
def test_an_odd_retry_after_does_no_harm(asked, naps):
    server = Server(problem(503, Retry_After=asked), accepted())
    server.client().submit(b"picture")
    assert naps[0] <= 1


def test_patience_ends_and_the_last_error_is_told(naps):
    server = Server(problem(503, "world-down"), httpx.ConnectError("refused"))
    with pytest.raises(unmask_client.ConnectionFailed, match="refused") as told:
        server.client(seconds=60, longest_pause=20).submit(b"picture")
    assert isinstance(told.value, unmask_client.Unavailable)
    assert isinstance(told.value.__cause__, httpx.ConnectError)
    assert sum(naps) <= 60
    assert 5 <= len(server.got) <= 12
    assert all(nap <= 20 for nap in naps)


def test_no_patience_is_one_attempt(naps):
    server = Server(problem(503))
    with pytest.raises(unmask_client.Unavailable):
        server.client(seconds=0).submit(b"picture")
    assert len(server.got) == 1


def test_pauses_grow_and_no_two_clients_have_the_same():
    patience = Patience()
    pauses = [[patience.pause(attempt, None) for attempt in range(8)] for _ in range(20)]
    assert len({pause for row in pauses for pause in row}) == 160
    for row in pauses:
        assert all(0.5 * 2**at / 2 <= pause <= 0.5 * 2**at for at, pause in enumerate(row[:5]))


def test_a_page_of_a_proxy_is_no_verdict():
    server = Server(httpx.Response(200, html="<h1>Welcome to nginx</h1>"))
    with pytest.raises(unmask_client.BadAnswer, match="no JSON"):
        server.client().get("sub_1")
    with pytest.raises(unmask_client.ServerError) as told:
        Server(httpx.Response(500, html="<h1>secret stack</h1>")).client().get("sub_1")
    assert told.value.slug == "http-500"
    assert "secret" not in str(told.value)


def test_the_key_never_goes_to_the_address_of_an_upload():
    place = {
        "upload_id": "upl_1",
        "url": "https://bucket.example/put?X-Amz-Signature=1",
        "headers": {"Content-Type": "image/jpeg"},
        "expires_at": "2026-11-21T09:00:00Z",
    }
    server = Server(httpx.Response(201, json=place), httpx.Response(503), httpx.Response(200), accepted())
    server.client().submit_upload(b"picture", external_id="post-1")
    announced, first, second, submitted = server.got
    assert announced.headers["Authorization"] == "Bearer umk_1"
    for put in (first, second):
        assert (put.method, put.url.host, put.content) == ("PUT", "bucket.example", b"picture")
        assert "Authorization" not in put.headers
        assert put.headers["Content-Length"] == "7"
        assert put.headers["Content-Type"] == "image/jpeg"
    assert submitted.headers["Authorization"] == "Bearer umk_1"
    assert b"upl_1" in submitted.content


def test_the_key_is_in_no_representation():
    client = Client("https://unmask.example", "umk_secret")
    assert "umk_secret" not in repr(vars(client)) + repr(vars(client._driver._http))


@pytest.mark.parametrize("address", ["unmask.example", "ftp://unmask.example", "", "http://"])
def test_what_is_no_address_is_told_when_the_client_is_made(address):
    with pytest.raises(ValueError, match="address"):
        Client(address, "umk_1")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "sub_1?wait=1", "a b"])
def test_what_is_no_id_makes_no_other_request(name):
    server = Server(accepted())
    for call in (server.client().get, server.client().erase, server.client().endpoints.delete):
        with pytest.raises(ValueError, match="no id"):
            call(name)
    assert server.got == []


def test_a_poll_that_a_busy_server_does_not_hold_is_no_hot_loop(naps):
    pending = {"id": "sub_1", "state": "waiting", "external_id": None, "priority": "default", "context": {}}
    server = Server(httpx.Response(200, json=pending | {"received_at": "2026-11-21T08:00:00Z"}))
    with pytest.raises(unmask_client.StillPending, match="waiting after 30") as told:
        server.client().wait("sub_1", timeout=30)
    assert isinstance(told.value, TimeoutError)
    assert told.value.submission.state == "waiting"
    assert len(server.got) < 30
    assert sum(naps) == pytest.approx(30)
    assert float(server.got[0].url.params["wait"]) == 20
    assert float(server.got[-2].url.params["wait"]) < 20
