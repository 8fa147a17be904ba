"""Stores that speak S3 and refuse the checksums that newer versions of boto3 add by themselves."""

import contextlib
import hashlib
import io
import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from moderation import blobs as storage
from moderation.blobs import clients
from tests.worker.pages import listening
from worker import buckets

ROOT = Path(__file__).parents[2]
KEY = storage.media_key(hashlib.sha256(b"bytes").hexdigest())


class Store(BaseHTTPRequestHandler):
    """Keeps what is put, and refuses every header and trailer about checksums."""

    protocol_version = "HTTP/1.1"
    kept: dict[str, bytes]
    refused: list[str]

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        if found := strange(self.headers):
            self.refused.extend(found)
            self.answer(501, b"<Error><Code>NotImplemented</Code></Error>")
        elif self.command == "PUT":
            self.kept[path] = body
            self.answer(200)
        elif self.command == "DELETE":
            del self.kept[path]
            self.answer(204)
        elif path.count("/") < 2:
            self.answer(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        else:
            known = path in self.kept
            self.answer(200 if known else 404, self.kept.get(path, b"<Error><Code>NoSuchKey</Code></Error>"))

    def answer(self, status, body=b""):
        self.send_response(status)
        # a checksum of something else: a client that checks without need refuses sound bytes
        for name, value in {
            "Content-Length": str(len(body)),
            "ETag": '"x"',
            "x-amz-checksum-crc32": "AAAAAA==",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_DELETE = handle_any  # noqa: N815 - the standard library's names

    def log_message(self, *_):
        pass


def strange(headers):
    found = [name for name in headers if "checksum" in name.lower() or name.lower() == "x-amz-trailer"]
    chunked = "aws-chunked" in headers.get("Content-Encoding", "")
    return [*found, *(["aws-chunked"] if chunked else [])]


@contextlib.contextmanager
def strict_store():
    """Yields the store's address, what it keeps, and what it refused."""
    kept, refused = {}, []
    with listening(type("Store", (Store,), {"kept": kept, "refused": refused})) as port:
        yield f"http://127.0.0.1:{port}", kept, refused


@pytest.fixture
def store(monkeypatch):
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with strict_store() as (url, kept, refused):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield url, kept, refused


def test_our_own_bucket_works_on_a_store_that_refuses_checksums(store):
    _, kept, refused = store
    blobs = storage.connect("s3://media")
    blobs.put(KEY, io.BytesIO(b"bytes"))
    assert kept == {f"/media/{KEY}": b"bytes"}
    assert blobs.read(KEY) == b"bytes"
    assert blobs.exists(KEY)
    into = io.BytesIO()
    assert blobs.copy(KEY, into, 99) == 5
    assert blobs.walk("", 9).found == []
    blobs.check()
    blobs.delete(KEY)
    assert (kept, refused) == ({}, [])


def test_a_platforms_bucket_works_on_a_store_that_refuses_checksums(store):
    url, kept, refused = store
    kept["/uploads/in/a.jpg"] = b"bytes"
    into = io.BytesIO()
    options = {"bucket": "uploads", "endpoint_url": url}
    assert buckets.get({"bucket": "uploads", "key": "in/a.jpg"}, options, into, most=99, seconds=30) == 5
    assert into.getvalue() == b"bytes"
    assert refused == []


def test_a_presigned_address_asks_for_no_checksum(store):
    invited = storage.connect("s3://media").invite("uploads/upl_" + "0" * 26, 5, "image/jpeg", 60)
    assert "checksum" not in invited.url.lower()
    assert not [name for name in invited.headers if "checksum" in name.lower()]


def test_the_store_of_these_tests_does_refuse_what_boto3_would_send(store):
    import boto3
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError):
        boto3.client("s3").put_object(Bucket="media", Key="x", Body=b"bytes")
    assert store[2]


def test_one_place_makes_all_clients():
    named = {
        path.relative_to(ROOT).as_posix()
        for room in ("api", "cli", "moderation", "worker", "model")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"\bboto3\.(client|resource|Session)\b|\bimport boto3\b", path.read_text())
    }
    assert named == {"moderation/blobs/clients.py"}
    assert clients.s3(region="eu-central-1", endpoint_url="http://127.0.0.1:1").meta.region_name == "eu-central-1"
