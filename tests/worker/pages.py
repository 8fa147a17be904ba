"""A web server on loopback that behaves as a test tells it to, and remembers what it was asked."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def serving(answers, host="127.0.0.1", context=None):
    """Serves ``answers``, functions of a request handler by path; yields the port and the paths that were asked for.

    A path without an answer is 404. An answer may end abruptly: it is given the handler, and with it the socket.
    """
    asked = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            with contextlib.suppress(OSError):
                answers.get(self.path.split("?")[0], saying(404))(self)

        def log_message(self, *_):
            pass

    with listening(Page, host, context) as port:
        yield port, asked


@contextlib.contextmanager
def listening(kind, host="127.0.0.1", context=None):
    """Serves with handlers of that ``kind``, over TLS where there is a ``context``; yields the port."""
    server = ThreadingHTTPServer((host, 0), kind)
    server.handle_error = lambda *_: None  # handshakes that fail are what some tests are about
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def saying(status, body=b"", **headers):
    """Answers with a status, headers (`Content_Length=…` for a lie) and a body."""
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}

    def answer(handler):
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            if value != "None":
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def to(location, status=302):
    """Redirects."""
    return saying(status, Location=location)


def raw(*pieces, every=0.0, until=None):
    """Writes pieces as they are; the last one again and again, ``every`` so many seconds, until the event is set."""

    def answer(handler):
        for piece in pieces:
            handler.wfile.write(piece)
        while until is not None and not until.wait(every):
            handler.wfile.write(pieces[-1])

    return answer
