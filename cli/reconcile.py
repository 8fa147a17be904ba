"""`unmask source reconcile`: what lies in a bucket and was never told of, expected now."""

from datetime import UTC, datetime

import click
from sqlalchemy.orm import Session, sessionmaker

from cli import home
from cli.bars import progress_bar
from cli.ledger import as_json, show
from cli.source import of_source, source
from moderation import database, queue, sources
from moderation.errors import Refused
from moderation.sources import listing
from moderation.sources.listing import Page


@source.command("reconcile")
@of_source
@click.option("--since", type=click.DateTime(), help="Only objects written since (UTC).")
@click.option("--after", default="", metavar="BUCKET/KEY", help="Go on where an interrupted run says.")
@click.option("--dry-run", is_flag=True, help="Count, and submit nothing.")
@as_json
def reconcile(source_id: str, since: datetime | None, after: str, dry_run: bool, in_json: bool) -> None:
    """List a source's buckets and submit whatever is not known by key and ETag.

    Each thousand objects are committed by themselves: doing it again changes nothing.
    """
    settings = home.settings()
    engine = database.connect(settings.database_url, pool=1)
    app, seen, new = queue.application(settings.redis_url), 0, 0
    try:
        ledger = database.sessions(engine)
        with ledger.begin() as session:
            row = sources.get(session, source_id)
        if not sources.find(row.kind).lasting:
            raise Refused(f"a {row.kind} source has nothing that can be listed")
        with progress_bar() as bar:
            task = bar.add_task(f"objects of {row.options.get('bucket', 'no bucket')}", total=None)
            for page in listing.pages(row.options, after=after, since=since and since.replace(tzinfo=UTC)):
                taken, after = _kept(ledger, source_id, page, dry_run), page.last
                if taken and not dry_run:
                    queue.ring_fetching(app)
                seen, new = seen + len(page.media), new + taken
                bar.update(task, advance=len(page.media), description=f"{page.bucket}, {new} new")
    except BaseException:
        if after:
            click.echo(f"unmask: go on with --after '{after}'", err=True)
        raise
    finally:
        engine.dispose()
        app.close()
    show({"id": source_id, "listed": seen, "new": new, "dry_run": dry_run}, in_json)


def _kept(ledger: sessionmaker[Session], source_id: str, page: Page, dry_run: bool) -> int:
    """Returns how many objects of a page were not known; expects them unless it is a dry run."""
    with ledger.begin() as session:
        row = sources.get(session, source_id)
        if dry_run:
            return len(page.media) - len(sources.known(session, row, page.media))
        return len(sources.take(session, row, page.media)[0])
