"""The web as a real process, and requests as bytes on a socket: what no well-behaved client can send."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from cli import processes
from tests.installations import UNNAMED, command, eventually

PATIENCE = 20.0


@contextmanager
def served(log: Path, workers: int = 2, **settings: str) -> Iterator[int]:
    """`unmask api` for the length of a block, as it is deployed but for the number of processes; gives its port."""
    port = processes.free_port()
    ours = {
        "UNMASK_PORT": str(port),
        "UNMASK_HOST": "127.0.0.1",
        "GUNICORN_CMD_ARGS": f"--workers {workers} --graceful-timeout 1",  # tests leave connections behind that drip
    }
    environment = os.environ | UNNAMED | settings | ours
    with log.open("wb") as into:
        child = subprocess.Popen(command("api"), env=environment, stdout=into, stderr=into)
    try:
        eventually(lambda: child.poll() is not None or healthy(port))
        assert child.poll() is None, log.read_text()
        yield port
    finally:
        child.terminate()
        child.wait(60)


def healthy(port: int) -> bool:
    """Whether the service answers, and all that it needs does."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE).status_code == 200
    except httpx.TransportError:
        return False


def exchange(port: int, *pieces: bytes, pause: float = 0.0, ends: bool = False) -> bytes:
    """Everything that comes back for these bytes, until the server closes or has said nothing for a while.

    Args:
        ends: nothing more is sent: the server sees the end of the stream.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as stream:
        for piece in pieces:
            try:
                stream.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(pause)
        if ends:
            stream.shutdown(socket.SHUT_WR)
        return _all(stream)


def _all(stream: socket.socket) -> bytes:
    found = b""
    try:
        while got := stream.recv(65_536):
            found += got
            stream.settimeout(1.0)  # a server that keeps the connection says no more than this
    except (TimeoutError, ConnectionResetError):
        pass
    return found


def statuses(answers: bytes) -> list[int]:
    """The statuses of the answers that came, in order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answers)]
