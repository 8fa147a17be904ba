"""Which detector releases have served, and which one is current: the one a worker most recently started with."""

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from moderation.tables import Detector


def started(session: Session, name: str, version: str) -> None:
    """Notes that a worker starts with this release; it is the current one from now on."""
    row = insert(Detector).values(name=name, version=version)
    session.execute(
        row.on_conflict_do_update(index_elements=["name", "version"], set_={"started_at": func.clock_timestamp()})
    )
