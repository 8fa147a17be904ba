import hashlib
import io
import os
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest

from moderation import blobs as storage
from moderation.blobs import Blobs
from moderation.errors import BadSettings, NotFound, TooLarge, WorldDown

KEY = storage.media_key(hashlib.sha256(b"bytes").hexdigest())
UPLOAD = storage.upload_key("upl_" + "0a" * 13)


@pytest.fixture(params=["directory", "bucket"])
def store(request, tmp_path) -> Blobs:
    """The same tests run over both stores."""
    if request.param == "directory":
        return storage.connect(f"file://{tmp_path}/media%20here")
    request.getfixturevalue("aws")
    bucket = f"unmask-{abs(hash(request.node.name))}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return storage.connect(f"s3://{bucket}/some/prefix")


def test_what_is_put_is_read_back_until_deleted(store):
    assert not store.exists(KEY)
    with pytest.raises(NotFound):
        store.read(KEY)
    store.put(KEY, io.BytesIO(b"bytes"))
    assert store.exists(KEY)
    assert store.read(KEY) == b"bytes"
    store.delete(KEY)
    store.delete(KEY)
    assert not store.exists(KEY)


def test_putting_twice_changes_nothing_and_leaves_the_file_open(store):
    file = io.BytesIO(b"bytes")
    file.read()
    store.put(KEY, file)
    store.put(KEY, file)
    assert store.read(KEY) == b"bytes"
    assert not file.closed


def test_an_upload_that_is_put_twice_is_replaced(store):
    store.put(UPLOAD, io.BytesIO(b"first"))
    store.put(UPLOAD, io.BytesIO(b"second"))
    assert store.read(UPLOAD) == b"second"


def test_bytes_are_copied_in_pieces_up_to_a_cap(store):
    sent = bytes(range(256)) * 10_000
    store.put(UPLOAD, io.BytesIO(sent))
    into = io.BytesIO()
    assert store.copy(UPLOAD, into, len(sent)) == len(sent)
    assert into.getvalue() == sent
    short = io.BytesIO()
    with pytest.raises(TooLarge):
        store.copy(UPLOAD, short, len(sent) - 1)
    assert len(short.getvalue()) < len(sent)
    store.delete(UPLOAD)
    with pytest.raises(NotFound):
        store.copy(UPLOAD, into, 1)


def test_a_bucket_invites_exactly_what_was_announced(store):
    invited = store.invite(UPLOAD, 5, "image/jpeg", 900)
    if invited is None:
        assert isinstance(store._store, storage.Directory)  # it has no address of its own: the API takes the bytes
        return
    query = parse_qs(urlsplit(invited.url).query)
    assert query["X-Amz-SignedHeaders"] == ["content-length;content-type;host"]
    assert query["X-Amz-Expires"] == ["900"]
    answer = httpx.put(invited.url, content=b"bytes", headers=invited.headers)
    assert answer.status_code == 200
    assert store.read(UPLOAD) == b"bytes"


def test_platforms_may_reach_the_bucket_under_another_name(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    store = storage.connect("s3://unmask/media", upload_endpoint="https://uploads.example.org")
    invited = store.invite(UPLOAD, 5, "image/jpeg", 900)
    assert invited.url.startswith(f"https://uploads.example.org/unmask/media/{UPLOAD}?")


def test_a_place_can_be_used_once_it_is_prepared(store):
    store.prepare()
    store.prepare()
    store.check()


@pytest.mark.parametrize(
    "key",
    [
        "media/../../etc/passwd",
        "media/ab",
        "other/" + "a" * 64,
        "media/" + "A" * 64,
        "uploads/upl_../../../../../../etc/passwd",
        "uploads/" + "a" * 64,
        "",
    ],
)
def test_only_digests_become_keys(store, key):
    with pytest.raises(ValueError, match="not a blob key"):
        store.read(key)


def test_a_bucket_that_is_not_there_is_the_world_being_down(aws):
    with pytest.raises(WorldDown):
        storage.connect("s3://nowhere/prefix").check()
    storage.connect("s3://nowhere/prefix").prepare()
    storage.connect("s3://nowhere/prefix").check()


def test_a_directory_in_the_way_is_the_world_being_down(tmp_path):
    (tmp_path / "media").write_text("a file, not a folder")
    with pytest.raises(WorldDown):
        storage.connect(f"file://{tmp_path}").put(KEY, io.BytesIO(b"bytes"))


def test_an_interrupted_put_leaves_nothing(tmp_path):
    class Torn(io.BytesIO):
        def read(self, size=-1):
            raise OSError("the client went away")

    store = storage.connect(f"file://{tmp_path}")
    with pytest.raises(WorldDown):
        store.put(KEY, Torn(b"bytes"))
    assert not store.exists(KEY)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("url", ["", "/tmp/media", "file://", "s3://", "http://example.org/x"])
def test_other_urls_are_refused(url):
    with pytest.raises(BadSettings):
        storage.connect(url)


def test_a_walk_comes_by_everything_once_in_bounded_steps(store):
    keys = {make(f"{n:02x}" * 32) for n in (1, 2, 250) for make in (storage.media_key, storage.thumbnail_key)}
    keys.add(storage.upload_key("upl_" + "0" * 26))
    store.prepare()
    assert store.walk("", 9) == ([], None)
    before = datetime.now(UTC) - timedelta(seconds=5)
    for key in keys:
        store.put(key, io.BytesIO(b"bytes"))
    seen, after, steps = [], "", 0
    while after is not None:
        found, after = store.walk(after, 2)
        assert len(found) <= 2
        seen += found
        steps += 1
    assert sorted(blob.key for blob in seen) == sorted(keys)
    assert all(before < blob.at <= datetime.now(UTC) + timedelta(seconds=5) for blob in seen)
    assert steps == 4


def test_a_walk_goes_on_where_it_was_whatever_was_removed_meanwhile(store):
    keys = [storage.media_key(f"{n:02x}" * 32) for n in range(4)]
    for key in keys:
        store.put(key, io.BytesIO(b"bytes"))
    _, after = store.walk("", 2)
    store.delete(keys[1])
    assert [blob.key for blob in store.walk(after, 9).found] == keys[2:]


def test_what_is_not_ours_is_passed_over(tmp_path):
    store = storage.connect(f"file://{tmp_path}")
    for name in ("README", "media/ab/cd/notes.txt", "lost+found/a/b/c", "media/" + "e" * 64):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("theirs")
    store.put(KEY, io.BytesIO(b"bytes"))
    assert [blob.key for blob in store.walk("", 9).found] == [KEY]


def test_what_interrupted_puts_left_in_a_directory_goes_once_it_is_old(tmp_path):
    store = storage.connect(f"file://{tmp_path}")
    store.put(KEY, io.BytesIO(b"bytes"))
    old, young = store.partial / "old", store.partial / "young"
    for path in (old, young):
        path.write_bytes(b"by")
    os.utime(old, (0, 0))
    store.clean(datetime.now(UTC) - timedelta(days=1))
    assert (old.exists(), young.exists(), store.read(KEY)) == (False, True, b"bytes")


def test_what_interrupted_puts_left_in_a_bucket_goes_once_it_is_old(aws):
    store = storage.connect("s3://torn/prefix")
    store.prepare()
    begun = store.client.create_multipart_upload(Bucket="torn", Key=f"prefix/{KEY}")

    def left():
        return store.client.list_multipart_uploads(Bucket="torn").get("Uploads", [])

    store.clean(datetime.now(UTC) - timedelta(days=30 * 365))
    assert [upload["UploadId"] for upload in left()] == [begun["UploadId"]]
    store.clean(datetime.now(UTC) + timedelta(minutes=1))
    assert left() == []
