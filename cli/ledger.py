"""Chores on the ledger: platforms, their keys, and the people who log in.

With ``--json`` each prints one object (lists: one a line). Secrets are shown when they are made, and never again.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy.orm import Session

from cli import home
from moderation import database, people, platforms, signatures
from moderation.settings import Settings
from moderation.tables import ROLES, SCOPES

Row = dict[str, Any]

as_json = click.option("--json", "in_json", is_flag=True, help="One JSON object a line.")
overlap = click.option(
    "--overlap",
    "overlap_seconds",
    type=click.IntRange(0, signatures.LONGEST_OVERLAP),
    default=signatures.OVERLAP_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long the secret before signs, too; 0 ends it at once.",
)
of_platform = click.option("--platform", "platform_id", required=True, metavar="ID", help="Its id or its name.")
of_any_platform = click.option("--platform", "platform_id", metavar="ID", help="Only of this one, by id or name.")


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Session]:
    """One transaction on the ledger of this machine's settings."""
    engine = database.connect((settings or home.settings()).database_url, pool=1)
    try:
        with database.sessions(engine).begin() as session:
            yield session
    finally:
        engine.dispose()


@click.group()
def platform() -> None:
    """Platforms."""


@platform.command("create")
@click.argument("name")
@as_json
def create_platform(name: str, in_json: bool) -> None:
    """Add a platform with its first API key, shown this once."""
    with opened() as session:
        made = platforms.create(session, name)
        row = {
            "id": made.platform.id,
            "name": made.platform.name,
            "api_key": made.api_key,
            "callback_secret": made.platform.callback_secret,
        }
    show(row, in_json)


@platform.command("list")
@as_json
def list_platforms(in_json: bool) -> None:
    """List platforms, oldest first."""
    with opened() as session:
        rows = [{"id": row.id, "name": row.name, "created_at": row.created_at} for row in platforms.every(session)]
    listed(rows, in_json)


@platform.command("rotate")
@click.argument("platform_id", metavar="ID")
@overlap
@as_json
def rotate_platform(platform_id: str, overlap_seconds: int, in_json: bool) -> None:
    """Give a platform (by id or name) a new secret for its callbacks, shown this once."""
    with opened() as session:
        row = platforms.rotate_secret(session, platform_id, overlap_seconds)
        shown = {"id": row.id, "callback_secret": row.callback_secret}
    show(shown, in_json)


@click.group()
def key() -> None:
    """API keys of platforms."""


@key.command("create")
@of_platform
@click.option("--name", default="issued by hand", show_default=True, help="What it is for.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="May be repeated; by default all.")
@click.option("--expires", type=click.DateTime(), help="When it ends (UTC); never by default.")
@as_json
def create_key(platform_id: str, name: str, scopes: tuple[str, ...], expires: datetime | None, in_json: bool) -> None:
    """Add an API key to a platform, shown this once.

    A key may `submit` media, `read` submissions and deliveries, or `manage`: erase, appeal, change endpoints, replay.
    """
    with opened() as session:
        until = expires and expires.replace(tzinfo=UTC)
        made = platforms.issue_key(session, platform_id, name, until, scopes or SCOPES)
        row = {
            "id": made.key.id,
            "platform": made.key.platform_id,
            "name": name,
            "scopes": made.key.scopes,
            "expires_at": made.key.expires_at,
            "api_key": made.api_key,
        }
    show(row, in_json)


@key.command("list")
@of_any_platform
@as_json
def list_keys(platform_id: str | None, in_json: bool) -> None:
    """List API keys by their first characters, oldest first."""
    with opened() as session:
        owner = platform_id and platforms.get(session, platform_id).id
        rows = [
            {
                "id": row.id,
                "platform": row.platform_id,
                "name": row.name,
                "hint": row.hint,
                "scopes": row.scopes,
                "last_used_at": row.last_used_at,
                "expires_at": row.expires_at,
                "revoked_at": row.revoked_at,
            }
            for row in platforms.keys(session, owner)
        ]
    listed(rows, in_json)


@key.command("revoke")
@click.argument("key_id", metavar="ID")
@as_json
def revoke_key(key_id: str, in_json: bool) -> None:
    """End an API key at once."""
    with opened() as session:
        row = platforms.revoke_key(session, key_id)
        shown = {"id": row.id, "revoked_at": row.revoked_at}
    show(shown, in_json)


@click.group()
def person() -> None:
    """People who log in to the dashboard."""


@person.command("create")
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@as_json
def create_person(email: str, role: str, password_stdin: bool, in_json: bool) -> None:
    """Add a person; without --password-stdin the password is asked for."""
    password = (
        sys.stdin.readline().rstrip("\r\n")
        if password_stdin
        else click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    )
    with opened() as session:
        row = people.create(session, email, role, password)
        shown = {"id": row.id, "email": row.email, "role": row.role}
    show(shown, in_json)


@person.command("list")
@as_json
def list_people(in_json: bool) -> None:
    """List people, oldest account first."""
    with opened() as session:
        rows = [
            {"id": row.id, "email": row.email, "role": row.role, "disabled_at": row.disabled_at}
            for row in people.every(session)
        ]
    listed(rows, in_json)


@person.command("disable")
@click.argument("who", metavar="EMAIL")
@as_json
def disable_person(who: str, in_json: bool) -> None:
    """End somebody's access at once."""
    with opened() as session:
        row = people.disable(session, who)
        shown = {"id": row.id, "email": row.email, "disabled_at": row.disabled_at}
    show(shown, in_json)


def show(row: Row, in_json: bool) -> None:
    """Prints one object."""
    if in_json:
        click.echo(_line(row))
    else:
        width = max(map(len, row))
        click.echo("\n".join(f"{name.rjust(width)}  {_text(value)}" for name, value in row.items()))


def listed(rows: Iterable[Row], in_json: bool) -> None:
    """Prints objects: a table for people, one a line for programs."""
    rows = list(rows)
    if in_json:
        for row in rows:
            click.echo(_line(row))
        return
    table = Table(*(rows[0] if rows else ["nothing yet"]), box=None)
    for row in rows:
        table.add_row(*map(_text, row.values()))
    Console().print(table)


def _line(row: Row) -> str:
    return json.dumps(row, default=_iso, ensure_ascii=False)


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _text(value: object) -> str:
    shown: Callable[[Any], str] = {
        datetime: lambda at: at.strftime("%Y-%m-%d %H:%M"),
        list: ", ".join,
        type(None): lambda _: "-",
    }.get(type(value), str)
    return shown(value)
