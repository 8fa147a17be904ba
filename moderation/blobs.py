"""Blobs: media, previews and thumbnails as bytes under a key, in a directory or in S3.

Writing is atomic and doing it twice changes nothing. Keys are made here from SHA-256 digests only; nothing that a
client sent (a file name, an id) ever becomes part of a path.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from moderation.errors import BadSettings, NotFound, WorldDown

_KEY = re.compile(r"(media|previews|thumbnails)/[0-9a-f]{64}")
_COPY = 1 << 20


def media_key(sha256: str) -> str:
    """Returns the key of the bytes that were sent."""
    return f"media/{sha256}"


def preview_key(sha256: str) -> str:
    """Returns the key of the WebP rendering that moderators see (long side at most 1600 px)."""
    return f"previews/{sha256}"


def thumbnail_key(sha256: str) -> str:
    """Returns the key of the WebP rendering for lists (long side at most 320 px)."""
    return f"thumbnails/{sha256}"


class Blobs(Protocol):
    """Where bytes live. Every method raises `WorldDown` when the place does not answer."""

    def put(self, key: str, file: BinaryIO) -> None:
        """Stores ``file`` from its beginning under ``key``, whole or not at all."""

    def read(self, key: str) -> bytes:
        """Returns the bytes; raises `NotFound` where there are none."""

    def exists(self, key: str) -> bool:
        """Says whether there is anything under ``key``."""

    def delete(self, key: str) -> None:
        """Removes what is there; nothing there is fine."""

    def check(self) -> None:
        """Raises `WorldDown` unless the place can be used now."""

    def prepare(self) -> None:
        """Makes the place where it is not there yet."""


def connect(url: str) -> Blobs:
    """Returns the store that ``url`` names: `file:///directory` or `s3://bucket/prefix`.

    Raises:
        BadSettings: for any other URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path:
        return Directory(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return Bucket(parts.netloc, parts.path.strip("/"))
    raise BadSettings("UNMASK_MEDIA must be file:///directory or s3://bucket/prefix")


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a blob key: {key!r}")
    return key


class Directory:
    """Blobs as files, two levels of folders deep, so that no folder grows beyond what tools can list."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, key: str) -> Path:
        kind, digest = _checked(key).split("/")
        return self.root / kind / digest[:2] / digest[2:4] / digest

    def put(self, key: str, file: BinaryIO) -> None:
        path = self._path(key)
        with _disk():
            if path.exists():
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            file.seek(0)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".put-", delete=False) as partial:
                try:
                    while chunk := file.read(_COPY):
                        partial.write(chunk)
                    partial.flush()
                    os.fsync(partial.fileno())
                    Path(partial.name).replace(path)  # whoever opens the key sees all of it or nothing
                except BaseException:
                    Path(partial.name).unlink(missing_ok=True)
                    raise
            _sync(path.parent)

    def read(self, key: str) -> bytes:
        with _disk():
            try:
                return self._path(key).read_bytes()
            except FileNotFoundError:
                raise NotFound("there is no such blob") from None

    def exists(self, key: str) -> bool:
        with _disk():
            return self._path(key).exists()

    def delete(self, key: str) -> None:
        with _disk():
            self._path(key).unlink(missing_ok=True)

    def check(self) -> None:
        with _disk(), tempfile.TemporaryFile(dir=self.root):
            pass

    def prepare(self) -> None:
        with _disk():
            self.root.mkdir(parents=True, exist_ok=True)


def _sync(directory: Path) -> None:
    """Makes a rename durable: a committed row must not outlive its bytes through a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Bucket:
    """Blobs in S3 or anything that speaks its protocol; the usual AWS variables configure the client."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3  # here, so that a directory store does not pay half a second of imports
        from botocore.config import Config

        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.client: Any = boto3.client(
            "s3", config=Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 3})
        )

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + _checked(key)}

    def put(self, key: str, file: BinaryIO) -> None:
        if self.exists(key):
            return
        file.seek(0)
        with _bucket(), contextlib.closing(_Unclosed(file)) as body:
            self.client.upload_fileobj(body, **self._where(key))

    def read(self, key: str) -> bytes:
        with _bucket():
            body: bytes = self.client.get_object(**self._where(key))["Body"].read()
            return body

    def exists(self, key: str) -> bool:
        try:
            with _bucket():
                self.client.head_object(**self._where(key))
        except NotFound:
            return False
        return True

    def delete(self, key: str) -> None:
        with _bucket():
            self.client.delete_object(**self._where(key))

    def check(self) -> None:
        try:
            with _bucket():
                self.client.head_bucket(Bucket=self.bucket)
        except NotFound:
            raise WorldDown(f"there is no media bucket {self.bucket}") from None

    def prepare(self) -> None:
        try:
            with _bucket():
                self.client.head_bucket(Bucket=self.bucket)
        except NotFound:
            with _bucket():
                self.client.create_bucket(Bucket=self.bucket)


class _Unclosed:
    """A view of a file that its reader cannot close: boto3 closes what it uploads, and callers go on reading."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell

    def close(self) -> None:
        """Leaves the file open."""


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorldDown(f"the media directory cannot be used: {error}") from error


@contextlib.contextmanager
def _bucket() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if str(error.response.get("Error", {}).get("Code")) in ("404", "NoSuchKey", "NotFound"):
            raise NotFound("there is no such blob") from None
        raise WorldDown(f"the media bucket refuses: {error}") from error
    except (BotoCoreError, OSError) as error:
        raise WorldDown(f"the media bucket does not answer: {error}") from error
