"""One signed POST to one pinned address. No redirects, no cookies, no proxies, and no more time than it is given.

The answer's status is all that is read of it: what a receiver writes is of no use here, and would bring whatever an
attacker can make a server say into our ledger.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from urllib.parse import urlsplit

from moderation.addresses import DEFAULT_PORTS, Target


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, or an error in words. ``retry_after`` is in seconds, where the receiver named it."""

    status: int | None = None
    error: str | None = None
    retry_after: float | None = None

    @property
    def is_success(self) -> bool:
        """Whether the receiver has the message."""
        return self.error is None and self.status is not None and 200 <= self.status < 300


def post(target: Target, body: str, headers: Mapping[str, str], *, timeout: float) -> Answer:
    """Sends ``body`` to ``target.address``, with the name and certificate of ``target.host``.

    Args:
        timeout: seconds on the clock for everything, however slowly the receiver drips its answer.
    """
    until = time.monotonic() + timeout
    try:
        with _connected(target, until) as connection:
            connection.request("POST", _path(target.url), body.encode(), {"Host": _host(target), **headers})
            response = connection.getresponse()
            _left(until)  # headers that the watchdog cut short look like the end of headers
        return _read(response)
    except (OSError, http.client.HTTPException) as error:
        late = isinstance(error, TimeoutError) or time.monotonic() >= until
        return Answer(error=f"no answer within {timeout:g} s" if late else f"{type(error).__name__}: {error}"[:200])


@contextmanager
def _connected(target: Target, until: float) -> Iterator[http.client.HTTPConnection]:
    stream = socket.create_connection((target.address, target.port), timeout=_left(until))
    if target.scheme == "https":
        stream.settimeout(_left(until))
        stream = _tls().wrap_socket(stream, server_hostname=target.host)
    stream.settimeout(_left(until))
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = stream
    # A timeout of a socket bounds each read, so one byte now and then would hold us for ever: this bounds them all.
    watchdog = threading.Timer(_left(until), _shut, (stream,))
    watchdog.start()
    try:
        yield connection
    finally:
        watchdog.cancel()
        connection.close()
        stream.close()


def _shut(stream: socket.socket) -> None:
    with suppress(OSError):  # closed in the meantime
        socket.socket.shutdown(stream, socket.SHUT_RDWR)  # of TLS too: only below it is another thread safe


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _host(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == DEFAULT_PORTS[target.scheme] else f"{host}:{target.port}"


def _read(response: http.client.HTTPResponse) -> Answer:
    status = response.status
    error = "redirects are not followed" if 300 <= status < 400 else None if status < 300 else f"answered {status}"
    return Answer(status, error, _seconds(response.headers.get("Retry-After")))


def _seconds(retry_after: str | None) -> float | None:
    """Reads a Retry-After header (RFC 9110, 10.2.3): seconds, or a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal() and retry_after.isascii():
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
