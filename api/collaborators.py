"""What the web is given to work with: settings, the ledger, the blobs and the queue.

`api.application.create` puts one of these beside the app; views ask for it with `collaborators()`.
"""

from dataclasses import dataclass
from typing import cast

from celery import Celery
from flask import current_app
from sqlalchemy.orm import Session, sessionmaker

from api.bell import Bell
from api.limits import Limits
from api.pressure import Pressure
from api.waiting import Room
from moderation.blobs import Blobs
from moderation.settings import Settings

EXTENSION = "unmask"


@dataclass(frozen=True)
class Collaborators:
    """Everything outside the process that a view may touch; tests put their own in."""

    settings: Settings
    sessions: sessionmaker[Session]
    blobs: Blobs
    queue: Celery
    bell: Bell
    limits: Limits
    pressure: Pressure
    room: Room


def collaborators() -> Collaborators:
    """Returns those of the app that is serving the present request."""
    return cast("Collaborators", current_app.extensions[EXTENSION])
