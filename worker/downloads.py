"""One guarded GET: a URL that somebody else chose, its redirects, and a body that is as long as it likes.

Every address on the way is resolved, judged and pinned anew. The server is believed in nothing: not how long the body
is, not what it is (`media.inspect` asks the bytes), and not that it will ever end. Nothing is decompressed, so what
arrives is what is stored; cookies, credentials and referrers are neither kept nor sent.
"""

import ssl
import time
from collections.abc import Callable, Collection
from http.client import HTTPResponse
from typing import BinaryIO
from urllib.parse import quote, urljoin

from moderation import addresses
from moderation.addresses import Resolver, Target
from moderation.errors import ForbiddenAddress, NotFetched, Unresolved, WorldDown
from worker import connections

REDIRECTS = 3
AGENT = "Unmask-Fetcher/1"
PASSING = (408, 425, 429)  # besides every 5xx: the same request may be answered later
_PIECE = 65_536
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~-._"  # a Location keeps its own escapes


class Interrupted(Exception):
    """This process is asked to end; the fetch is given back to the line."""


def get(
    url: str,
    into: BinaryIO,
    *,
    most: int,
    seconds: float,
    allowed_networks: Collection[str] = (),
    resolver: Resolver | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
    admit: Callable[[int], object] = lambda _: None,
) -> int:
    """Writes the body that ``url`` leads to into ``into``; returns its bytes.

    Args:
        most: bytes that a body may have.
        seconds: on the clock for all of it: names, redirects, head and body.
        admit: called with the length of a body that names one, before it is read; it may raise.

    Raises:
        NotFetched: slug `forbidden-address`, `fetch-failed`, `fetch-timeout`, `fetch-status`, `fetch-redirect`,
            `fetch-encoded` or `too-large`.
        Interrupted: when ``is_stopping``.
    """
    until = time.monotonic() + seconds
    try:
        for _ in range(REDIRECTS + 1):
            target = addresses.resolve(
                url,
                schemes=addresses.MEDIA,
                allowed_networks=allowed_networks,
                resolver=resolver,
                seconds=min(connections.left(until), addresses.RESOLVING_SECONDS),
            )
            elsewhere = _exchange(target, into, most, until, is_stopping, admit)
            if elsewhere is None:
                return into.tell()
            if target.scheme == "https" and not elsewhere.lower().startswith("https:"):
                raise NotFetched("fetch-redirect", "the server redirects from https to an address without it")
            url = elsewhere
    except Unresolved as error:
        raise NotFetched("fetch-failed", error.detail, may_pass=True) from error
    except ForbiddenAddress as error:
        raise NotFetched(error.slug, error.detail) from error
    except ssl.SSLCertVerificationError as error:
        raise NotFetched("fetch-failed", f"the certificate is not valid: {error.verify_message}") from error
    except connections.TROUBLE as error:
        if isinstance(error, TimeoutError) or time.monotonic() >= until:
            raise NotFetched("fetch-timeout", f"not done within {seconds:g} s", may_pass=True) from error
        raise NotFetched("fetch-failed", f"{type(error).__name__}: {error}"[:200], may_pass=True) from error
    raise NotFetched("fetch-redirect", f"more than {REDIRECTS} redirects")


def _exchange(
    target: Target,
    into: BinaryIO,
    most: int,
    until: float,
    is_stopping: Callable[[], bool],
    admit: Callable[[int], object],
) -> str | None:
    """Asks one server; writes its body, or returns where it redirects to."""
    with connections.opened(target, until) as connection:
        headers = {
            "Host": connections.host(target),
            "User-Agent": AGENT,
            "Accept": "image/*, video/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        connection.request("GET", connections.path(target), headers=headers)
        with connection.getresponse() as response:
            connections.left(until)  # headers that the watchdog cut short look like the end of headers
            if response.status in (301, 302, 303, 307, 308):
                return _location(response, target)
            _check(response, most)
            admit(response.length or 0)
            _read(response, into, most, until, is_stopping)
            return None


def _location(response: HTTPResponse, target: Target) -> str:
    location = response.headers.get("Location")
    if not location:
        raise NotFetched("fetch-redirect", f"the server answered {response.status} without saying where to go")
    try:
        return urljoin(target.url, quote(location.strip(), safe=_AS_IT_IS, encoding="latin-1"))
    except (ValueError, UnicodeError):
        raise NotFetched("fetch-redirect", "the server redirects to what is not a URL") from None


def _check(response: HTTPResponse, most: int) -> None:
    status = response.status
    if status != 200:
        passing = status >= 500 or status in PASSING
        after = connections.retry_after(response) if passing else None
        raise NotFetched("fetch-status", f"the server answered {status}", may_pass=passing, retry_after=after)
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise NotFetched("fetch-encoded", "the server compressed the body although it was asked not to")
    if response.length is not None and response.length > most:
        raise _too_large(most)


def _read(response: HTTPResponse, into: BinaryIO, most: int, until: float, is_stopping: Callable[[], bool]) -> None:
    announced, size = response.length, 0
    while piece := response.read1(_PIECE):  # as it comes: of a slow server a full piece may never come
        size += len(piece)
        if size > most:
            raise _too_large(most)
        _keep(into, piece)
        connections.left(until)
        if is_stopping():
            raise Interrupted
    connections.left(until)  # what the watchdog cut short looks like the end of the body
    if announced is not None and size < announced:
        raise NotFetched("fetch-failed", f"the body ended after {size} of {announced} bytes", may_pass=True)


def _keep(into: BinaryIO, piece: bytes) -> None:
    try:
        into.write(piece)
    except OSError as error:  # a full disk is no fault of the server's
        raise WorldDown(f"what is fetched cannot be kept: {error}") from error


def _too_large(most: int) -> NotFetched:
    return NotFetched("too-large", f"the body is larger than {most} bytes")
