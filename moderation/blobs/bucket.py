"""Blobs in S3, or in anything that speaks its protocol."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, ClassVar

from moderation.blobs import clients, keys
from moderation.blobs.store import Found, Invitation, Page, copy
from moderation.errors import NotFound, WorldDown


class Bucket:
    """Blobs in S3 or anything that speaks its protocol; the usual AWS variables configure the client."""

    is_far: ClassVar[bool] = True

    def __init__(self, bucket: str, prefix: str, upload_endpoint: str | None = None) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        signed: dict[str, Any] = {"signature_version": "s3v4"}  # which binds a presigned address to a length
        self.client: Any = clients.s3(**signed)
        self.signer: Any = clients.s3(endpoint_url=upload_endpoint, **signed) if upload_endpoint else self.client

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + keys.checked(key)}

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
            return copy(body, into, most)

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
        found = [Found(key, at) for key, at in seen if keys.FORM.fullmatch(key)]
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
