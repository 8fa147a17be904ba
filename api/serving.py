"""gunicorn's threaded worker, with threads for requests that have arrived: who drips holds a socket, no thread.

gunicorn gives a connection to a thread at once, which then waits for the request line and headers as long as the client
likes; and it waits in its only loop for clients to hang up. Here the loop gathers headers, and bodies up to a size that
JSON and forms have, for all connections at once, and lets go of a connection without waiting. Longer bodies are read by
the view, once it knows whose they are, at a pace that `api.pace` watches.

This leans on the insides of gunicorn 27's `gthread`; a version beside it must pass tests/api/test_serving.py first.
"""

import json
import re
import selectors
import socket
import time
from collections import deque
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn import http, util
from gunicorn.workers.gthread import TConn, ThreadWorker

from api.problems import BY_STATUS, CATALOGUE
from moderation import ids

HEAD_BYTES = 64 * 1024
WHOLE_BODY_BYTES = 64 * 1024  # a body up to this is gathered, too
GATHER_SECONDS = 10.0  # in which all of that has to arrive
DRAIN_SECONDS = 0.05  # for a body that nobody read; what takes longer costs the client its connection
LINGER_SECONDS = 2.0  # for a client to read its answer and hang up
LINGERERS = 256

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:", re.IGNORECASE)


def has_arrived(received: bytes | bytearray) -> bool:
    """Says whether a thread can begin with what a connection has sent: all of a request, or its head if it is long.

    It decides nothing but when: what a request is, and whether it is one, stays gunicorn's parser to say.
    """
    end = received.find(_END)
    if end < 0:
        return False
    length = _LENGTH.search(received, 0, end + 2)
    if length is None or _EXPECTS.search(received, 0, end + 2):  # who expects to be told to go on has to be told
        return True
    body = int(length[1])
    return body > WHOLE_BODY_BYTES or len(received) - end - len(_END) >= body


def _refusal(status: int, detail: str) -> bytes:
    """Returns a whole answer that tells of a problem with what was to be a request."""
    problem = CATALOGUE[BY_STATUS.get(status, "internal-error" if status == 500 else "bad-request")]
    request_id = ids.new("req")
    body = json.dumps(
        {
            "type": problem.type,
            "title": problem.title,
            "status": problem.status,
            "detail": detail or problem.advice,
            "instance": "/",
            "request_id": request_id,
        }
    )
    head = (
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\nConnection: close\r\n"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\n\r\n"
    )
    return f"{head}{body}".encode()


class _Page:
    """Takes the page that gunicorn would send, and keeps its status."""

    status = 0

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, page: bytes) -> None:
        self.status = int(page[9:12])


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection, with what has arrived of its next request."""

    def __init__(self, worker: "PatientWorker", sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, sock, client, server)
        self.worker = worker
        self.received = bytearray()

    def close(self, graceful: bool = False) -> None:
        """Closes, at once or when the client has hung up; never waits."""
        if graceful:
            self.worker.linger(self.sock)
        else:
            super().close()


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """Gathers requests in the loop, and hands them to threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lingering: deque[tuple[float, socket.socket]] = deque()

    def accept(self, listener: socket.socket) -> None:
        """Takes a new connection into the loop."""
        try:
            sock, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker had it, or it has gone
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:  # gunicorn would stop to accept until somebody leaves
            self._shed()
        self.enqueue_req(Connection(self, sock, address, listener.getsockname()))

    def _shed(self) -> None:
        """Closes the connection that has been silent for longest: a flood of those must not keep others out."""
        for silent in (self.pending_conns, self.keepalived_conns):
            if silent:
                conn = silent.popleft()
                with suppress(KeyError, ValueError):
                    self.poller.unregister(conn.sock)
                self.nr_conns -= 1
                conn.close()
                return

    def enqueue_req(self, conn: Connection) -> None:
        """Gives a connection to a thread when its next request is there; until then it stays in the loop."""
        if conn.parser is None:
            conn.parser = http.get_parser(conn.cfg, conn.sock, conn.client)
        conn.received += conn.parser.unreader.take_buffered()  # the parser may have read ahead
        if has_arrived(conn.received):
            self._hand_over(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + GATHER_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def on_pending_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Takes in what has arrived."""
        if client.fileno() < 0:  # closed for another in this very turn of the loop
            return
        try:
            arrived = client.recv(HEAD_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            arrived = b""
        conn.received += arrived
        ready = has_arrived(conn.received)
        too_long = not ready and len(conn.received) > HEAD_BYTES + WHOLE_BODY_BYTES
        if arrived and not ready and not too_long:
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if ready:
            self._hand_over(conn)
            return
        self.nr_conns -= 1
        if too_long:
            with suppress(OSError):
                client.send(_refusal(431, f"the head of a request has at most {HEAD_BYTES} bytes"))
        conn.close(graceful=too_long)

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Takes up a connection that was kept alive."""
        if client.fileno() >= 0:  # as above
            super().on_client_socket_readable(conn, client)

    def _hand_over(self, conn: Connection) -> None:
        conn.parser.unreader.unread(bytes(conn.received))
        conn.received.clear()
        conn.data_ready = True
        super().enqueue_req(conn)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        # gunicorn drains a body that nobody read for seconds: a refused client would hold a thread with it
        try:
            return bool(keepalive and conn.parser.finish_body(deadline=time.monotonic() + DRAIN_SECONDS))
        except (OSError, http.errors.ParseException):  # it has its answer, and gets no second
            return False

    def linger(self, sock: socket.socket) -> None:
        """Closes a socket once its client hangs up, or after a while; closed at once, the answer could be lost.

        RFC 9112, 9.6: unread data in the buffer of a closed socket resets the connection.
        """
        try:
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
            self.poller.register(sock, selectors.EVENT_READ, self._drain)
        except (OSError, ValueError, KeyError):
            sock.close()
            return
        self.lingering.append((time.monotonic() + LINGER_SECONDS, sock))
        if len(self.lingering) > LINGERERS:
            self._let_go(*self.lingering.popleft())

    def _drain(self, sock: socket.socket) -> None:
        try:
            gone = not sock.recv(HEAD_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            gone = True
        if gone:
            self._let_go(0, sock)

    def _let_go(self, _until: float, sock: socket.socket) -> None:
        if sock.fileno() >= 0:  # not closed before
            with suppress(KeyError, ValueError):
                self.poller.unregister(sock)
            sock.close()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answers what never became a request: with gunicorn's status and log, but as a problem, not as a page."""
        page = _Page()
        super().handle_error(req, page, addr, exc)
        if page.status:
            detail = str(exc)[:200] if isinstance(exc, http.errors.ParseException) else ""
            with suppress(OSError):
                util.write_nonblock(client, _refusal(page.status, detail))

    def murder_pending(self) -> None:
        """Closes what took too long to arrive, and what took too long to leave."""
        super().murder_pending()
        now = time.monotonic()
        while self.lingering and (self.lingering[0][0] <= now or self.lingering[0][1].fileno() < 0):
            self._let_go(*self.lingering.popleft())
