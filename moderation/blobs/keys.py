"""The names of blobs: SHA-256 digests and ids of our own making, under what they are.

Nothing that a client sent (a file name, an external id) ever becomes part of a path.
"""

import re

FORM = re.compile(r"(media|damaged|previews|thumbnails|strips)/[0-9a-f]{64}|uploads/upl_[0-9a-z]{26}")


def checked(key: str) -> str:
    """Returns ``key``; ValueError for one that is none of ours."""
    if not FORM.fullmatch(key):
        raise ValueError(f"not a blob key: {key!r}")
    return key


def media_key(sha256: str) -> str:
    """Returns the key of the bytes that were sent."""
    return f"media/{sha256}"


def damaged_key(sha256: str) -> str:
    """Returns the key of bytes that lay under a digest and are not what it says."""
    return f"damaged/{sha256}"


def digest(key: str) -> str | None:
    """Returns the SHA-256 that the bytes under ``key`` must have; None: their key says nothing of them."""
    kind, _, name = key.partition("/")
    return name if kind == "media" else None


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
    """Returns the keys of all that is kept of one media: its bytes, damaged ones included, and its renderings."""
    return media_key(sha256), damaged_key(sha256), preview_key(sha256), thumbnail_key(sha256), strip_key(sha256)
