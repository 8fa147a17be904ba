"""PostgreSQL: the engine and the session factory. There is no second dialect.

Edges write ``with Session.begin() as session:``; nothing below an edge opens, commits or rolls back.
"""

import time
from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from moderation.errors import WorldDown

IDLE_SECONDS = 1.0
HEAD_QUERY = text("SELECT version_num FROM alembic_version")


def driver_url(url: str) -> str:
    """Returns ``url`` naming psycopg 3 as its driver, whichever way an operator wrote it."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in ("postgres", "postgresql") else url


def connect(url: str, *, pool: int = 5) -> Engine:
    """Returns an engine that looks at a connection before its use where it lay idle: a restarted server goes unnoticed.

    A look is a round trip. Under load, when no connection lies idle, it would be a tenth of what a request costs.
    """
    engine = create_engine(
        driver_url(url),
        hide_parameters=True,  # an error that is logged must not carry secrets or people's words along
        pool_size=pool,
        max_overflow=pool,
        pool_timeout=10,
        connect_args={"connect_timeout": 5},
    )
    event.listen(engine, "connect", _prepares_nothing_behind_a_pooler)
    event.listen(engine, "checkin", _laid_down)
    event.listen(engine, "checkout", partial(_taken_up, engine))
    return engine


def _prepares_nothing_behind_a_pooler(connection: Any, _record: ConnectionPoolEntry) -> None:
    """Turns prepared statements off where a pooler such as PgBouncer stands between us and the server.

    In transaction mode it gives each transaction another server connection, and a statement's name is then unknown
    there, or somebody else's. A pooler shows itself: the process that answers is not the one that the client was told.
    """
    with connection.cursor() as cursor:
        (answering,) = cursor.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    connection.rollback()
    if answering != connection.info.backend_pid:
        connection.prepare_threshold = None


def _laid_down(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["laid_down_at"] = time.monotonic()


def _taken_up(engine: Engine, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    now = time.monotonic()
    if now - record.info.get("laid_down_at", now) < IDLE_SECONDS:
        return
    try:
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise DisconnectionError(str(error)) from error  # the pool tries another


def sessions(engine: Engine) -> sessionmaker[Session]:
    """Returns the session factory of an edge. Objects stay readable after commit."""
    return sessionmaker(engine, expire_on_commit=False)


def revision(session: Session) -> str | None:
    """Returns the migration that the database is at, or None where none was ever run.

    Raises:
        WorldDown: when the database does not answer.
    """
    try:
        found: str | None = session.scalar(HEAD_QUERY)
    except SQLAlchemyError as error:
        if "alembic_version" in str(error):
            return None
        raise WorldDown("the database does not answer") from error
    return found
