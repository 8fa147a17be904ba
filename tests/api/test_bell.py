"""The bell: nobody waits for Redis, equal rings are one, and what is committed later gets a ring of its own."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from celery import Celery
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker

from api import application
from api.bell import Bell
from moderation import platforms, queue
from moderation.blobs import Blobs
from moderation.settings import Settings
from tests.api.conftest import Caller


class Later(Executor):
    """Keeps what it is given until it is told to run it."""

    def __init__(self) -> None:
        self.kept: list[Callable[[], object]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.kept.append(lambda: fn(*args, **kwargs))
        return Future()

    def run(self) -> None:
        kept, self.kept = self.kept, []
        for each in kept:
            each()


@pytest.fixture
def hung() -> Iterator[str]:
    """The address of a Redis that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_an_upload_does_not_wait_for_a_redis_that_hangs(
    settings: Settings, Session: sessionmaker[OrmSession], blobs: Blobs, hung: str
) -> None:
    # whoever waited for this queue would wait for longer than any test may take
    orders, pool = queue.application(hung, patience=3600), Later()
    app = application.create(
        settings.model_copy(update={"redis_url": hung}),
        session_factory=Session, blobs=blobs, queue=orders, bell=Bell(orders, 3, pool),
    )  # fmt: skip
    with Session.begin() as session:
        new = platforms.create(session, "Chirper")
    answer = Caller(new.platform.id, new.api_key, app.test_client()).send()
    assert answer.status_code == 202
    assert len(pool.kept) == 1


def test_rings_of_one_lane_that_wait_are_one(orders: Celery) -> None:
    pool = Later()
    bell = Bell(orders, 3, pool)
    for _ in range(5):
        bell.scoring(1)
    bell.fetching()
    bell.deliveries()
    assert len(pool.kept) == 3
    pool.run()
    assert [queue.length(orders, lane) for lane in (queue.LANES[1], queue.FETCHING, queue.DELIVERIES)] == [1, 1, 1]
    bell.scoring(1)
    pool.run()
    assert queue.length(orders, queue.LANES[1]) == 2


def test_what_is_rung_for_while_the_bell_rings_is_rung_for_again(orders: Celery, monkeypatch: Any) -> None:
    pool = Later()
    bell = Bell(orders, 3, pool)
    rung = []

    def ring(*_: object) -> None:
        rung.append(1)
        if len(rung) == 1:
            bell.fetching()  # a row that was committed after this ring had looked at the lane

    monkeypatch.setattr(queue, "ring_fetching", ring)
    bell.fetching()
    pool.run()
    assert len(pool.kept) == 1
    pool.run()
    assert len(rung) == 2


def test_a_ring_that_fails_in_a_new_way_leaves_the_bell_whole(orders: Celery, monkeypatch: Any) -> None:
    bell = Bell(orders, 3)
    failed = Future[None]()

    def fail(*_: object) -> None:
        failed.set_result(None)
        raise ValueError

    with monkeypatch.context() as broken:
        broken.setattr(queue, "ring_fetching", fail)
        bell.fetching()
        failed.result()
        bell._pool.submit(lambda: None).result()  # until the failure is behind us
    bell.fetching()
    bell._pool.submit(lambda: None).result()
    assert queue.length(orders, queue.FETCHING) == 1
