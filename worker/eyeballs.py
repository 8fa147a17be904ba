"""Connecting to a host that has several addresses, the first of which may be dead (Happy Eyeballs, RFC 8305).

Attempts begin one after the other and go on side by side. The first that stands is taken, and the others are dropped.
Which addresses may be tried is decided before (`moderation.addresses`).
"""

import errno
import os
import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

STAGGER = 0.25  # seconds that an attempt has to itself, as the RFC proposes
_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, errno.EINTR}


def connect(addresses: Sequence[str], port: int, until: float) -> socket.socket:
    """Returns a connected, blocking socket to one of ``addresses``.

    Args:
        addresses: IP addresses, the one to prefer first.
        until: on the clock of `time.monotonic`.

    Raises:
        TimeoutError: when none stands by then.
        OSError: when all fail before; the first one's error.
    """
    waiting, errors = list(addresses), list[OSError]()
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                if waiting:
                    _begin(selector, waiting.pop(0), port, errors)
                if (stream := _first(selector, until, bool(waiting), errors)) is not None:
                    return stream
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
    raise errors[0] if errors else OSError("a host without an address")


def left(until: float) -> float:
    """Returns the seconds until ``until``.

    Raises:
        TimeoutError: when there are none.
    """
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _begin(selector: selectors.BaseSelector, address: str, port: int, errors: list[OSError]) -> None:
    """Starts an attempt and leaves its socket with the selector, or notes why it cannot start."""
    stream = None
    try:
        stream = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        stream.setblocking(False)
        code = stream.connect_ex((address, port))
        if code and code not in _UNDER_WAY:
            raise OSError(code, os.strerror(code))
        selector.register(stream, selectors.EVENT_WRITE)
    except OSError as error:  # this machine may have no IPv6, or no way there
        errors.append(error)
        if stream is not None:
            stream.close()


def _first(
    selector: selectors.BaseSelector, until: float, has_more: bool, errors: list[OSError]
) -> socket.socket | None:
    """Returns the first socket that stands; None when it is time for the next attempt, or none is left."""
    turn = time.monotonic() + STAGGER
    while selector.get_map():
        pause = left(until)
        if has_more:
            pause = min(pause, turn - time.monotonic())
            if pause <= 0:
                return None
        for key, _ in selector.select(pause):
            stream = key.fileobj
            assert isinstance(stream, socket.socket)
            selector.unregister(stream)
            code = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                stream.setblocking(True)
                return stream
            errors.append(OSError(code, os.strerror(code)))
            with suppress(OSError):
                stream.close()
            if has_more:
                return None  # a failure is as good as the end of its turn
    return None
