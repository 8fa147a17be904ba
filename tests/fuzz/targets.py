"""What is fuzzed: everything of ours that reads strangers' bytes in Python, each with the errors that it may raise.

`make fuzz` runs them under atheris for a bounded time. What it finds goes into `finds/` and is replayed by the tests.
"""

import io
import warnings
from collections.abc import Callable
from typing import Final

from PIL import Image

from formats import complexity, containers
from formats.complexity import Bounds, TooComplex
from formats.containers import NoVideo, TooManyTracks, Torn
from model import durations
from moderation import media
from moderation.errors import BadMedia
from worker import traces

_LIMITS: Final = {"max_pixels": 10_000_000, "max_frames": 100}


def parts(content: bytes) -> None:
    """How many parts a file has."""
    try:
        complexity.check(content, Bounds(8, 64, 200, 8))
    except TooComplex:
        return


def boxes(content: bytes) -> None:
    """What a video's container says."""
    try:
        movie = containers.read(io.BytesIO(content))
    except (Torn, NoVideo, TooManyTracks):
        return
    assert movie is None or all(track.width > 0 and track.height > 0 for track in movie.tracks)


def sniffing(content: bytes) -> None:
    """What intake says of a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of metadata; the product does not make errors of them
        try:
            facts = media.inspect(io.BytesIO(content), **_LIMITS)
        except BadMedia:
            return
    assert facts.width * facts.height > 0
    assert facts.bytes == len(content)


def traced(content: bytes) -> None:
    """Traces in EXIF, XMP, IPTC and text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = traces.read(content)
    assert len(found) <= traces.MOST
    for trace in found:
        assert set(trace) == {"where", "name", "text"}
        assert "\0" not in "".join(trace.values())


def exif(content: bytes) -> None:
    """An EXIF block in a JPEG, whatever it holds."""
    head = b"\xff\xd8\xff\xe1" + (len(content[:60_000]) + 8).to_bytes(2) + b"Exif\0\0" + content[:60_000]
    traced(head + _JPEG[2:])


def xmp(content: bytes) -> None:
    """An XMP packet in a PNG."""
    body = b"XML:com.adobe.xmp\0\0\0\0\0" + content
    chunk = len(body).to_bytes(4) + b"iTXt" + body + b"\0\0\0\0"
    traced(_PNG[:33] + chunk + _PNG[33:])


def shown(content: bytes) -> None:
    """How long the frames of an animation are shown."""
    for form in ("GIF", "WEBP", "PNG"):
        told = durations.seconds(content, form, 3)
        assert len(told) == 3
        assert all(seconds > 0 for seconds in told)


def _saved(form: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, form)
    return file.getvalue()


_JPEG, _PNG = _saved("JPEG"), _saved("PNG")
TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target for target in (parts, boxes, sniffing, traced, exif, xmp, shown)
}
