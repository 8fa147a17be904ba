"""The revisions make what the tables say, every constraint and index of it, and undo it."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from cli import migrate
from moderation import database
from moderation.tables import Base


def named(engine: Engine) -> set[tuple[str, str]]:
    look = inspect(engine)
    return {
        (table, str(rule["name"]))
        for table in look.get_table_names()
        for rule in (*look.get_check_constraints(table), *look.get_indexes(table), *look.get_unique_constraints(table))
    }


@pytest.fixture
def empty(engines):
    """A second database on the engine of the tests."""
    server = create_engine(database.connect(engines.database_url).url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE schema_test"))
    url = server.url.set(database="schema_test")
    yield url.render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE schema_test WITH (FORCE)"))
    server.dispose()


def test_migrated_schema_lacks_nothing_of_the_tables_and_has_nothing_else(engine):
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_constraints_that_comparison_does_not_see_are_the_same(engine, empty):
    fresh = create_engine(empty)
    Base.metadata.create_all(fresh)
    wanted = named(fresh)
    fresh.dispose()
    assert {rule for rule in named(engine) if rule[0] != "alembic_version"} == wanted
    rules = {"ck_submissions_lease", "ck_submissions_leased", "ck_submissions_origin"}
    assert rules <= {name for _, name in wanted}


def test_revisions_go_back_and_forth(empty):
    migrate.run(empty)
    command.downgrade(migrate.configuration(empty), "0001")
    command.upgrade(migrate.configuration(empty), "head")
    command.downgrade(migrate.configuration(empty), "base")
    fresh = create_engine(empty)
    assert inspect(fresh).get_table_names() == ["alembic_version"]
    fresh.dispose()
