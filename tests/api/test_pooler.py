"""Behind PgBouncer in transaction mode everything works: no prepared name is lost or somebody else's."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import Celery
from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.orm import Session as OrmSession

from api import application
from api.bell import Bell
from cli import migrate
from moderation import database, platforms, submissions
from moderation.blobs import Blobs
from moderation.settings import Settings
from moderation.tables import Submission
from tests.api.conftest import AtOnce, Caller, Sessions
from tests.conftest import Engines, jpeg
from tests.poolers import bouncer


@pytest.fixture(scope="module")
def pooled(engines: Engines) -> Iterator[str]:
    with bouncer(engines.database_url) as url:
        yield url


@pytest.fixture
def through(pooled: str) -> Iterator[Engine]:
    engine = database.connect(pooled, pool=8)
    yield engine
    engine.dispose()


def test_uploads_by_many_clients_are_all_accepted(
    through: Engine, settings: Settings, Session: Sessions, blobs: Blobs, orders: Celery
) -> None:
    """Seventy of them, eight at a time, over two connections of the server."""
    bell = Bell(orders, settings.lane_orders, pool=AtOnce())
    app = application.create(settings, session_factory=database.sessions(through), blobs=blobs, queue=orders, bell=bell)
    with database.sessions(through).begin() as session:
        new = platforms.create(session, "Chirper")

    def send(number: int) -> int:
        caller = Caller(new.platform.id, new.api_key, app.test_client())
        return caller.send(jpeg(f"#{number:06x}"), key=f"k-{number}").status_code

    with ThreadPoolExecutor(8) as senders:
        assert Counter(senders.map(send, range(70))) == {202: 70}
    with Session() as session:
        assert session.scalar(select(func.count()).select_from(Submission)) == 70
    claimed = 0
    for _ in range(20):
        with database.sessions(through).begin() as session:
            claimed += len(submissions.claim(session, limit=5, lease_seconds=60).submissions)
    assert claimed == 70


def repeat(engine: Engine) -> list[str]:
    """Asks the same often on eight connections at once; returns what went wrong, and what the server has prepared."""

    def ask(number: int) -> list[str]:
        problems = []
        for turn in range(60):
            try:
                with OrmSession(engine) as session:
                    query = text(f"SELECT {number % 2} + CAST(:turn AS integer)")
                    assert session.scalar(query, {"turn": turn}) == number % 2 + turn
                    session.commit()  # psycopg forgets its statements at a rollback
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                problems.append(type(error).__name__)
        return problems

    with ThreadPoolExecutor(8) as askers:
        return [problem for problems in askers.map(ask, range(8)) for problem in problems]


def test_the_same_statements_on_shared_connections_never_fail(through: Engine) -> None:
    assert repeat(through) == []


def test_without_our_care_they_do_fail(pooled: str) -> None:
    """Otherwise the test above would show nothing."""
    careless = create_engine(database.driver_url(pooled), pool_size=8)
    assert repeat(careless)
    careless.dispose()


def test_a_direct_connection_goes_on_preparing(engine: Engine, through: Engine) -> None:
    with engine.connect() as direct, through.connect() as shared:
        assert direct.connection.driver_connection.prepare_threshold == 5  # type: ignore[union-attr]
        assert shared.connection.driver_connection.prepare_threshold is None  # type: ignore[union-attr]


def test_migrating_through_the_pooler_leaves_no_lock_behind(pooled: str, engine: Engine) -> None:
    for _ in range(3):
        migrate.run(pooled)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) == 0
