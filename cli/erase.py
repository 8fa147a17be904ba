"""`unmask erase`: an operator answers somebody's request to be forgotten, without the platform's API key."""

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from cli import home
from cli.ledger import as_json, listed, opened
from moderation import blobs as storage
from moderation import erasure, platforms, submissions
from moderation.errors import NotFound, WorldDown
from moderation.settings import Settings
from moderation.tables import Submission

ACTOR = "operator"
MOST = 100


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--platform", "platform_id", metavar="ID", help="With --external-id: its id or its name.")
@click.option("--external-id", metavar="TEXT", help="Every submission that the platform sent under this id.")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@as_json
def erase(ids: tuple[str, ...], platform_id: str | None, external_id: str | None, dry_run: bool, in_json: bool) -> None:
    """Erase submissions: for every reader at once, their media unless others hold it.

    At most 100 at a time, newest first: call it again until nothing is found. What the media store does not give up now
    is removed by upkeep. `media` says what happens to the bytes: they are removed, or stay because another submission
    holds the same.
    """
    if bool(ids) == bool(external_id) or bool(platform_id) != bool(external_id) or len(ids) > MOST:
        raise click.UsageError(f"give up to {MOST} ids, or --platform and --external-id")
    settings = home.settings()
    with opened(settings) as session:
        found = _named(session, ids) if ids else _sent_as(session, platform_id or "", external_id or "")
        going = erasure.removable(session, [row.id for row in found])
        rows = [
            {"id": row.id, "state": row.state, "received_at": row.received_at, "media": _planned(row, going)}
            for row in found
        ]
    for row in () if dry_run else rows:
        row["media"] = _erased(settings, str(row["id"]), str(row["media"]))
    listed(rows, in_json)


def _planned(row: Submission, going: set[str]) -> str:
    """Returns what erasing a submission would do to its media."""
    if row.media_sha256 is None:
        return "none"
    return "would be removed" if row.media_sha256 in going else "stays: another submission holds it"


def _named(session: Session, ids: tuple[str, ...]) -> list[Submission]:
    found = {row.id: row for row in session.scalars(select(Submission).where(Submission.id.in_(ids)))}
    if missing := [name for name in ids if name not in found]:
        raise NotFound(f"there is no submission {missing[0]}; nothing was erased")
    return list(found.values())


def _sent_as(session: Session, platform_id: str, external_id: str) -> list[Submission]:
    owner = platforms.get(session, platform_id).id
    found, _ = submissions.page(session, owner, external_id=external_id, limit=MOST)
    if not found:
        raise NotFound(f"{platform_id} has sent nothing as {external_id}")
    return found


def _erased(settings: Settings, submission_id: str, planned: str) -> str:
    """Erases one submission; returns what became of its media. ``planned`` is what `_planned` said of it."""
    with opened(settings) as session:
        erasure.ask(session, submission_id, actor=ACTOR)
    try:
        with opened(settings) as session:
            erasure.remove(session, storage.connect(settings.media), submission_id)
    except WorldDown:
        return "removed once the store answers"
    return "removed" if planned == "would be removed" else planned
