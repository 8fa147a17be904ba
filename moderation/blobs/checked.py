"""A store whose media are what their keys say: their SHA-256 is checked when they are read, and when `put` finds them.

A disk, a copied bucket or a careless hand may change bytes under a digest. Believed, they would be scored in the place
of what was sent, and everybody who sends the same again would get their verdict. Damaged bytes are set aside under
`damaged/`, where nothing reads them; they are counted, logged, and go with the medium when it is erased. Sound bytes
that are sent again take their place. Renderings and uploads have no digest of their own and are not checked.
"""

import hashlib
import io
import time
from collections import OrderedDict
from contextlib import suppress
from datetime import datetime
from typing import Any, BinaryIO, ClassVar, cast

from moderation import logs, metrics
from moderation.blobs import keys
from moderation.blobs.store import Blobs, Invitation, Page
from moderation.errors import Damaged, NotFound

TRUSTED_SECONDS = 60.0  # a far store's bytes are put ahead of the transaction, and once more in it
TRUSTED_KEYS = 1024

log = logs.get(__name__)


class Checked:
    """See the module. All else is the store's own, attributes that its class has beside the protocol included."""

    is_far: ClassVar[bool]

    def __init__(self, store: Blobs) -> None:
        self._store = store
        self._trusted: OrderedDict[str, float] = OrderedDict()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, file: BinaryIO) -> None:
        if keys.digest(key) is None:
            self._store.put(key, file)
            return
        if self._store.exists(key) and not self._is_trusted(key) and not self._is_sound(key):
            self._set_aside(key, "put")
        self._store.put(key, file)
        self._trust(key)

    def read(self, key: str) -> bytes:
        content, expected = self._store.read(key), keys.digest(key)
        if expected is None or _is(content, expected):
            return content
        content = self._store.read(key)  # once more: it may have been hurt on its way
        if _is(content, expected):
            return content
        self._set_aside(key, "read")
        raise Damaged

    def copy(self, key: str, into: BinaryIO, most: int) -> int:
        expected = keys.digest(key)
        if expected is None:
            return self._store.copy(key, into, most)
        through = _Hashing(into)
        copied = self._store.copy(key, cast("BinaryIO", through), most)
        if through.digest.hexdigest() != expected:
            if not self._is_sound(key):
                self._set_aside(key, "read")
            raise Damaged
        return copied

    def _is_sound(self, key: str) -> bool:
        sink = _Hashing()
        try:
            self._store.copy(key, cast("BinaryIO", sink), 1 << 62)
        except NotFound:
            return True  # gone meanwhile: the store puts it anew
        return sink.digest.hexdigest() == keys.digest(key)

    def _set_aside(self, key: str, found: str) -> None:
        """Moves damaged bytes away. Sound ones that somebody has put in their place meanwhile are put back."""
        self._store.set_aside(key)
        self._trusted.pop(key, None)
        expected = keys.digest(key) or ""
        aside = keys.damaged_key(expected)
        with suppress(NotFound):  # another process was quicker
            content = self._store.read(aside)
            if _is(content, expected):
                self._store.put(key, io.BytesIO(content))
                self._store.delete(aside)
                return
        metrics.damaged.labels(found).inc()
        log.error("blob_damaged", key=key, found=found, aside=aside)

    def _is_trusted(self, key: str) -> bool:
        return time.monotonic() - self._trusted.get(key, -TRUSTED_SECONDS) < TRUSTED_SECONDS

    def _trust(self, key: str) -> None:
        self._trusted[key] = time.monotonic()
        self._trusted.move_to_end(key)
        while len(self._trusted) > TRUSTED_KEYS:
            self._trusted.popitem(last=False)

    def invite(self, key: str, size: int, content_type: str, seconds: int) -> Invitation | None:
        return self._store.invite(key, size, content_type, seconds)

    def exists(self, key: str) -> bool:
        return self._store.exists(key)

    def delete(self, key: str) -> None:
        self._trusted.pop(key, None)
        self._store.delete(key)

    def set_aside(self, key: str) -> None:
        self._store.set_aside(key)

    def walk(self, after: str, limit: int) -> Page:
        return self._store.walk(after, limit)

    def clean(self, before: datetime) -> None:
        self._store.clean(before)

    def check(self) -> None:
        self._store.check()

    def prepare(self) -> None:
        self._store.prepare()


class _Hashing:
    """What bytes are written to on their way to a file, or to nowhere: as much of a file as `Blobs.copy` asks for."""

    def __init__(self, into: BinaryIO | None = None) -> None:
        self._into, self.digest = into, hashlib.sha256()

    def write(self, piece: bytes) -> int:
        self.digest.update(piece)
        return len(piece) if self._into is None else self._into.write(piece)


def _is(content: bytes, sha256: str) -> bool:
    return hashlib.sha256(content).hexdigest() == sha256
