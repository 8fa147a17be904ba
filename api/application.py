"""The web application, put together: every collaborator can be given, so that tests run it on engines of their own."""

from importlib.metadata import PackageNotFoundError, version

from apiflask import APIFlask
from celery import Celery
from sqlalchemy.orm import Session, sessionmaker
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter

from api import (
    batch,
    contract,
    credentials,
    dashboard,
    deliveries,
    docs,
    errors,
    headers,
    health,
    hooks,
    intake,
    multipart,
    requests,
    submissions,
    uploads,
    waiting,
)
from api import webhook_endpoints as endpoints
from api.bell import Bell
from api.collaborators import EXTENSION, Collaborators
from api.limits import Limits
from api.pressure import Pressure
from api.spools import SpooledRequest
from moderation import blobs as storage
from moderation import database
from moderation import queue as orders
from moderation.blobs import Blobs
from moderation.settings import Settings

RINGING_SECONDS = 2.0  # for Redis to take an order: nobody waits, but the next ring does


class IdConverter(BaseConverter):
    """Matches what `moderation.ids` makes; anything else in an address is not found, and never reaches the database."""

    regex = "[a-z]+_[0-9a-z]{26}"


def create(
    settings: Settings,
    *,
    session_factory: sessionmaker[Session] | None = None,
    blobs: Blobs | None = None,
    queue: Celery | None = None,
    bell: Bell | None = None,
) -> APIFlask:
    """Returns the application. What is not given is connected as ``settings`` say; nothing is contacted before use."""
    app = APIFlask(__name__, title="Unmask", version=_version(), docs_path=None, json_errors=False)
    app.config.update(SECRET_KEY=settings.secret_key, MAX_CONTENT_LENGTH=settings.max_bytes + multipart.FORM_BYTES)
    app.request_class = SpooledRequest
    app.json.sort_keys = False  # type: ignore[attr-defined]  # answers read in the order that people think in
    app.url_map.converters["id"] = IdConverter
    ringing = queue or orders.application(settings.redis_url, patience=RINGING_SECONDS)
    sessions = session_factory or database.sessions(database.connect(settings.database_url, pool=waiting.AT_WORK))
    app.extensions[EXTENSION] = Collaborators(
        settings=settings,
        sessions=sessions,
        blobs=blobs or storage.connect(settings.media, upload_endpoint=settings.upload_endpoint),
        queue=ringing,
        bell=bell or Bell(ringing, settings.lane_orders),
        limits=Limits(
            settings.redis_url,
            a_key=settings.rate_limit,
            failures=settings.key_attempts,
            salt=settings.secret_key,
        ),
        pressure=Pressure(sessions, settings.max_line),
        room=waiting.Room(sessions),
    )
    for room in (requests, headers, errors, credentials):
        room.register(app)
    for view in (intake, batch, uploads, submissions, endpoints, deliveries, hooks, health, docs):
        app.register_blueprint(view.blueprint)
    dashboard.register(app, settings)
    contract.register(app)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app


def _version() -> str:
    try:
        return version("unmask")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"
