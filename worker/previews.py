"""What moderators see of a file as the detector saw it (upright, RGB, no metadata), as WebP: a still image, or of a
clip its most suspicious frame, and a strip of a few frames side by side.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from model import pixels
from moderation import blobs as storage
from moderation import logs, timelines
from moderation.blobs import Blobs
from moderation.timelines import Frame
from worker.looking import Look

PREVIEW_SIDE, THUMBNAIL_SIDE, CELL_SIDE = 1600, 320, 240

log = logs.get(__name__)


def store(
    blobs: Blobs,
    sha256: str,
    content: bytes,
    frames: Sequence[Frame] = (),
    looks: Sequence[Look] = (),
    apart: Callable[..., Any] | None = None,
) -> None:
    """Stores preview and thumbnail of ``content`` unless they are there, and of a clip, which has ``frames`` that were
    judged and ``looks`` at them, the strip. ``apart`` calls a function in a process that may be ended. What cannot be
    rendered is logged, no more: a verdict must not depend on a picture of it.

    Raises:
        WorldDown: when storage does not answer.
    """
    if blobs.exists(storage.thumbnail_key(sha256)):  # the last to be stored: all are there
        return
    pictures = {look.index: look.picture for look in looks if look.picture is not None}
    try:
        shown = pictures.get(timelines.best(list(frames))) if frames else None
        if shown is not None:  # a picture of our own making
            preview, thumbnail = render(shown)
        else:
            preview, thumbnail = apart(rendered, content) if apart else render(content)
        strip = _strip([pictures[frame["index"]] for frame in timelines.strip(list(frames))]) if shown else None
    except Exception:
        log.exception("preview_failed")  # without its digest, which would outlive an erasure
        return
    if strip is not None:
        blobs.put(storage.strip_key(sha256), io.BytesIO(strip))
    blobs.put(storage.preview_key(sha256), io.BytesIO(preview))
    blobs.put(storage.thumbnail_key(sha256), io.BytesIO(thumbnail))


def _strip(pictures: Sequence[bytes]) -> bytes:
    """The pictures in a row of equal cells, each as wide as the first."""
    cells = []
    for picture in pictures:
        with Image.open(io.BytesIO(picture)) as file:
            file.draft("RGB", (CELL_SIDE, CELL_SIDE))
            cell = file.convert("RGB")
        cell.thumbnail((CELL_SIDE, CELL_SIDE))
        cells.append(cell)
    width, height = cells[0].size
    row = Image.new("RGB", (width * len(cells), height))
    for place, cell in enumerate(cells):
        row.paste(cell.resize((width, height)), (place * width, 0))
    return _webp(row)


def rendered(_tool: object, content: bytes) -> tuple[bytes, bytes]:
    """As `render`, as a cell of a sandbox does it."""
    return render(content)


def render(content: bytes) -> tuple[bytes, bytes]:
    """Returns a preview (long side at most 1600 px) and a thumbnail (320 px), both WebP. Small images stay small.

    Raises:
        BadImage: when the file cannot be decoded; files that the detector judged can be.
    """
    image = Image.fromarray(pixels.small(content, PREVIEW_SIDE))
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    preview = _webp(image)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return preview, _webp(image)


def _webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=82, method=2)  # method 4, the default, takes twice as long to save a few per cent
    return file.getvalue()
