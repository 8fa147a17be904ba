"""The registry of adapters: a module in `adapters` adds its own when imported, and all are when one is asked for.

So a new kind is one new file, and no list anywhere has to know of it.
"""

import importlib
import pkgutil
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from moderation.errors import Refused
from moderation.sources import adapters
from moderation.sources.events import Event, Message, Terms
from moderation.tables import PRIORITIES

SHARED_OPTIONS = {"priority": f"the line its media wait in: {', '.join(PRIORITIES)}"}


def new_token() -> str:
    """Returns 32 random bytes in hexadecimal."""
    return secrets.token_hex(32)


def check_token(secret: str) -> None:
    """Accepts any secret that cannot be guessed and fits into a header.

    Raises:
        Refused: for a secret of fewer than 16 characters, or with blanks or others than ASCII.
    """
    if not 16 <= len(secret) <= 256 or not secret.isascii() or any(c <= " " or c == "\x7f" for c in secret):
        raise Refused("a secret is 16 to 256 ASCII characters without blanks")


@dataclass(frozen=True, slots=True)
class Adapter:
    """How one kind of sender is understood.

    ``verify`` says in words how a message was proven, and raises `BadSignature` where it was not. ``read`` says what it
    means, and raises `BadEvent` where it cannot be read; it is called on unverified messages only in a dry run. Both
    may raise `Wanted`. ``options`` are those that it knows, and what each is for; without ``needs`` it takes nothing.
    ``lasting``: its media can be listed for as long as they exist, so what it told of is never forgotten.
    """

    kind: str
    about: str
    verify: Callable[[Terms, Message], str]
    read: Callable[[Terms, Message], Event]
    options: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    lasting: bool = False
    new_secret: Callable[[], str] = new_token
    check_secret: Callable[[str], None] = check_token


_adapters: dict[str, Adapter] = {}


def add(adapter: Adapter) -> Adapter:
    """Adds an adapter; the module that holds it calls this at its end."""
    _adapters[adapter.kind] = adapter
    return adapter


def find(kind: str) -> Adapter:
    """Returns the adapter of a kind.

    Raises:
        Refused: when no file in `adapters` brings it.
    """
    if kind not in _adapters:
        _discover()
    if kind not in _adapters:
        raise Refused(f"there is no adapter {kind}; there are {', '.join(kinds())}")
    return _adapters[kind]


def kinds() -> tuple[str, ...]:
    """Returns every kind that there is an adapter for."""
    _discover()
    return tuple(sorted(_adapters))


def _discover() -> None:
    for module in pkgutil.iter_modules(adapters.__path__):
        importlib.import_module(f"{adapters.__name__}.{module.name}")
