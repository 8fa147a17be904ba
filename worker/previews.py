"""What moderators see of a file: its first frame as the detector saw it (upright, RGB, no metadata), as WebP."""

import io

from PIL import Image

from model import pixels
from moderation import blobs as storage
from moderation import logs
from moderation.blobs import Blobs

PREVIEW_SIDE, THUMBNAIL_SIDE = 1600, 320

log = logs.get(__name__)


def store(blobs: Blobs, sha256: str, content: bytes) -> None:
    """Stores preview and thumbnail of ``content`` unless they are there. What cannot be rendered is logged, no more:
    a verdict must not depend on a picture of it.

    Raises:
        WorldDown: when storage does not answer.
    """
    if blobs.exists(storage.thumbnail_key(sha256)):  # the last to be stored: both are there
        return
    try:
        preview, thumbnail = render(content)
    except Exception:
        log.exception("preview_failed", sha256=sha256)
        return
    blobs.put(storage.preview_key(sha256), io.BytesIO(preview))
    blobs.put(storage.thumbnail_key(sha256), io.BytesIO(thumbnail))


def render(content: bytes) -> tuple[bytes, bytes]:
    """Returns a preview (long side at most 1600 px) and a thumbnail (320 px), both WebP. Small images stay small.

    Raises:
        OSError, ValueError: when the file cannot be decoded; files that the detector judged can be.
    """
    with Image.open(io.BytesIO(content), formats=pixels.FORMATS) as file:
        file.draft("RGB", (PREVIEW_SIDE, PREVIEW_SIDE))  # a large JPEG is decoded at a half to an eighth of its size
        image = Image.fromarray(pixels.upright(file))
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    preview = _webp(image)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return preview, _webp(image)


def _webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=82, method=2)  # method 4, the default, takes twice as long to save a few per cent
    return file.getvalue()
