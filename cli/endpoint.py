"""Chores on webhook endpoints: what a platform may do over the API, for whoever runs the installation."""

import click

from cli import home
from cli.ledger import as_json, listed, of_any_platform, of_platform, opened, overlap, show
from moderation import deliveries, endpoints, platforms, queue
from moderation.tables import EVENTS


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
    show(shown, in_json)


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
    listed(rows, in_json)


@endpoint.command("delete")
@click.argument("endpoint_id", metavar="ID")
@as_json
def delete_endpoint(endpoint_id: str, in_json: bool) -> None:
    """Remove a webhook endpoint and the record of what was sent to it."""
    with opened() as session:
        endpoints.delete(session, endpoint_id)
    show({"id": endpoint_id, "deleted": True}, in_json)


@endpoint.command("change")
@click.argument("endpoint_id", metavar="ID")
@click.option("--url", help="Where to send from now on, what waits included.")
@click.option("--event", "events", multiple=True, type=click.Choice(EVENTS), help="Only these; may be repeated.")
@click.option("--all-events", is_flag=True, help="Every event.")
@click.option("--enable/--disable", "enabled", default=None, help="Whether anything is sent to it.")
@as_json
def change_endpoint(
    endpoint_id: str, url: str | None, events: tuple[str, ...], all_events: bool, enabled: bool | None, in_json: bool
) -> None:
    """Change a webhook endpoint; what is not named stays as it is."""
    if events and all_events:
        raise click.UsageError("--event and --all-events exclude each other")
    settings = home.settings()
    with opened(settings) as session:
        row = endpoints.change(
            session,
            endpoint_id,
            url=url,
            events=events if events or all_events else None,
            enabled=enabled,
            allowed_networks=settings.allowed_networks,
        )
        shown = {"id": row.id, "url": row.url, "events": row.events, "disabled_at": row.disabled_at}
    show(shown, in_json)


@endpoint.command("test")
@click.argument("endpoint_id", metavar="ID")
@as_json
def test_endpoint(endpoint_id: str, in_json: bool) -> None:
    """Send an endpoint.test message."""
    settings = home.settings()
    with opened(settings) as session:
        row = deliveries.ping(session, endpoints.existing(session, endpoint_id))
        shown = {"id": row.id, "event": row.event, "state": row.state}
    with queue.application(settings.redis_url) as orders:
        queue.ring_deliveries(orders)
    show(shown, in_json)


@endpoint.command("rotate")
@click.argument("endpoint_id", metavar="ID")
@overlap
@as_json
def rotate_endpoint(endpoint_id: str, overlap_seconds: int, in_json: bool) -> None:
    """Give a webhook endpoint a new secret, shown this once."""
    with opened() as session:
        row = endpoints.rotate(session, endpoint_id, overlap_seconds)
        shown = {"id": row.id, "secret": row.secret}
    show(shown, in_json)
