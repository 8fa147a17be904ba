import io

import boto3
import pytest

from moderation.errors import NotFetched
from tests.conftest import jpeg
from worker import buckets
from worker.downloads import Interrupted

BODY = jpeg()


@pytest.fixture
def source(aws, monkeypatch):
    """A bucket with one object in two versions; the options of a source that names it."""
    client = boto3.client("s3")
    monkeypatch.delenv("AWS_ENDPOINT_URL")  # the source says where
    for bucket in ("theirs", "ours"):
        client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket="theirs", VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket="theirs", Key="a b/ü.jpg", Body=BODY)
    client.put_object(Bucket="theirs", Key="a b/ü.jpg", Body=jpeg("blue"))
    return {"bucket": "others, theirs", "endpoint_url": aws, "region": "us-east-1"}, old


def get(options, origin, **limits):
    file = io.BytesIO()
    buckets.get(origin, options, file, **{"most": 50_000, "seconds": 20, **limits})
    return file.getvalue()


def test_an_object_is_read_as_it_is_or_as_it_was(source):
    options, old = source
    origin = {"bucket": "theirs", "key": "a b/ü.jpg"}
    assert get(options, origin) == jpeg("blue")
    assert get(options, origin | {"version": old["VersionId"], "etag": old["ETag"].strip('"')}) == BODY


@pytest.mark.parametrize(
    ("origin", "slug", "said"),
    [
        ({"bucket": "ours"}, "forbidden-address", "no bucket"),
        ({"bucket": "the"}, "forbidden-address", "no bucket"),
        ({"bucket": ""}, "forbidden-address", "no bucket"),
        ({"key": "other.jpg"}, "fetch-status", "NoSuchKey"),
        ({"bucket": "others"}, "fetch-status", "NoSuchBucket"),
        ({"etag": "0" * 32}, "fetch-status", "replaced"),
    ],
)
def test_what_cannot_be_had_says_why(source, origin, slug, said):
    with pytest.raises(NotFetched, match=said) as caught:
        get(source[0], {"bucket": "theirs", "key": "a b/ü.jpg"} | origin)
    assert (caught.value.slug, caught.value.may_pass) == (slug, False)


def test_a_source_without_buckets_opens_none(source):
    with pytest.raises(NotFetched, match="no bucket"):
        get({**source[0], "bucket": ""}, {"bucket": "", "key": "a"})


def test_limits_hold(source):
    origin = {"bucket": "theirs", "key": "a b/ü.jpg"}
    with pytest.raises(NotFetched) as caught:
        get(source[0], origin, most=100)
    assert caught.value.slug == "too-large"
    with pytest.raises(NotFetched) as caught:
        get(source[0], origin, seconds=-1)
    assert (caught.value.slug, caught.value.may_pass) == ("fetch-timeout", True)
    with pytest.raises(Interrupted):
        get(source[0], origin, is_stopping=lambda: True)


def test_a_bucket_that_does_not_answer_may_answer_later(source, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(NotFetched) as caught:
        get({**source[0], "endpoint_url": "http://127.0.0.1:1"}, {"bucket": "theirs", "key": "a"})
    assert (caught.value.slug, caught.value.may_pass) == ("fetch-failed", True)
