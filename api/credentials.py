"""API keys: whoever calls /v1 is a platform whose key may do this, or is answered before a byte of the body is read.

A view names the scope that it needs with `@credentials.require(…)`; the check itself runs before every request, so
neither its place among the decorators nor a forgotten hook can let anybody in.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, g, request

from api.collaborators import collaborators
from moderation import platforms
from moderation.errors import BadCredentials, ScopeMissing
from moderation.tables import SCOPES

View = TypeVar("View", bound=Callable[..., Any])


def require(scope: str) -> Callable[[View], View]:
    """Marks a view as one that needs a key with ``scope``: `submit`, `read` or `manage`."""
    if scope not in SCOPES:
        raise ValueError(f"there is no scope {scope}")

    def mark(view: View) -> View:
        vars(view)["scope"] = scope  # decorators copy it outwards, and Flask keeps the outermost
        return view

    return mark


def scope_of(app: Flask, endpoint: str | None) -> str | None:
    """Returns the scope that an endpoint of ``app`` needs, or None for one that needs no key."""
    return getattr(app.view_functions.get(endpoint or ""), "scope", None)


def register(app: Flask) -> None:
    """Checks the key of every request for a view of ``app`` that needs one."""
    app.before_request(_check)


def _check() -> None:
    scope = scope_of(current_app, request.endpoint)
    if scope is None:
        return
    sent = request.authorization
    if sent is None or sent.type != "bearer" or not sent.token:
        raise BadCredentials("send Authorization: Bearer <api key>")
    with collaborators().sessions.begin() as session:
        key = platforms.authenticate(session, sent.token)
        g.platform_id, g.key_id = key.platform_id, key.id
        scopes = key.scopes
    if scope not in scopes:
        raise ScopeMissing(scope)


def platform_id() -> str:
    """Returns the platform that makes the present request."""
    return str(g.platform_id)


def key_id() -> str:
    """Returns the id of the key that the present request came with."""
    return str(g.key_id)
