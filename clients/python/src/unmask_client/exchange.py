"""When a request is sent again, and when its error stands: the only place that decides it.

Repeated are requests that met no server, and those it turned away for now (429, 503). What may have been acted upon (a
lost answer, 502, 504) is repeated only where a second time does no more than the first: a submission carries an
idempotency key, so it may. Every other refusal stands.
"""

import math
import random
import time
from dataclasses import dataclass

import httpx

from unmask_client import errors
from unmask_client.steps import Answer, Pause, Request, Steps, attempted

TURNED_AWAY = (429, 503)
PERHAPS_DONE = (502, 504)
NOT_REACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
LOST = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)

now = time.monotonic
chance = random.SystemRandom()  # clients that were forked together must not come back together


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on: no attempt begins later than ``seconds`` after the first; 0 means one attempt."""

    seconds: float = 60.0
    first_pause: float = 0.5
    longest_pause: float = 20.0

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Returns how long to stay away after the attempt of this number, from 0: doubling, with jitter.

        What the server asks for is kept to, however long; the caller gives up where it does not fit.
        """
        doubled: float = min(self.longest_pause, self.first_pause * 2 ** min(attempt, 30))
        own = doubled * chance.uniform(0.5, 1.0)
        return own if retry_after is None else max(own, retry_after + chance.uniform(0.0, 1.0))


def exchange(request: Request, patience: Patience) -> Steps[Answer]:
    """Sends a request until its answer is 2xx, an error stands, or the next attempt would come too late.

    Raises:
        UnmaskError: what the last attempt met.
    """
    deadline = now() + min(patience.seconds, math.inf if request.within is None else request.within)
    attempt = 0
    while True:
        try:
            answer = yield from attempted(request)
        except httpx.RequestError as error:
            again = isinstance(error, NOT_REACHED) or (request.repeatable and isinstance(error, LOST))
            problem: errors.UnmaskError = errors.ConnectionFailed(f"{type(error).__name__}: {error}")
            problem.__cause__ = error
        else:
            if 200 <= answer.status < 300:
                return answer
            again = answer.status in TURNED_AWAY or (request.repeatable and answer.status in PERHAPS_DONE)
            problem = errors.of(answer)
        pause = patience.pause(attempt, problem.retry_after)
        if not again or now() + pause > deadline:
            raise problem
        yield Pause(pause)
        attempt += 1
