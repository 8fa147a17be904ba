"""Chores on the ledger: platforms, their keys and webhook endpoints, and the people who log in.

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
from moderation import database, endpoints, people, platforms
from moderation.settings import Settings
from moderation.tables import ROLES, SCOPES

Row = dict[str, Any]

as_json = click.option("--json", "in_json", is_flag=True, help="One JSON object a line.")
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
    _show(row, in_json)


@platform.command("list")
@as_json
def list_platforms(in_json: bool) -> None:
    """List platforms, oldest first."""
    with opened() as session:
        rows = [{"id": row.id, "name": row.name, "created_at": row.created_at} for row in platforms.every(session)]
    _list(rows, in_json)


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
    _show(row, in_json)


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
    _list(rows, in_json)


@key.command("revoke")
@click.argument("key_id", metavar="ID")
@as_json
def revoke_key(key_id: str, in_json: bool) -> None:
    """End an API key at once."""
    with opened() as session:
        row = platforms.revoke_key(session, key_id)
        shown = {"id": row.id, "revoked_at": row.revoked_at}
    _show(shown, in_json)


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
    _show(shown, in_json)


@person.command("list")
@as_json
def list_people(in_json: bool) -> None:
    """List people, oldest account first."""
    with opened() as session:
        rows = [
            {"id": row.id, "email": row.email, "role": row.role, "disabled_at": row.disabled_at}
            for row in people.every(session)
        ]
    _list(rows, in_json)


@person.command("disable")
@click.argument("who", metavar="EMAIL")
@as_json
def disable_person(who: str, in_json: bool) -> None:
    """End somebody's access at once."""
    with opened() as session:
        row = people.disable(session, who)
        shown = {"id": row.id, "email": row.email, "disabled_at": row.disabled_at}
    _show(shown, in_json)


@click.group()
def endpoint() -> None:
    """Webhook endpoints of platforms."""


@endpoint.command("create")
@of_platform
@click.argument("url")
@click.option("--event", "events", multiple=True, help="Only this event; may be repeated. All of them by default.")
@as_json
def create_endpoint(platform_id: str, url: str, events: tuple[str, ...], in_json: bool) -> None:
    """Add a webhook endpoint, with the secret that signs what it gets."""
    settings = home.settings()
    with opened(settings) as session:
        owner = platforms.get(session, platform_id).id
        row = endpoints.create(session, owner, url, events, allowed_networks=settings.allowed_networks)
        shown = {"id": row.id, "secret": row.secret}
    _show(shown, in_json)


@endpoint.command("list")
@of_any_platform
@as_json
def list_endpoints(platform_id: str | None, in_json: bool) -> None:
    """List webhook endpoints, oldest first."""
    with opened() as session:
        owner = platform_id and platforms.get(session, platform_id).id
        rows = [
            {
                "id": row.id,
                "platform": row.platform_id,
                "url": row.url,
                "events": row.events,
                "failing_since": row.failing_since,
                "disabled_at": row.disabled_at,
            }
            for row in endpoints.every(session, owner)
        ]
    _list(rows, in_json)


@endpoint.command("delete")
@click.argument("endpoint_id", metavar="ID")
@as_json
def delete_endpoint(endpoint_id: str, in_json: bool) -> None:
    """Remove a webhook endpoint and the record of what was sent to it."""
    with opened() as session:
        endpoints.delete(session, endpoint_id)
    _show({"id": endpoint_id, "deleted": True}, in_json)


def _show(row: Row, in_json: bool) -> None:
    if in_json:
        click.echo(_line(row))
    else:
        width = max(map(len, row))
        click.echo("\n".join(f"{name.rjust(width)}  {_text(value)}" for name, value in row.items()))


def _list(rows: Iterable[Row], in_json: bool) -> None:
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
