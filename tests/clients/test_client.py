"""Both clients against the real application: real engines, a real port."""

import asyncio
import gzip
import hashlib
import io
import tempfile
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

import unmask_client
from api import application
from cli import receiver
from moderation import blobs as storage
from moderation import platforms
from moderation.tables import Submission
from tests.api.test_uploads import bucket
from tests.clients.conftest import serving
from tests.conftest import jpeg
from unmask_client import AsyncClient, Client, StillPending

__all__ = ["bucket"]


def asynchronously(served, use):
    async def run():
        async with AsyncClient(served.address, served.caller.api_key) as client:
            return await use(client)

    return asyncio.run(run())


def opened(path):
    return path.open("rb")


def in_memory(path):
    file = io.BytesIO(path.read_bytes())
    file.seek(0, io.SEEK_END)  # where whoever wrote it left it
    return file


def spooled(path):
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - `made` closes it
    file.write(path.read_bytes())
    return file


def compressed(path):
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(path.read_bytes() + bytes(100_000)))
    return gzip.open(packed)


class Pipe(io.RawIOBase):
    """A stream that cannot be rewound."""

    def __init__(self, path):
        self._rest = path.read_bytes()

    def readable(self):
        return True

    def readinto(self, buffer):
        some, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)


KINDS = [
    str,
    lambda path: path,
    lambda path: path.read_bytes(),
    opened,
    in_memory,
    spooled,
    compressed,
    Pipe,
]
NAMES = ["text", "path", "bytes", "file", "memory", "spool", "gzip", "pipe"]


@contextmanager
def made(kind, path):
    """A file of that kind, closed afterwards where it can be."""
    file = kind(path)
    yield file
    getattr(file, "close", lambda: None)()


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg())
    return path


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_whatever_a_file_is_its_bytes_arrive(client, served, picture, kind):
    wanted = jpeg() + bytes(100_000) if kind is compressed else jpeg()
    sha256 = hashlib.sha256(wanted).hexdigest()
    with made(kind, picture) as file:
        assert client.submit(file).sha256 == sha256
    with made(kind, picture) as file:
        assert asynchronously(served, lambda client: client.submit(file)).sha256 == sha256


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_file_may_go_past_the_api(client, served, picture, kind):
    with made(kind, picture) as file:
        sent = client.submit_upload(file, external_id="post-1")
    with made(kind, picture) as file:
        also = asynchronously(served, lambda client: client.submit_upload(file, external_id="post-1"))
    assert (sent.state, also.state) == ("fetching", "fetching")
    assert sent.id != also.id


def test_a_bucket_takes_the_bytes_itself(settings, Session, bucket, orders, picture):
    app = application.create(settings, session_factory=Session, blobs=bucket, queue=orders)
    with Session.begin() as session:
        api_key = platforms.create(session, "Chirper").api_key
    with serving(app) as address, Client(address, api_key) as client:
        sent = client.submit_upload(picture)
    with Session() as session:
        origin = session.get_one(Submission, sent.id).origin
    assert bucket.read(storage.upload_key(origin["upload_id"])) == jpeg()


def test_an_open_file_stays_open_and_may_be_sent_again(client, picture):
    with picture.open("rb") as file:
        first = client.submit(file)
        assert client.submit(file).sha256 == first.sha256
        assert not file.closed


@pytest.mark.parametrize("file", [7, None, io.StringIO("text")])
def test_what_is_no_file_is_told(client, file):
    with pytest.raises(TypeError, match="binary"):
        client.submit(file)


def test_a_file_that_is_not_there_is_the_systems_error(client, tmp_path):
    with pytest.raises(FileNotFoundError):
        client.submit(tmp_path / "nothing.jpg")


def test_a_field_that_there_is_not_is_told_before_anything_is_sent(client):
    with pytest.raises(TypeError, match="title"):
        client.submit(jpeg(), title="x")


def test_what_is_said_of_a_submission_comes_back(client):
    about = {"external_id": "post-ü", "priority": "urgent", "context": {"author": "<b>ü</b>", "deep": [1, {}]}}
    found = client.get(client.submit(jpeg(), **about).id)
    assert (found.external_id, found.priority, found.context) == tuple(about.values())
    assert found.state == "waiting"
    assert found.received_at.tzinfo is not None


def test_the_same_key_is_the_same_submission(client):
    first = client.submit(jpeg(), idempotency_key="post-1")
    again = client.submit(jpeg(), idempotency_key="post-1")
    assert again.id == first.id
    assert (first.replayed, again.replayed) == (False, True)
    with pytest.raises(unmask_client.Invalid) as told:
        client.submit(jpeg("blue"), idempotency_key="post-1")
    assert told.value.slug == "idempotency-key-reused"
    assert told.value.request_id.startswith("req_")


@pytest.mark.parametrize(
    ("body", "kind", "slug"),
    [
        (b"", unmask_client.Invalid, "empty-file"),
        (b"words", unmask_client.UnsupportedMedia, "unsupported-media-type"),
        (jpeg()[:40], unmask_client.Invalid, "torn-file"),
    ],
    ids=["empty", "words", "torn"],
)
def test_a_bad_file_is_refused_with_its_slug(client, body, kind, slug):
    with pytest.raises(kind) as told:
        client.submit(body)
    assert told.value.slug == slug


def test_a_bad_field_is_named(client):
    with pytest.raises(unmask_client.Invalid) as told:
        client.submit(jpeg(), external_id="\n")
    assert list(told.value.fields) == ["external_id"]


def test_a_key_that_opens_nothing_is_told(served):
    with Client(served.address, "umk_wrong") as stranger, pytest.raises(unmask_client.Unauthorized):
        stranger.submit(jpeg())


def test_the_address_may_end_as_the_documentation_writes_it(served):
    for address in (f"{served.address}/", f"{served.address}/v1", f"{served.address}/v1/"):
        with Client(address, served.caller.api_key) as client:
            assert list(client.list()) == []


def test_a_wait_ends_when_the_verdict_is_there(client, score):
    sent = client.submit(jpeg())
    scoring = threading.Timer(0.3, score)
    scoring.start()
    found = client.wait(sent.id, timeout=60)
    scoring.join()
    assert found.finished
    assert found.verdict.band == "fake"
    assert found.verdict.faces[0].box == (8, 6, 20, 22)
    assert found.verdict.media.sha256 == sent.sha256


def test_a_wait_that_is_in_vain_says_how_it_stands(client, served):
    sent = client.submit(jpeg())
    with pytest.raises(StillPending) as told:
        client.wait(sent.id, timeout=0.2)
    assert told.value.submission.id == sent.id
    with pytest.raises(StillPending):
        asynchronously(served, lambda client: client.wait(sent.id, timeout=0.2))


def test_what_is_unknown_is_not_found(client):
    for call in (client.get, client.erase, client.wait):
        with pytest.raises(unmask_client.NotFound):
            call("sub_00000000000000000000000000")


def test_a_list_goes_on_over_its_pages(client, served):
    sent = [client.submit(jpeg(size=(64, 40 + number)), external_id=f"post-{number % 2}").id for number in range(5)]
    assert [found.id for found in client.list(page_size=2)] == sent[::-1]
    assert {found.id for found in client.list(external_id="post-0")} == set(sent[::2])
    assert list(client.list(state="scored")) == []
    assert list(client.list(since=datetime.now(UTC) + timedelta(days=1))) == []

    async def collected(client):
        return [found.id async for found in client.list(page_size=2)]

    assert asynchronously(served, collected) == sent[::-1]
    with pytest.raises(ValueError, match="time zone"):
        client.list(since=datetime(2026, 11, 21))  # noqa: DTZ001 - the mistake that is told


def test_what_is_erased_is_deleted(client):
    sent = client.submit(jpeg())
    client.erase(sent.id)
    client.erase(sent.id)
    assert client.get(sent.id).state == "deleted"


def test_media_elsewhere_is_fetched_later(client, served):
    sent = client.submit_url("https://chirper.example/photo.jpg", external_id="post-1")
    assert (sent.state, sent.sha256) == ("fetching", None)
    assert client.submit_url("https://chirper.example/photo.jpg", idempotency_key="k").id == (
        client.submit_url("https://chirper.example/photo.jpg", idempotency_key="k").id
    )
    assert asynchronously(served, lambda client: client.submit_url("https://chirper.example/b.jpg")).state == "fetching"


def test_a_batch_has_an_answer_for_each_item(client, served):
    items = [{"url": f"https://chirper.example/{number}.jpg", "external_id": f"post-{number}"} for number in range(150)]
    items[3] = {"url": "ftp://chirper.example/3.jpg"}
    items[120] = {"upload_id": "upl_00000000000000000000000000", "external_id": "post-120"}
    for answers in (client.submit_batch(items), asynchronously(served, lambda client: client.submit_batch(items))):
        assert len(answers) == 150
        assert [place for place, answer in enumerate(answers) if answer.error] == [3, 120]
        assert answers[3].error.status == 422
        assert isinstance(answers[120].error, unmask_client.NotFound)
        assert client.get(answers[149].accepted.id).external_id == "post-149"
    assert client.submit_batch([]) == ()
    with pytest.raises(TypeError, match="url or an upload_id"):
        client.submit_batch([{"external_id": "post-1"}])


def test_a_batch_with_keys_is_the_same_batch_again(client):
    items = [{"url": "https://chirper.example/a.jpg", "idempotency_key": "a"}, {"url": "https://chirper.example/b.jpg"}]
    first, again = client.submit_batch(items), client.submit_batch(items)
    assert first[0].accepted.id == again[0].accepted.id
    assert (again[0].accepted.replayed, again[1].accepted.replayed) == (True, False)


def test_an_appeal_puts_a_verdict_before_people(client, score):
    sent = client.submit(jpeg())
    with pytest.raises(unmask_client.Conflict):
        client.appeal(sent.id, "too early")
    score()
    made = client.appeal(sent.id, "it is a drawing")
    assert (made.submission_id, made.reason) == (sent.id, "it is a drawing")
    assert made.flag_id.startswith("flg_")


def test_endpoints_are_made_changed_tested_rotated_and_removed(client, served):
    with receiver.listening() as inbox:
        made = client.endpoints.create(inbox.url, ["submission.scored"])
        assert made.secret.startswith("whsec_")
        assert made.secret not in repr(made)
        (listed,) = client.endpoints.list()
        assert (listed.id, listed.events) == (made.id, ("submission.scored",))
        changed = client.endpoints.update(made.id, events=["flag.decided"], enabled=False)
        assert changed.events == ("flag.decided",)
        assert changed.disabled_at is not None
        assert client.endpoints.update(made.id, enabled=True).disabled_at is None
        rotated = client.endpoints.rotate(made.id, overlap_seconds=60)
        assert rotated.secret != made.secret
        sent = client.endpoints.test(made.id)
        assert (sent.event, sent.endpoint_id) == ("endpoint.test", made.id)
        assert [found.id for found in client.deliveries.list(endpoint_id=made.id)] == [sent.id]
        read = client.deliveries.get(sent.id)
        assert '"endpoint.test"' in read.body
        with pytest.raises(unmask_client.Conflict):
            client.deliveries.replay(sent.id)

        async def the_same(client):
            listed = [found async for found in client.endpoints.list()]
            waiting = [found async for found in client.deliveries.list(status="waiting")]
            return listed, waiting, await client.endpoints.get(made.id), await client.deliveries.get(sent.id)

        listed, waiting, one, record = asynchronously(served, the_same)
        assert ([found.id for found in listed], one.id) == ([made.id], made.id)
        assert ([found.id for found in waiting], record) == ([sent.id], read)
        client.endpoints.delete(made.id)
        assert list(client.endpoints.list()) == []
