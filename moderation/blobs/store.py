"""What a place for blobs can do, whichever it is."""

from datetime import datetime
from typing import Any, BinaryIO, ClassVar, NamedTuple, Protocol

from moderation.errors import TooLarge

COPY_BYTES = 1 << 20


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

    def set_aside(self, key: str) -> None:
        """Moves media to `damaged/` under the same digest, in the place of what is there; nothing there is fine."""

    def walk(self, after: str, limit: int) -> Page:
        """Looks at up to ``limit`` blobs in an order of the place's own, from ``after`` on; "" begins."""

    def clean(self, before: datetime) -> None:
        """Removes what puts that were interrupted ``before`` then have left."""

    def check(self) -> None:
        """Raises `WorldDown` unless the place can be used now."""

    def prepare(self) -> None:
        """Makes the place where it is not there yet."""


def copy(file: Any, into: BinaryIO, most: int) -> int:
    """Writes what ``file`` holds to ``into`` in pieces, and says how much; TooLarge beyond ``most`` bytes."""
    copied = 0
    while chunk := file.read(COPY_BYTES):
        copied += len(chunk)
        if copied > most:
            raise TooLarge(f"the file has more than {most} bytes")
        into.write(chunk)
    return copied
