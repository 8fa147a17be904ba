"""The real application behind a loopback port, and clients of both kinds for it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import pytest
from apiflask import APIFlask
from werkzeug.serving import make_server

from api.collaborators import EXTENSION
from tests.api.conftest import Caller, app, blobs, enrol, orders, score
from unmask_client import Client

__all__ = ["app", "blobs", "enrol", "orders", "score"]


class Served(NamedTuple):
    """A platform, and where the API is for it."""

    address: str
    caller: Caller

    def client(self) -> Client:
        return Client(self.address, self.caller.api_key)


@contextmanager
def serving(app: APIFlask) -> Iterator[str]:
    """The application on a free port of the loopback, for the length of a block; yields its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))  # seconds until it sees that it should end
    thread.start()
    address, given = f"http://127.0.0.1:{server.server_port}", app.extensions[EXTENSION]
    named = given.settings.model_copy(update={"public_url": address})  # addresses for uploads begin with it
    app.extensions[EXTENSION] = replace(given, settings=named)
    try:
        yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def served(app: APIFlask, enrol: Callable[[str], Caller]) -> Iterator[Served]:
    with serving(app) as address:
        yield Served(address, enrol("Chirper"))


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with served.client() as client:
        yield client
