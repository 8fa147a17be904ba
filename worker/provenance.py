"""What files say of their own origin, as a verdict carries it: `{c2pa, generator_metadata}`.

`c2pa` is the signed manifest or None (`manifests`), `generator_metadata` the traces that generators leave (`traces`).
All of it is a claim, read by people; it may put a file before them and never clears one. It refuses nothing, so that no
file goes without a score for what is written beside its pixels.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from formats import signatures
from moderation import logs
from worker import traces
from worker.manifests import Reader

THREADS = 2
_UNKNOWN: Final = {signatures.BMP, signatures.WEBM}  # to C2PA's library, which is told what a file is

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
        kind = signatures.kind(content[: signatures.HEAD])
        manifest = None if kind is None or kind in _UNKNOWN else reader.read(content, kind.content_type)
        readable = content if kind is None else signatures.rebranded(content, kind)
        found = apart(traced, readable) if apart else traces.read(readable)
    except Exception:  # a bug in here must not cost a file its score
        log.exception("provenance_unread")
        return {"c2pa": None, "generator_metadata": []}
    return {"c2pa": manifest, "generator_metadata": found}
