"""What passes between a source and its adapter: terms and a message go in, an event with its media comes out.

Plain values, so that adapters can be tried on paper: nothing here knows the ledger, the web or the clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from moderation.tables import PRIORITIES, Json

URGENT = PRIORITIES.index("urgent")


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed with a sender.

    ``secrets`` verify, the present one first. ``documents`` are what a worker has fetched for this source, by URL.
    """

    secrets: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """What came: headers by lower-case name, the body as it was sent, and when (seconds since 1970)."""

    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Medium:
    """One piece of media that an event tells of.

    ``origin`` says where its bytes are, as `acceptance.expect` takes it. ``key`` names these very bytes among all that
    the source tells of: the same key never becomes a second submission, whichever event it comes with.
    """

    key: str
    origin: Json
    external_id: str | None = None
    context: Json = field(default_factory=dict)
    priority: int | None = None  # index into tables.PRIORITIES; the source's or the platform's own


@dataclass(frozen=True, slots=True)
class Event:
    """What a message means.

    ``name`` is the sender's word for it and ``key`` its deduplication key. ``note`` says why something of it is
    ignored. ``unready`` counts media that have no address yet. ``visit`` is an address that a worker is to visit once.
    """

    kind: Literal["probe", "ignored", "media"]
    name: str
    key: str = ""
    media: tuple[Medium, ...] = ()
    note: str = ""
    unready: int = 0
    visit: str = ""


def ignored(name: str, note: str) -> Event:
    """Returns an event of which nothing is taken; the sender is told ``note`` and that all is well."""
    return Event("ignored", name, note=note)


class Wanted(Exception):
    """An adapter needs a document that nobody has fetched yet; the sender is asked to come again."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(url)
