"""Chores on sources: where a platform's own system tells of new media, and what became of its word.

A secret never has to stand in the list of processes: `--secret -` reads it from standard input.
"""

import sys
from typing import BinaryIO, TextIO

import click

from cli import home
from cli.ledger import Row, as_json, listed, of_any_platform, of_platform, opened, overlap, show
from moderation import platforms, sources
from moderation.errors import Refused
from moderation.settings import Settings
from moderation.tables import Source

of_source = click.argument("source_id", metavar="ID")
with_secret = click.option("--secret", help="The sender's; - reads it from standard input. A fresh one by default.")
with_options = click.option("--option", "pairs", multiple=True, metavar="NAME=VALUE", help="May be repeated.")


@click.group()
def source() -> None:
    """Sources: Mastodon, Discourse, buckets and services that tell of new media."""


def _known_options() -> str:
    adapters = [sources.find(kind) for kind in sources.kinds()]
    shared = [f"  any kind: {name}, {use}" for name, use in sources.SHARED_OPTIONS.items()]
    lines = [f"  {one.kind}: {name}, {use}" for one in adapters for name, use in one.options.items()]
    return "\n".join(["\b", "What --option takes:", *lines, *shared])


@source.command("create", epilog=_known_options())
@of_platform
@click.option("--kind", required=True, type=click.Choice(sources.kinds()))
@with_secret
@with_options
@as_json
def create_source(platform_id: str, kind: str, secret: str | None, pairs: tuple[str, ...], in_json: bool) -> None:
    """Add a source, with the address that it is to tell and the secret that it signs with."""
    settings = home.settings()
    with opened(settings) as session:
        owner = platforms.get(session, platform_id).id
        made = sources.create(session, owner, kind, secret=_secret(secret), options=_options(pairs))
        row = _document(made, settings)
    show(row, in_json)
    missing = [name for name in sources.find(kind).needs if not made.options.get(name)]
    if missing:
        hint = f"unmask source set {made.id} --option {missing[0]}=…"
        click.echo(f"unmask: nothing is taken of it until it has {', '.join(missing)}: {hint}", err=True)


@source.command("list")
@of_any_platform
@as_json
def list_sources(platform_id: str | None, in_json: bool) -> None:
    """List sources, oldest first, without their secrets."""
    settings = home.settings()
    with opened(settings) as session:
        owner = platform_id and platforms.get(session, platform_id).id
        rows = [
            {
                "id": row.id,
                "platform": row.platform_id,
                "kind": row.kind,
                "url": address(settings, row.id),
                "options": row.options,
                "last_event_at": row.last_event_at,
                "disabled_at": row.disabled_at,
            }
            for row in sources.every(session, owner)
        ]
    if not in_json:  # what a terminal is wide enough for
        rows = [{name: row[name] for name in ("id", "kind", "last_event_at", "disabled_at")} for row in rows]
    listed(rows, in_json)


@source.command("set")
@of_source
@with_options
@as_json
def set_options(source_id: str, pairs: tuple[str, ...], in_json: bool) -> None:
    """Set options of a source; NAME= takes one away."""
    with opened() as session:
        row = sources.set_options(session, source_id, _options(pairs))
        shown = {"id": row.id, "options": row.options}
    show(shown, in_json)


@source.command("rotate")
@of_source
@with_secret
@overlap
@as_json
def rotate_source(source_id: str, secret: str | None, overlap_seconds: float, in_json: bool) -> None:
    """Give a source a new secret; the one before goes on verifying for a while."""
    settings = home.settings()
    with opened(settings) as session:
        row = _document(
            sources.rotate(session, source_id, secret=_secret(secret), overlap_seconds=overlap_seconds), settings
        )
    show(row, in_json)


@source.command("disable")
@of_source
@as_json
def disable_source(source_id: str, in_json: bool) -> None:
    """Take nothing more from a source."""
    with opened() as session:
        shown = {"id": source_id, "disabled_at": sources.disable(session, source_id).disabled_at}
    show(shown, in_json)


@source.command("enable")
@of_source
@as_json
def enable_source(source_id: str, in_json: bool) -> None:
    """Take events from a source again."""
    with opened() as session:
        shown = {"id": source_id, "disabled_at": sources.enable(session, source_id).disabled_at}
    show(shown, in_json)


@source.command("test")
@of_source
@click.option("--payload", required=True, type=click.File("rb"), help="The body as it was sent, byte for byte.")
@click.option(
    "--headers", type=click.File("r"), help="A line Name: value each, or a JSON object. Left out: none were sent."
)
@as_json
def dry_run(source_id: str, payload: BinaryIO, headers: TextIO | None, in_json: bool) -> None:
    """Tell what a message would bring: how it is verified, its media, its deduplication key. Nothing is stored.

    Exit code 1 when it is not verified.
    """
    body, sent = payload.read(), sources.headers_of(headers.read()) if headers else {}
    with opened() as session:
        dry = sources.examine(session, sources.get(session, source_id), sent, body)
    row = dry.document()
    if not in_json:
        row["media"] = [f"{_place(medium['origin'])}{' (known)' * medium['known']}" for medium in row["media"]] or None
        row["notes"] = row["notes"] or None
    show(row, in_json)
    if not dry.verified:
        sys.exit(1)


def _place(origin: Row) -> str:
    return str(origin.get("url") or f"s3://{origin['bucket']}/{origin['key']}")


def address(settings: Settings, source_id: str) -> str:
    """Returns where a source's sender tells of media."""
    base = settings.address
    return f"{base.rstrip('/')}/v1/hooks/{source_id}"


def _document(row: Source, settings: Settings) -> Row:
    return {"id": row.id, "url": address(settings, row.id), "secret": row.secret}


def _secret(given: str | None) -> str | None:
    return sys.stdin.readline().rstrip("\r\n") if given == "-" else given


def _options(pairs: tuple[str, ...]) -> dict[str, str]:
    parts = [pair.partition("=") for pair in pairs]
    wrong = [name for name, equals, _ in parts if not equals or not name]
    if wrong:
        raise Refused(f"an option is NAME=VALUE, not {wrong[0]}")
    return {name: value for name, _, value in parts}
