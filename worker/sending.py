"""One signed POST to one pinned host. Redirects are failures, and the answer's body is not read.

The answer's status is all that is read of it: what a receiver writes is of no use here, and would bring whatever an
attacker can make a server say into our ledger.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPResponse

from moderation.addresses import Target
from worker import connections


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
    """Sends ``body`` to ``target``, with the name and certificate of ``target.host``.

    Args:
        timeout: seconds on the clock for everything, however slowly the receiver drips its answer.
    """
    until = time.monotonic() + timeout
    try:
        with connections.opened(target, until) as connection:
            connection.request(
                "POST", connections.path(target), body.encode(), {"Host": connections.host(target), **headers}
            )
            with connection.getresponse() as response:
                connections.left(until)  # headers that the watchdog cut short look like the end of headers
                return _read(response)
    except connections.TROUBLE as error:
        late = isinstance(error, TimeoutError) or time.monotonic() >= until
        return Answer(error=f"no answer within {timeout:g} s" if late else f"{type(error).__name__}: {error}"[:200])


def _read(response: HTTPResponse) -> Answer:
    status = response.status
    error = "redirects are not followed" if 300 <= status < 400 else f"answered {status}"
    return Answer(status, None if 200 <= status < 300 else error, connections.retry_after(response))
