"""Runs migrations on the database that the caller names, or else on the one in the settings."""

from alembic import context

from moderation import database, settings, tables


def _run() -> None:
    url = context.config.attributes.get("database_url") or settings.load().database_url
    engine = database.connect(url)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=tables.Base.metadata,
            compare_type=True,
        )
        with context.begin_transaction():
            # Two starting processes must not migrate at once. The lock ends with the transaction: one that ended with
            # the connection would stay behind on a connection of PgBouncer's.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7386212)")
            context.run_migrations()
        connection.commit()
    engine.dispose()


_run()
