"""Delivering: claim webhooks that are due, sign and send several at once, record each attempt."""

import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from sqlalchemy.orm import Session, sessionmaker

from moderation import addresses, deliveries, logs, metrics
from moderation.errors import ForbiddenAddress
from moderation.tables import Delivery
from worker import sending
from worker.sending import Answer

SENDERS = 8
LEASE_TIMEOUTS = 8  # a lease outlives this many full timeouts: waiting for a sender, resolving, sending, recording
AGENT = "Unmask-Webhooks/1"

log = logs.get(__name__)


def run(
    ledger: sessionmaker[Session],
    *,
    timeout: float,
    allowed_networks: Collection[str] = (),
    budget_seconds: float,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Sends what is due until nothing is, or the budget is spent; returns how many were `delivered`, `failed`, `lost`.

    Args:
        timeout: seconds an attempt may take.
        allowed_networks: private networks that may be reached all the same.
    """
    until = time.monotonic() + budget_seconds
    outcomes: Counter[str] = Counter()
    in_flight: set[Future[str]] = set()
    with ThreadPoolExecutor(SENDERS, "send") as senders:
        while True:
            if len(in_flight) < SENDERS and time.monotonic() < until and not is_stopping():
                with ledger.begin() as session:
                    claimed = deliveries.claim(session, limit=SENDERS, lease_seconds=LEASE_TIMEOUTS * timeout)
                in_flight |= {senders.submit(attempt, ledger, row, timeout, allowed_networks) for row in claimed}
            if not in_flight:
                return outcomes
            done, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
            outcomes.update(future.result() for future in done)


def attempt(
    ledger: sessionmaker[Session], delivery: Delivery, timeout: float, allowed_networks: Collection[str]
) -> str:
    """Sends a claimed delivery once and records what came of it; returns `delivered`, `failed` or `lost`."""
    started = time.perf_counter()
    answer = _send(delivery, timeout, allowed_networks)
    ms = round((time.perf_counter() - started) * 1000, 1)
    lease = delivery.lease or ""
    with ledger.begin() as session:
        if answer.is_success:
            ours = deliveries.succeeded(session, delivery.id, lease, answer.status or 0, ms)
        else:
            ours = deliveries.failed(session, delivery.id, lease, status=answer.status, error=answer.error, ms=ms,
                                     retry_after=answer.retry_after)  # fmt: skip
    outcome = ("delivered" if answer.is_success else "failed") if ours else "lost"
    metrics.attempts.labels(outcome).inc()
    log.info("delivery_attempted", delivery=delivery.id, endpoint=delivery.endpoint_id, event_type=delivery.event,
             outcome=outcome, status=answer.status, error=answer.error, ms=ms)  # fmt: skip
    return outcome


def _send(delivery: Delivery, timeout: float, allowed_networks: Collection[str]) -> Answer:
    until = time.monotonic() + timeout
    try:
        target = addresses.resolve(deliveries.url_of(delivery), allowed_networks=allowed_networks)
    except ForbiddenAddress as error:
        return Answer(error=error.detail)
    at = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": AGENT,
        "webhook-id": delivery.id,
        "webhook-timestamp": str(at),
        "webhook-signature": deliveries.signature_of(delivery, at),
    }
    return sending.post(target, delivery.body, headers, timeout=max(until - time.monotonic(), 0.001))
