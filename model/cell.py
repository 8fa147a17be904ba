"""A cell: the process that runs what `model.sandbox` gives it, one call at a time. It has nothing to lose.

A message is a pickle in a file of memory, whose descriptor comes over a socket; so nothing is written to a pipe piece
by piece, and neither side waits for the other to read. The first message makes the cell's tool, and None answers that
it is made; each further one is a function that is called with the tool. The cell ends when the socket does. Signals
that stop its parent do not stop it: a parent that stops gracefully wants its answer.
"""

import gc
import mmap
import os
import pickle
import resource
import signal
import socket
import sys
import tempfile
import traceback
from typing import Any

CPU_SECONDS = 4  # so many for each second that a call may take: several threads decode. It ends what lost its parent

DONE, SPENT, BROKEN = b"d", b"s", b"b"  # an answer; no memory; a bug, told in words


def send(channel: socket.socket, kind: bytes, message: object) -> None:
    """Sends a message of one byte's kind. Large strings of bytes are copied once."""
    descriptor = _memory()
    try:
        with open(descriptor, "wb", closefd=False) as file:
            pickle.dump(message, file, 5)
        socket.send_fds(channel, [kind], [descriptor])
    finally:
        os.close(descriptor)


def receive(channel: socket.socket) -> tuple[bytes, mmap.mmap]:
    """Waits for a message; returns its kind and its pickle. Raises EOFError when the other side is gone."""
    kind, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not kind:
        raise EOFError
    try:
        return kind, mmap.mmap(descriptors[0], 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptors[0])


def _memory() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("unmask-message")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def main() -> None:
    """Answers calls until the parent is gone. Arguments: the socket's descriptor, bytes of memory, seconds a call."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    memory, seconds = int(sys.argv[2]), float(sys.argv[3])
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    try:
        make, arguments = _read(channel)
        tool = make(*arguments)
        send(channel, DONE, None)
        while True:
            function, arguments = _read(channel)
            _bound(seconds)
            _answer(channel, function, tool, arguments)
            del function, arguments
    except (EOFError, ConnectionError):
        return


def _read(channel: socket.socket) -> Any:
    _, message = receive(channel)
    with message:
        return pickle.loads(message)  # noqa: S301 - our own parent's


def _bound(seconds: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(spent + CPU_SECONDS * seconds) + 1, hard))


def _answer(channel: socket.socket, function: Any, tool: Any, arguments: Any) -> None:
    try:
        kind, answer = DONE, function(tool, *arguments)
    except MemoryError as error:
        kind, answer = SPENT, str(error)
        gc.collect()
    except Exception:  # noqa: BLE001 - the parent raises it, in words: no exception of unknown make is unpickled
        kind, answer = BROKEN, traceback.format_exc()
    send(channel, kind, answer)


if __name__ == "__main__":
    main()
