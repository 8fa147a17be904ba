"""API keys: whoever calls /v1 is a platform whose key may do this, or is answered before a byte of the body is read.

A view names the scope that it needs with `@credentials.require(…)`; the check itself runs before every request, so
neither its place among the decorators nor a forgotten hook can let anybody in.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response, current_app, g, request

from api.collaborators import Collaborators, collaborators
from moderation import platforms
from moderation.errors import BadCredentials, ScopeMissing, TooManyRequests
from moderation.policy import Policy
from moderation.tables import SCOPES

BODY_BYTES = 256 * 1024  # of JSON, where a view has no cap of its own

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
    app.after_request(_tell)


def _check() -> None:
    scope = scope_of(current_app, request.endpoint)
    if scope is None:
        return
    at = collaborators()
    sent = request.authorization
    if sent is None or sent.type != "bearer" or not sent.token:
        raise BadCredentials("send Authorization: Bearer <api key>")
    scopes = _recognise(at, sent.token)
    spend()
    if scope not in scopes:
        raise ScopeMissing(scope)
    if scope == "submit":
        at.pressure.admit()  # as if urgent: what is refused now need not be read
    if request.mimetype != "multipart/form-data":  # whose reader has its own cap
        request.max_content_length = BODY_BYTES


def _recognise(at: Collaborators, bearer: str) -> list[str]:
    """Remembers whose key this is for the rest of the request, and returns its scopes."""
    address = request.remote_addr or ""
    at.limits.admit(address, bearer)
    try:
        with at.sessions() as session:
            session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})  # two round trips less a request
            key = platforms.authenticate(session, bearer)
    except BadCredentials:
        at.limits.failed(address, bearer)
        raise
    g.platform_id, g.key_id, g.policy = key.platform_id, key.id, key.policy
    at.limits.succeeded(bearer)
    return key.scopes


def spend(cost: int = 1) -> None:
    """Takes from the allowance of the present request's key. A batch asks for as much more as it has further items.

    Raises:
        TooManyRequests: when less is left; nothing was taken.
    """
    window = g.window = collaborators().limits.spend(key_id(), cost)
    if window is not None and not window.granted:
        raise TooManyRequests(f"more than {window.limit} requests in the time that this key has for them", window.wait)


def _tell(response: Response) -> Response:
    """Says what is left of the key's allowance, in the words of draft-ietf-httpapi-ratelimit-headers-06."""
    window = g.get("window")
    if window is not None:
        response.headers["RateLimit-Limit"] = str(window.limit)
        response.headers["RateLimit-Remaining"] = str(window.remaining)
        response.headers["RateLimit-Reset"] = str(window.wait)
    return response


def platform_id() -> str:
    """Returns the platform that makes the present request."""
    return str(g.platform_id)


def key_id() -> str:
    """Returns the id of the key that the present request came with."""
    return str(g.key_id)


def policy() -> Policy:
    """Returns the policy of the platform that makes the present request, as it was when the request came in."""
    return Policy.read(g.policy)
