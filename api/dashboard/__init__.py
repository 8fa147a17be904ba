"""The dashboard: where people see the evidence and decide. Server-rendered, complete without JavaScript.

It refuses everybody who is not logged in, keeps nothing that `/try` was shown, and adds no rule of its own: what may
happen to a flag is the domain's to say.
"""

from flask import Flask

from api.dashboard import listing, login, pages, pictures, platforms, review, sessions, sources, trail, trial, words
from api.dashboard.attempts import EXTENSION, Attempts
from moderation.settings import Settings

__all__ = [
    "listing",
    "login",
    "pages",
    "pictures",
    "platforms",
    "register",
    "review",
    "sessions",
    "sources",
    "trail",
    "trial",
    "words",
]


def register(app: Flask, settings: Settings) -> None:
    """Puts the dashboard into ``app``: its pages, sessions, CSRF protection and the throttle on logins."""
    app.secret_key = settings.secret_key
    app.config.update(
        SESSION_COOKIE_NAME="unmask",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=(settings.public_url or "").startswith("https:"),
        WTF_CSRF_CHECK_DEFAULT=False,  # the dashboard's own hook checks; /v1 has no cookies to protect
        WTF_CSRF_TIME_LIMIT=None,  # a token lives as long as its session: a slow decision is no forgery
    )
    pages.csrf.init_app(app)
    login.manager.init_app(app)
    app.register_blueprint(pages.blueprint)
    app.extensions[EXTENSION] = Attempts(settings)
