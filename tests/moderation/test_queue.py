import redis

from moderation import queue


def test_a_lane_holds_a_bounded_number_of_orders(redis_url):
    client = redis.Redis.from_url(redis_url)
    client.flushdb()
    app = queue.application(redis_url)
    for _ in range(10):
        assert queue.ring_scoring(app, 1, lane_orders=3)
    assert queue.ring_scoring(app, 0, lane_orders=3)
    assert queue.length(app, "scoring.default") == 3
    assert queue.length(app, "scoring.urgent") == 1
    assert queue.length(app, "scoring.bulk") == 0
    client.flushdb()


def test_a_ring_without_redis_is_counted_and_raises_nothing():
    app = queue.application("redis://127.0.0.1:1/0")
    assert queue.ring_scoring(app, 1, lane_orders=3) is False
    assert queue.ring_deliveries(app) is False


def test_the_broker_is_never_asked_to_hold_an_order_longer_than_it_may_run(redis_url):
    conf = queue.application(redis_url).conf
    assert conf.broker_transport_options["visibility_timeout"] > 2 * conf.task_time_limit
    assert conf.task_soft_time_limit < conf.task_time_limit
