"""The bell: rings for workers from a thread of its own, so that no request waits for Redis, be it away or hung.

Equal rings that wait are one. A ring that is lost with its process costs time, never work: upkeep rings again.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

from celery import Celery

from moderation import logs, queue

log = logs.get(__name__)


class Bell:
    """Tells workers what there is to do, once the transaction that made the work is committed."""

    def __init__(self, app: Celery, lane_orders: int, pool: Executor | None = None) -> None:
        """``pool`` does the ringing; by default one thread, begun with the first ring (processes fork before)."""
        self._app, self._lane_orders = app, lane_orders
        self._pool = pool or ThreadPoolExecutor(1, thread_name_prefix="bell")
        self._due: set[str] = set()
        self._lock = threading.Lock()

    def scoring(self, priority: int) -> None:
        """Submissions of ``priority`` (an index into PRIORITIES) wait to be scored."""
        self._soon(queue.LANES[priority], lambda: queue.ring_scoring(self._app, priority, self._lane_orders))

    def fetching(self) -> None:
        """Submissions wait for bytes that are elsewhere."""
        self._soon(queue.FETCHING, lambda: queue.ring_fetching(self._app))

    def deliveries(self) -> None:
        """Outbound webhooks are due."""
        self._soon(queue.DELIVERIES, lambda: queue.ring_deliveries(self._app))

    def _soon(self, lane: str, ring: Callable[[], object]) -> None:
        with self._lock:
            if lane in self._due:
                return  # what rings next has not looked at the lane yet
            self._due.add(lane)
        self._pool.submit(self._now, lane, ring)

    def _now(self, lane: str, ring: Callable[[], object]) -> None:
        with self._lock:
            self._due.discard(lane)  # before it looks: what is committed from here on needs a ring of its own
        try:
            ring()
        except Exception:  # nobody reads this future, and the thread must live
            log.exception("ring_failed", lane=lane)
