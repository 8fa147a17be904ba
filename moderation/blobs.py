"""Blobs: media, previews, thumbnails and uploads as bytes under a key, in a directory or in S3.

Writing is atomic. Under a digest it is done once, and again changes nothing; an upload is replaced, as S3 does with
what is put to a presigned address twice. Keys are made here from SHA-256 digests and ids of our own making; nothing
that a client sent (a file name, an external id) ever becomes part of a path.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from moderation.errors import BadSettings, NotFound, TooLarge, WorldDown

_KEY = re.compile(r"(media|previews|thumbnails|strips)/[0-9a-f]{64}|uploads/upl_[0-9a-z]{26}")
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


def strip_key(sha256: str) -> str:
    """Returns the key of the WebP that shows frames of a clip side by side."""
    return f"strips/{sha256}"


def upload_key(upload_id: str) -> str:
    """Returns the key of what a platform puts in place before it submits it."""
    return f"uploads/{upload_id}"


def keys_of(sha256: str) -> tuple[str, ...]:
    """Returns the keys of everything that is kept of one media: its bytes and its renderings."""
    return media_key(sha256), preview_key(sha256), thumbnail_key(sha256), strip_key(sha256)


class Found(NamedTuple):
    """A blob that a walk came by, and when it was stored."""

    key: str
    at: datetime


class Page(NamedTuple):
    """A step of a walk. ``after`` is where the next one goes on; None: this was the last."""

    found: list[Found]
    after: str | None


class Invitation(NamedTuple):
    """An address that takes one PUT of announced bytes, without further credentials, if it carries these headers."""

    url: str
    headers: dict[str, str]


class Blobs(Protocol):
    """Where bytes live. Every method raises `WorldDown` when the place does not answer."""

    is_far: ClassVar[bool]  # storing takes so long that no connection to the ledger should be held meanwhile

    def put(self, key: str, file: BinaryIO) -> None:
        """Stores ``file`` from its beginning under ``key``, whole or not at all."""

    def read(self, key: str) -> bytes:
        """Returns the bytes; raises `NotFound` where there are none."""

    def copy(self, key: str, into: BinaryIO, most: int) -> int:
        """Writes the bytes to ``into`` in pieces and returns how many there are.

        Raises:
            NotFound: where there are none.
            TooLarge: when there are more than ``most``; nothing beyond them was written.
        """

    def invite(self, key: str, size: int, content_type: str, seconds: int) -> Invitation | None:
        """Returns an address in this place that takes ``size`` bytes for ``key``, or None: the API must take them."""

    def exists(self, key: str) -> bool:
        """Says whether there is anything under ``key``."""

    def delete(self, key: str) -> None:
        """Removes what is there; nothing there is fine."""

    def walk(self, after: str, limit: int) -> Page:
        """Looks at up to ``limit`` blobs in an order of the place's own, from ``after`` on; "" begins."""

    def clean(self, before: datetime) -> None:
        """Removes what puts that were interrupted ``before`` then have left."""

    def check(self) -> None:
        """Raises `WorldDown` unless the place can be used now."""

    def prepare(self) -> None:
        """Makes the place where it is not there yet."""


def connect(url: str, *, upload_endpoint: str | None = None) -> Blobs:
    """Returns the store that ``url`` names: `file:///directory` or `s3://bucket/prefix`.

    Presigned addresses name ``upload_endpoint`` where platforms reach the bucket under another name than we do.

    Raises:
        BadSettings: for any other URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path:
        return Directory(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return Bucket(parts.netloc, parts.path.strip("/"), upload_endpoint)
    raise BadSettings("UNMASK_MEDIA must be file:///directory or s3://bucket/prefix")


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a blob key: {key!r}")
    return key


class Directory:
    """Blobs as files, two levels of folders deep, so that no folder grows beyond what tools can list."""

    is_far: ClassVar[bool] = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.partial = root / "partial"  # in the same file system, so that what is whole is renamed into place

    def _path(self, key: str) -> Path:
        kind, name = _checked(key).split("/")
        spread = name[-4:] if kind == "uploads" else name[:4]  # an id begins with its time: its end is what differs
        return self.root / kind / spread[:2] / spread[2:] / name

    def put(self, key: str, file: BinaryIO) -> None:
        path = self._path(key)
        with _disk():
            if path.exists() and not key.startswith("uploads/"):
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self.partial.mkdir(exist_ok=True)
            file.seek(0)
            with tempfile.NamedTemporaryFile(dir=self.partial, delete=False) as partial:
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

    def copy(self, key: str, into: BinaryIO, most: int) -> int:
        with _disk():
            try:
                file = self._path(key).open("rb")
            except FileNotFoundError:
                raise NotFound("there is no such blob") from None
            with file:
                return _copy(file, into, most)

    def invite(self, key: str, size: int, content_type: str, seconds: int) -> None:  # noqa: ARG002 - no address of its own
        return None

    def exists(self, key: str) -> bool:
        with _disk():
            return self._path(key).exists()

    def delete(self, key: str) -> None:
        with _disk():
            self._path(key).unlink(missing_ok=True)

    def walk(self, after: str, limit: int) -> Page:
        with _disk():
            paths = list(islice(self._paths(self.root, after), limit))
            found = [blob for path in paths if (blob := self._found(path))]
        return Page(found, self._place(paths[-1]) if len(paths) == limit else None)

    def _paths(self, folder: Path, after: str, depth: int = 0) -> Iterator[Path]:
        """The files four levels down that come after a place, in order; folders that lie before it are not opened."""
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            place = self._place(path)
            if depth == 3:
                if place > after:
                    yield path
            elif path != self.partial and place >= after[: len(place)]:
                yield from self._paths(path, after, depth + 1)

    def _place(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _found(self, path: Path) -> Found | None:
        key = f"{path.relative_to(self.root).parts[0]}/{path.name}"
        if not _KEY.fullmatch(key):
            return None
        with contextlib.suppress(FileNotFoundError):
            return Found(key, datetime.fromtimestamp(path.stat().st_mtime, UTC))
        return None

    def clean(self, before: datetime) -> None:
        with _disk():
            for path in self.partial.iterdir() if self.partial.is_dir() else ():
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < before.timestamp():
                        path.unlink()

    def check(self) -> None:
        with _disk(), tempfile.TemporaryFile(dir=self.root):
            pass

    def prepare(self) -> None:
        with _disk():
            self.root.mkdir(parents=True, exist_ok=True)


def _copy(file: Any, into: BinaryIO, most: int) -> int:
    copied = 0
    while chunk := file.read(_COPY):
        copied += len(chunk)
        if copied > most:
            raise TooLarge(f"the file has more than {most} bytes")
        into.write(chunk)
    return copied


def _sync(directory: Path) -> None:
    """Makes a rename durable: a committed row must not outlive its bytes through a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Bucket:
    """Blobs in S3 or anything that speaks its protocol; the usual AWS variables configure the client."""

    is_far: ClassVar[bool] = True

    def __init__(self, bucket: str, prefix: str, upload_endpoint: str | None = None) -> None:
        import boto3  # here, so that a directory store does not pay half a second of imports
        from botocore.config import Config

        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        config = Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "max_attempts": 3},
            signature_version="s3v4",  # the one that binds a presigned address to a length
        )
        self.client: Any = boto3.client("s3", config=config)
        self.signer: Any = (
            boto3.client("s3", config=config, endpoint_url=upload_endpoint) if upload_endpoint else self.client
        )

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + _checked(key)}

    def put(self, key: str, file: BinaryIO) -> None:
        if not key.startswith("uploads/") and self.exists(key):
            return
        file.seek(0)
        with _bucket(), contextlib.closing(_Unclosed(file)) as body:
            self.client.upload_fileobj(body, **self._where(key))

    def read(self, key: str) -> bytes:
        with _bucket():
            body: bytes = self.client.get_object(**self._where(key))["Body"].read()
            return body

    def copy(self, key: str, into: BinaryIO, most: int) -> int:
        with _bucket(), contextlib.closing(self.client.get_object(**self._where(key))["Body"]) as body:
            return _copy(body, into, most)

    def invite(self, key: str, size: int, content_type: str, seconds: int) -> Invitation:
        bound = {**self._where(key), "ContentLength": size, "ContentType": content_type}
        with _bucket():
            url = self.signer.generate_presigned_url("put_object", Params=bound, ExpiresIn=seconds)
        return Invitation(url, {"Content-Type": content_type, "Content-Length": str(size)})

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

    def walk(self, after: str, limit: int) -> Page:
        with _bucket():
            listed = self.client.list_objects_v2(
                Bucket=self.bucket, Prefix=self.prefix, StartAfter=self.prefix + after, MaxKeys=limit
            )
        seen = [(item["Key"].removeprefix(self.prefix), item["LastModified"]) for item in listed.get("Contents", ())]
        found = [Found(key, at) for key, at in seen if _KEY.fullmatch(key)]
        return Page(found, seen[-1][0] if listed["IsTruncated"] and seen else None)

    def clean(self, before: datetime) -> None:
        with _bucket():
            begun = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix)
            for upload in begun.get("Uploads", ()):
                if upload["Initiated"] < before:
                    self.client.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )

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
