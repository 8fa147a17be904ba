"""`unmask migrate`: brings the database to the newest schema. Doing it twice changes nothing."""

from pathlib import Path

import click
from alembic import command
from alembic.config import Config

import migrations
from moderation import settings


def run(database_url: str) -> None:
    """Applies every revision that ``database_url`` lacks; two callers at once take turns."""
    command.upgrade(configuration(database_url), "head")


def configuration(database_url: str) -> Config:
    """Returns Alembic's configuration over the revisions that this installation carries."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config


@click.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    run(settings.load().database_url)
    click.echo("the database is up to date")
