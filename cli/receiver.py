"""A platform's side of a webhook, for the demo and for tests: a local server that believes only what is signed."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from unmask_client import BadAnswer, BadSignature, Event, verify_webhook


class Inbox:
    """What has come in: `events` were verified, by message id (a repeated one counts once); `forged` were not."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.secret: str | None = None
        self.events: dict[str, Event] = {}
        self.forged = 0
        self._news = threading.Condition()

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        """Returns whether the message is signed with our secret; keeps it if so."""
        with self._news:
            try:
                if self.secret is None:
                    raise BadSignature("no secret yet")
                event = verify_webhook(self.secret, headers, body)
            except (BadSignature, BadAnswer):
                self.forged += 1
                return False
            self.events[event.id] = event
            self._news.notify_all()
            return True

    def of_type(self, kind: str) -> list[Event]:
        """Returns the verified events of one type, in the order in which they first came."""
        return [event for event in list(self.events.values()) if event.type == kind]

    def wait_for(self, met: Callable[["Inbox"], bool], seconds: float) -> bool:
        """Waits until ``met``; False when the time is up."""
        deadline = time.monotonic() + seconds
        with self._news:
            return self._news.wait_for(lambda: met(self), deadline - time.monotonic())


@contextmanager
def listening() -> Iterator[Inbox]:
    """A server on a free loopback port for the length of a block. Its inbox verifies once it is given a secret."""

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            believed = inbox.take(body, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(204 if believed else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing: the inbox tells."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
    inbox = Inbox(f"http://127.0.0.1:{server.server_address[1]}/unmask")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
