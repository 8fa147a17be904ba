"""One connection to a pinned host, for callbacks that go out and for media that comes in.

No proxies, no cookies, and no more time than it is given: the clock covers everything that happens on it. What a server
says at the head of its answer is bounded as well, since parsers keep all of it.
"""

import http
import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from urllib.parse import urlsplit

from moderation.addresses import DEFAULT_PORTS, Target
from worker import eyeballs
from worker.eyeballs import left

LONGEST_HEAD = 65_536  # bytes of status lines and headers, those of interim answers included

__all__ = ["LONGEST_HEAD", "TROUBLE", "host", "left", "opened", "path", "retry_after"]

# What a server or the way to it can do wrong; nothing else that these modules raise is about it.
TROUBLE = (OSError, http.client.HTTPException)


@contextmanager
def opened(target: Target, until: float) -> Iterator[http.client.HTTPConnection]:
    """Connects to one of ``target.addresses``, with the name and certificate of ``target.host``, for a block's length.

    Args:
        until: on the clock of `time.monotonic`. Past it the connection is cut, which a reader sees as its end: ask
            `left` after reading.

    Raises:
        TimeoutError, OSError: when it cannot be reached, or proves to be somebody else.
    """
    stream = eyeballs.connect(target.addresses, target.port, until)
    try:
        if target.scheme == "https":
            stream.settimeout(left(until))
            stream = _tls().wrap_socket(stream, server_hostname=target.host)
        stream.settimeout(left(until))
    except BaseException:
        stream.close()
        raise
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.response_class = _Response
    connection.sock = stream
    # A timeout of a socket bounds each read, so one byte now and then would hold us for ever: this bounds them all.
    watchdog = threading.Timer(max(until - time.monotonic(), 0), _shut, (stream,))
    watchdog.daemon = True
    watchdog.start()
    try:
        yield connection
    finally:
        watchdog.cancel()
        connection.close()
        stream.close()


def path(target: Target) -> str:
    """Returns what is asked of the server: path and query, without the fragment."""
    parts = urlsplit(target.url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def host(target: Target) -> str:
    """Returns the Host header: the name, and the port where it is not the scheme's own."""
    name = f"[{target.host}]" if ":" in target.host else target.host
    return name if target.port == DEFAULT_PORTS[target.scheme] else f"{name}:{target.port}"


def retry_after(response: http.client.HTTPResponse) -> float | None:
    """Reads the Retry-After header (RFC 9110, 10.2.3), seconds or a date, as seconds; None where there is none."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    if value.strip().isdecimal() and value.isascii():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


class _Response(http.client.HTTPResponse):
    """An answer whose head has a limit: the standard library's own is 100 headers of 64 KiB, and endless 100s.

    Interim answers (RFC 9110, 15.2) come before the final one and are skipped; the standard library skips 100 alone.
    """

    def begin(self) -> None:
        head = _Head(self.fp.detach())
        self.fp = head
        super().begin()
        head.room = None

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            told: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 100 <= told[1] < 200 or told[1] == http.HTTPStatus.SWITCHING_PROTOCOLS:  # which nobody asked for
                return told
            http.client.parse_headers(self.fp)


class _Head(io.BufferedReader):
    """A buffered stream that stops reading lines when ``room`` bytes of them were read; None: no limit any more."""

    room: int | None = LONGEST_HEAD

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(-1 if size is None else size)
        if self.room is not None:
            self.room -= len(line)
            if self.room < 0:
                raise http.client.LineTooLong("head of an answer")
        return line


def _shut(stream: socket.socket) -> None:
    with suppress(OSError):  # closed in the meantime
        socket.socket.shutdown(stream, socket.SHUT_RDWR)  # of TLS too: only below it is another thread safe


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
