"""Blobs: media, previews, thumbnails and uploads as bytes under a key, in a directory or in S3.

Writing is atomic. Under a digest it is done once, and again changes nothing unless what is there is damaged (see
`checked`); an upload is replaced, as S3 does with what is put to a presigned address twice.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from moderation.blobs.bucket import Bucket
from moderation.blobs.checked import Checked
from moderation.blobs.directory import Directory
from moderation.blobs.keys import damaged_key, keys_of, media_key, preview_key, strip_key, thumbnail_key, upload_key
from moderation.blobs.store import Blobs, Found, Invitation, Page
from moderation.errors import BadSettings

__all__ = [
    "Blobs",
    "Bucket",
    "Checked",
    "Directory",
    "Found",
    "Invitation",
    "Page",
    "connect",
    "damaged_key",
    "keys_of",
    "media_key",
    "preview_key",
    "strip_key",
    "thumbnail_key",
    "upload_key",
]


def connect(url: str, *, upload_endpoint: str | None = None) -> Blobs:
    """Returns the store that ``url`` names: `file:///directory` or `s3://bucket/prefix`.

    Presigned addresses name ``upload_endpoint`` where platforms reach the bucket under another name than we do.

    Raises:
        BadSettings: for any other URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path:
        return Checked(Directory(Path(unquote(parts.path))))
    if parts.scheme == "s3" and parts.netloc:
        return Checked(Bucket(parts.netloc, parts.path.strip("/"), upload_endpoint))
    raise BadSettings("UNMASK_MEDIA must be file:///directory or s3://bucket/prefix")
