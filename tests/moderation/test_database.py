"""Connections: looked at before use where they lay idle, and not looked at where they did not."""

import time

import pytest
from sqlalchemy import event, text

from moderation import database


@pytest.fixture
def ours(engines):
    """An engine of its own, with one connection that lies ready."""
    engine = database.connect(engines.database_url, pool=1)
    use(engine)
    yield engine
    engine.dispose()


def use(engine):
    with engine.connect() as connection:
        return connection.scalar(text("SELECT pg_backend_pid()"))


def end(engine, pid):
    """Ends a session of the server, as a restart would."""
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})


def test_a_connection_that_died_while_it_lay_idle_is_replaced_unnoticed(ours, engine, monkeypatch):
    pid = use(ours)
    end(engine, pid)
    monkeypatch.setattr(database, "IDLE_SECONDS", 0.0)
    assert use(ours) != pid


def test_only_what_lay_idle_is_looked_at(ours, monkeypatch):
    looks = []
    monkeypatch.setattr(ours.dialect, "do_ping", lambda connection: looks.append(connection) or True)
    use(ours)
    assert looks == []
    later = time.monotonic() + 60
    monkeypatch.setattr(database.time, "monotonic", lambda: later)
    use(ours)
    assert len(looks) == 1


def test_a_new_connection_is_not_looked_at(engines):
    engine = database.connect(engines.database_url, pool=1)
    looks = []
    engine.dialect.do_ping = lambda connection: looks.append(connection) or True
    opened = []
    event.listen(engine, "connect", lambda *it: opened.append(it))
    use(engine)
    assert (len(opened), looks) == (1, [])
    engine.dispose()
