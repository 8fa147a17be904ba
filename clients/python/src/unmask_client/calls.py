"""The shapes most calls have: ask and read what is answered; ask for a list, a page at a time; name one thing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from unmask_client import reading
from unmask_client.errors import BadAnswer
from unmask_client.steps import Request, Steps, sent

T = TypeVar("T")
_ID = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and where the rest begins."""

    items: tuple[T, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list that the server gives out a page at a time."""

    kind: type[T]
    path: str
    query: Mapping[str, str]

    def page(self, cursor: str | None) -> Steps[Page[T]]:
        """Reads the page that begins at ``cursor``; None is the first."""
        query = {**self.query, **({"cursor": cursor} if cursor is not None else {})}
        answer = yield from sent(Request("GET", self.path, query=query))
        found = reading.parsed(answer.body)
        items = found.get("items") if isinstance(found, dict) else None
        if not isinstance(items, list):
            raise BadAnswer("the answer has no list of items")
        return Page(tuple(reading.read(self.kind, item) for item in items), found.get("next_cursor"))


def listing(kind: type[T], path: str, **filters: str | int | None) -> Listing[T]:
    """Returns the list at ``path`` of what meets all ``filters`` that are not None."""
    return Listing(kind, path, {name: str(value) for name, value in filters.items() if value is not None})


def asked(kind: type[T], request: Request) -> Steps[T]:
    """Sends a request and reads its answer as the dataclass ``kind``."""
    return reading.document(kind, (yield from sent(request)).body)


def done(request: Request) -> Steps[None]:
    """Sends a request whose answer says no more than that it was done."""
    yield from sent(request)


def named(path: str, name: str) -> str:
    """Returns the path of one thing.

    Raises:
        ValueError: when ``name`` is no id: it would make another path of it.
    """
    if not _ID.fullmatch(name):
        raise ValueError(f"{name!r} is no id")
    return f"{path}/{name}"
