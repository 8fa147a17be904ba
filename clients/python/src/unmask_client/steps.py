"""What an operation asks of the world, as values: it is written once as a generator, and drivers only carry it out.

An operation yields steps, is sent what came of each, and returns its result. A `Request` brings the 2xx `Answer` that
it got in the end, or throws an `UnmaskError`: repeating is not the operation's business, see `exchange`, which yields
each `Attempt`. A `Pause` brings nothing; `Work` what the work returned, or throws what it raised. Nothing here opens a
connection, sleeps or starts a thread.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from unmask_client.files import Whole

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Its body is ``json``, or ``form`` and ``file`` as multipart, or ``file`` alone, or nothing."""

    method: str
    url: str  # a path of the API, or an absolute address
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: object = None
    form: Mapping[str, str] | None = None
    file: Whole | None = None
    repeatable: bool = True  # to send it twice does no more than to send it once
    held_seconds: float = 0.0  # for which the server may keep us waiting because we asked it to
    with_key: bool = True  # false: somebody else's address, which must never see the API key
    within: float | None = None  # seconds that attempts may take, where that is less than the client's patience


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, slots=True)
class Attempt:
    """Send a request once: brings an `Answer` of any status, or throws an `httpx.RequestError`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Pause:
    """Let some time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Call something that blocks: an event loop gives it to a thread."""

    call: Callable[[], object]


Step = Request | Attempt | Pause | Work
Steps = Generator[Step, Any, T]


def sent(request: Request) -> Steps[Answer]:
    """Sends a request until its answer is 2xx or its error stands."""
    return cast("Answer", (yield request))


def attempted(request: Request) -> Steps[Answer]:
    """Sends a request once."""
    return cast("Answer", (yield Attempt(request)))


def worked(call: Callable[[], T]) -> Steps[T]:
    """Calls something that blocks."""
    return cast("T", (yield Work(call)))
