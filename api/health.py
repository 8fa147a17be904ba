"""Health: is the process up, is the world around it usable, and what has been counted. Open to all; names no host."""

import os
from functools import cache
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from apiflask import APIBlueprint
from flask import Response
from kombu.exceptions import OperationalError
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess
from redis.exceptions import RedisError, ResponseError
from sqlalchemy.exc import SQLAlchemyError

from api import schemas
from api.collaborators import Collaborators, collaborators
from moderation import database, fetches, logs, metrics, queue, submissions
from moderation.errors import WorldDown
from moderation.tables import PRIORITIES

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
AWAY = (WorldDown, SQLAlchemyError, RedisError, OperationalError, OSError)
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "They cannot; `checks` says why",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}},
    }
}
TEXT: dict[int | str, dict[str, Any]] = {200: {"description": "The Prometheus format", "content": {"text/plain": {}}}}

blueprint = APIBlueprint("health", __name__, tag="Operation")
log = logs.get(__name__)


@cache
def newest_migration() -> str | None:
    """Returns the revision that this code expects of the database."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


@blueprint.get("/healthz")
@blueprint.output(schemas.Liveness)
def healthz() -> dict[str, str]:
    """Is the process up?"""
    return {"status": "ok"}


@blueprint.get("/readyz")
@blueprint.output(schemas.Health)
@blueprint.doc(responses=NOT_READY)
def readyz() -> tuple[dict[str, Any], int]:
    """Can requests be served?

    Looks at the database, its migrations, Redis (with a write) and the place where media lives.
    """
    at = collaborators()
    checks = {name: _outcome(name, check, at) for name, check in CHECKS.items()}
    ready = all(outcome == "ok" for outcome in checks.values())
    return {"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503


def _outcome(name: str, check: Any, at: Collaborators) -> str:
    try:
        check(at)
    except ResponseError as error:
        log.warning("check_failed", check=name, error=str(error))
        return "refuses writes"
    except AWAY as error:
        log.warning("check_failed", check=name, error=str(error))
        return "away"
    except _Outdated as error:
        return str(error)
    return "ok"


class _Outdated(Exception):
    """The database's tables are not those that this code was written for."""


def _database(at: Collaborators) -> None:
    with at.sessions.begin() as session:
        database.revision(session)


def _migrations(at: Collaborators) -> None:
    with at.sessions.begin() as session:
        found = database.revision(session)
    if found != newest_migration():
        raise _Outdated(f"at {found}, expected {newest_migration()}")


def _redis(at: Collaborators) -> None:
    queue.check(at.queue)


def _storage(at: Collaborators) -> None:
    at.blobs.check()


CHECKS = {"database": _database, "migrations": _migrations, "redis": _redis, "storage": _storage}


@blueprint.get("/metrics")
@blueprint.doc(responses=TEXT)
def exposition() -> Response:
    """Prometheus metrics"""
    _measure(collaborators())
    return Response(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)


def _measure(at: Collaborators) -> None:
    """Reads the length of the line at the moment of the scrape; counters are still told when the ledger is away."""
    try:
        with at.sessions.begin() as session:
            line = submissions.waiting(session)
            metrics.fetching.set(fetches.waiting(session))
    except SQLAlchemyError as error:
        log.warning("line_not_measured", error=str(error))
        return
    for number, name in enumerate(PRIORITIES):
        metrics.waiting.labels(name).set(line.get(number, 0))


def _registry() -> CollectorRegistry:
    """Returns all processes' numbers where there are several: prometheus_client shares them through a directory."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:  # prometheus_client reads it at import: no setting of ours
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
