"""What files say of their own origin, as a verdict carries it: `{c2pa, generator_metadata}`.

`c2pa` is the signed manifest or None (`manifests`), `generator_metadata` the traces that generators leave (`traces`).
All of it is a claim, read by people; it may put a file before them and never clears one. It refuses nothing, so that no
file goes without a score for what is written beside its pixels.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from moderation import logs
from worker import traces
from worker.manifests import Reader

THREADS = 2
# C2PA's library is told what a file is; it knows no BMP and no WebM.
_TYPES: Final = {
    (0, b"\xff\xd8\xff"): "image/jpeg",
    (0, b"\x89PNG"): "image/png",
    (0, b"GIF8"): "image/gif",
    (8, b"WEBP"): "image/webp",
    (0, b"II*\0"): "image/tiff",
    (0, b"MM\0*"): "image/tiff",
    (4, b"ftypavi"): "image/avif",
    (4, b"ftyphe"): "image/heic",
    (4, b"ftypmif1"): "image/heif",
    (4, b"ftypqt  "): "video/quicktime",
    (4, b"ftyp"): "video/mp4",
}

log = logs.get(__name__)


def read(reader: Reader, files: Sequence[bytes], apart: Callable[..., Any] | None = None) -> list[dict[str, Any]]:
    """Returns each file's provenance, in order. ``apart`` calls a function in a process that may be ended."""
    with ThreadPoolExecutor(THREADS, "provenance") as pool:
        return list(pool.map(lambda content: _of(reader, content, apart), files))


def traced(_tool: object, content: bytes) -> list[dict[str, str]]:
    """The traces in a file, as a cell of a sandbox finds them."""
    return traces.read(content)


def _of(reader: Reader, content: bytes, apart: Callable[..., Any] | None) -> dict[str, Any]:
    try:
        kind = next((kind for (at, magic), kind in _TYPES.items() if content[at : at + len(magic)] == magic), None)
        found = apart(traced, content) if apart else traces.read(content)
        return {"c2pa": kind and reader.read(content, kind), "generator_metadata": found}
    except Exception:  # a bug in here must not cost a file its score
        log.exception("provenance_unread")
        return {"c2pa": None, "generator_metadata": []}
