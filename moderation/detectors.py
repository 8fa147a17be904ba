"""Which detector releases have served, and which one is current: the one a worker most recently started with."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from moderation.tables import Detector


def started(session: Session, name: str, version: str) -> None:
    """Notes that a worker starts with this release; it is the current one from now on."""
    row = insert(Detector).values(name=name, version=version)
    session.execute(
        row.on_conflict_do_update(index_elements=["name", "version"], set_={"started_at": func.clock_timestamp()})
    )


def current(session: Session) -> Detector | None:
    """Returns the current release, or None while no worker has ever started."""
    return session.scalar(select(Detector).order_by(Detector.started_at.desc()).limit(1))
