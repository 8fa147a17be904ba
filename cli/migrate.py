"""`unmask migrate`: the newest schema, and a place for media. Doing it twice changes nothing."""

from pathlib import Path

import click
from alembic import command
from alembic.config import Config

import migrations
from moderation import blobs, settings


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
    """Bring the database to the newest schema, and make the place for media where it is not there yet."""
    run(settings.load().database_url)
    blobs.connect(settings.load().media).prepare()
    click.echo("database and media are ready")
