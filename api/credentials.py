"""API keys: whoever calls /v1 is a platform, or gets 401 before a byte of the body is read."""

from flask import g, request

from api.collaborators import collaborators
from moderation import platforms
from moderation.errors import BadCredentials


def require() -> None:
    """Before each request of a platform's blueprint: finds out whose key this is.

    Raises:
        BadCredentials: when there is no key, or one that opens nothing.
    """
    sent = request.authorization
    if sent is None or sent.type != "bearer" or not sent.token:
        raise BadCredentials("send Authorization: Bearer <api key>")
    with collaborators().sessions.begin() as session:
        g.platform_id = platforms.authenticate(session, sent.token).id


def platform_id() -> str:
    """Returns the platform that makes the present request."""
    return str(g.platform_id)
