"""PostgreSQL: the engine and the session factory. There is no second dialect.

Edges write ``with Session.begin() as session:``; nothing below an edge opens, commits or rolls back.
"""

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from moderation.errors import WorldDown

HEAD_QUERY = text("SELECT version_num FROM alembic_version")


def driver_url(url: str) -> str:
    """Returns ``url`` naming psycopg 3 as its driver, whichever way an operator wrote it."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in ("postgres", "postgresql") else url


def connect(url: str, *, pool: int = 5) -> Engine:
    """Returns an engine whose connections are checked before use, so that a restarted server goes unnoticed."""
    return create_engine(
        driver_url(url),
        pool_pre_ping=True,
        hide_parameters=True,  # an error that is logged must not carry secrets or people's words along
        pool_size=pool,
        max_overflow=pool,
        pool_timeout=10,
        connect_args={"connect_timeout": 5},
    )


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
