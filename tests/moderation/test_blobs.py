import io
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from moderation import blobs as storage
from moderation.blobs import Blobs
from moderation.errors import BadSettings, NotFound, WorldDown

KEY = storage.media_key("ab" * 32)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["directory", "bucket"])
def store(request, tmp_path, monkeypatch) -> Blobs:
    """The same tests run over both stores."""
    if request.param == "directory":
        return storage.connect(f"file://{tmp_path}/media%20here")
    endpoint = request.getfixturevalue("s3")
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
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


def test_a_place_can_be_used_once_it_is_prepared(store):
    store.prepare()
    store.prepare()
    store.check()


@pytest.mark.parametrize("key", ["media/../../etc/passwd", "media/ab", "other/" + "a" * 64, "media/" + "A" * 64, ""])
def test_only_digests_become_keys(store, key):
    with pytest.raises(ValueError, match="not a blob key"):
        store.read(key)


def test_a_bucket_that_is_not_there_is_the_world_being_down(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
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
