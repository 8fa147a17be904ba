"""Bytes that are not those of their digest: never believed, set aside, replaced when sound ones come, told of."""

import hashlib
import io

import boto3
import pytest
from prometheus_client import REGISTRY

from moderation import blobs as storage
from moderation.blobs import checked
from moderation.errors import Damaged, NotFound

BODY = bytes(range(256)) * 500
SHA256 = hashlib.sha256(BODY).hexdigest()
KEY, ASIDE = storage.media_key(SHA256), storage.damaged_key(SHA256)

HURT = {
    "other bytes": b"a different file altogether",
    "cut short": BODY[: len(BODY) // 2],
    "its last byte missing": BODY[:-1],
    "nothing": b"",
    "one bit turned": BODY[:1000] + bytes([BODY[1000] ^ 1]) + BODY[1001:],
    "something behind it": BODY + b"\0",
    "its pieces in another order": BODY[63_999:] + BODY[:63_999],
    "as long, and zeros": b"\0" * len(BODY),
}  # fmt: skip


@pytest.fixture(params=["directory", "bucket"])
def store(request, tmp_path):
    if request.param == "directory":
        return storage.connect(f"file://{tmp_path}/media")
    request.getfixturevalue("aws")
    boto3.client("s3").create_bucket(Bucket="damaged")
    return storage.connect("s3://damaged/some/prefix")


def hurt(store, body):
    """Puts other bytes under the key, past every check."""
    store._store.delete(KEY)
    store._store.put(KEY, io.BytesIO(body))


def counted(found):
    return REGISTRY.get_sample_value("unmask_blobs_damaged_total", {"found": found}) or 0.0


@pytest.mark.parametrize("body", HURT.values(), ids=HURT)
def test_what_is_damaged_is_not_read_but_set_aside_and_counted(store, body):
    hurt(store, body)
    before = counted("read")
    with pytest.raises(Damaged):
        store.read(KEY)
    assert counted("read") == before + 1
    assert not store.exists(KEY)
    assert store.read(ASIDE) == body
    with pytest.raises(NotFound):
        store.read(KEY)
    store.put(KEY, io.BytesIO(BODY))
    assert store.read(KEY) == BODY


@pytest.mark.parametrize("body", HURT.values(), ids=HURT)
def test_sound_bytes_that_come_again_take_its_place(store, body):
    hurt(store, body)
    before = counted("put")
    store.put(KEY, io.BytesIO(BODY))
    assert counted("put") == before + 1
    assert store.read(KEY) == BODY
    assert store.read(ASIDE) == body


@pytest.mark.parametrize("body", HURT.values(), ids=HURT)
def test_what_is_damaged_is_not_copied_unnoticed(store, body):
    hurt(store, body)
    with pytest.raises(Damaged):
        store.copy(KEY, io.BytesIO(), 1 << 30)
    assert not store.exists(KEY)


def test_sound_bytes_are_read_copied_and_found_in_place(store):
    before = counted("read"), counted("put")
    store.put(KEY, io.BytesIO(BODY))
    store._trusted.clear()
    store.put(KEY, io.BytesIO(b"never looked at"))
    into = io.BytesIO()
    assert store.copy(KEY, into, len(BODY)) == len(BODY)
    assert store.read(KEY) == into.getvalue() == BODY
    assert (counted("read"), counted("put")) == before
    assert not store.exists(ASIDE)


def test_bytes_that_were_hurt_on_their_way_are_read_once_more(store, monkeypatch):
    store.put(KEY, io.BytesIO(BODY))
    sound, answers = store._store.read, [b"hurt"]
    monkeypatch.setattr(store._store, "read", lambda key: answers.pop() if answers else sound(key))
    assert store.read(KEY) == BODY
    assert store.exists(KEY)


def test_what_was_put_a_moment_ago_is_not_read_again_for_the_next_put(store, monkeypatch):
    store.put(KEY, io.BytesIO(BODY))
    monkeypatch.setattr(store._store, "copy", None)  # it would be a download
    store.put(KEY, io.BytesIO(BODY))
    now = checked.time.monotonic()
    monkeypatch.setattr(checked.time, "monotonic", lambda: now + checked.TRUSTED_SECONDS + 1)
    with pytest.raises(TypeError):
        store.put(KEY, io.BytesIO(BODY))


def test_sound_bytes_that_came_while_damaged_ones_were_read_are_kept(store, monkeypatch):
    hurt(store, b"other bytes")
    set_aside = store._store.set_aside

    def quicker(key):
        store._store.delete(KEY)
        store._store.put(KEY, io.BytesIO(BODY))
        set_aside(key)

    monkeypatch.setattr(store._store, "set_aside", quicker)
    before = counted("read")
    with pytest.raises(Damaged):  # it is asked again, and then finds them
        store.read(KEY)
    assert (store.read(KEY), store.exists(ASIDE), counted("read")) == (BODY, False, before)


def test_renderings_and_uploads_say_nothing_of_their_bytes(store):
    for key in (storage.preview_key(SHA256), storage.upload_key("upl_" + "0a" * 13)):
        store.put(key, io.BytesIO(b"a rendering"))
        assert store.read(key) == b"a rendering"


def test_what_was_set_aside_goes_with_its_medium(store):
    hurt(store, b"other bytes")
    with pytest.raises(Damaged):
        store.read(KEY)
    assert [blob.key for blob in store.walk("", 9).found] == [ASIDE]
    for key in storage.keys_of(SHA256):
        store.delete(key)
    assert store.walk("", 9).found == []
