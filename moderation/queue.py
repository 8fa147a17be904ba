"""Redis rings, PostgreSQL remembers: the Celery application and the orders that wake workers.

An order carries no rows; a worker that reads it claims from the ledger. So a lost order costs time, never work: upkeep
rings again. Nothing here raises because Redis is away.
"""

from typing import Any, cast

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from moderation import logs, metrics

TASK_SCORE = "unmask.score"
TASK_FETCH = "unmask.fetch"
TASK_DELIVER = "unmask.deliver"
TASK_UPKEEP = "unmask.upkeep"
LANES = ("scoring.urgent", "scoring.default", "scoring.bulk")
FETCHING = "fetching"
DELIVERIES = "deliveries"
UPKEEP = "upkeep"

HARD_LIMIT = 240  # seconds a task may run before its process is killed
SOFT_LIMIT = 180

log = logs.get(__name__)


def broker_url(redis_url: str) -> str:
    """Returns ``redis_url`` as kombu spells it: a Unix socket is `redis+socket://` there."""
    return redis_url.replace("unix://", "redis+socket://", 1)


def application(redis_url: str, *, patience: float = 30) -> Celery:
    """Returns the Celery application that producers and workers share, so that both agree on every setting.

    ``patience`` is the seconds for Redis to answer. A worker's reads wait for orders; who only rings needs much less.
    """
    app = Celery("unmask", broker=broker_url(redis_url), set_as_current=False)
    app.conf.update(
        # an order may be read twice but never lost with a worker; what it leads to is guarded by leases
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_time_limit=HARD_LIMIT,
        task_soft_time_limit=SOFT_LIMIT,
        task_default_queue=UPKEEP,
        task_create_missing_queues=True,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            # an unacknowledged order returns only after this; below the hard limit it would run twice at once
            "visibility_timeout": 2 * HARD_LIMIT + 120,
            # a half-dead connection must be noticed before a moderator notices it
            "socket_timeout": patience,
            "socket_connect_timeout": min(5, patience),
            "socket_keepalive": True,
            "health_check_interval": 25,
            # kombu would try for 6 seconds to reach a Redis that is away, in every request that rings
            "max_retries": 1,
            "interval_start": 0,
            # urgent is read before default, default before bulk
            "queue_order_strategy": "priority",
        },
        # orders carry no rows: one that is read twice costs nothing, while a child that is killed because Redis was
        # away for a moment costs its batch an attempt
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_max_retries=None,  # Redis may be away for longer than a hundred tries
        worker_soft_shutdown_timeout=30,
        # CUDA and ONNX sessions are made in the child, which takes longer than the 4 seconds Celery expects
        worker_proc_alive_timeout=120,
        # a producer (a web request) gives up quickly: the ledger has the row already
        broker_connection_timeout=3,
        task_publish_retry=False,
        worker_hijack_root_logger=False,
        enable_utc=True,
    )
    return app


def length(app: Celery, lane: str) -> int:
    """Returns how many orders nobody has read yet on ``lane``.

    Raises:
        RedisError, OperationalError: when Redis is away.
    """
    with app.connection_for_write() as connection:
        channel = cast("Any", connection.default_channel)
        return int(channel.client.llen(lane))


def check(app: Celery) -> None:
    """Writes to Redis, since one that is out of memory, or a replica, answers and takes no orders.

    Raises:
        ResponseError: when it refuses the write.
        RedisError, OperationalError: when Redis is away.
    """
    with app.connection_for_write() as connection:
        cast("Any", connection.default_channel).client.set("unmask.check", "", ex=60)


def _ring(app: Celery, task: str, lane: str, most: int) -> bool:
    try:
        with app.producer_pool.acquire(block=True, timeout=3) as producer:
            unread = int(cast("Any", producer.channel).client.llen(lane))
            if unread < most:
                app.send_task(task, queue=lane, producer=producer, retry=False)
    except (RedisError, OperationalError, OSError) as error:
        metrics.rings_lost.labels(lane).inc()
        log.warning("ring_lost", lane=lane, error=str(error))
        return False
    return True


def ring_scoring(app: Celery, priority: int, lane_orders: int) -> bool:
    """Orders scoring on the lane of ``priority`` unless it holds ``lane_orders`` already. False: Redis is away."""
    return _ring(app, TASK_SCORE, LANES[priority], lane_orders)


def ring_fetching(app: Celery) -> bool:
    """Orders the fetching of submissions whose bytes are elsewhere. False: Redis is away."""
    return _ring(app, TASK_FETCH, FETCHING, 2)


def ring_deliveries(app: Celery) -> bool:
    """Orders the sending of outbound webhooks that are due. False: Redis is away."""
    return _ring(app, TASK_DELIVER, DELIVERIES, 2)
