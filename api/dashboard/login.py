"""Logging in and out: the session, who it belongs to, when it ends, and how often one may try.

The session is a signed cookie that names a person and when it ends. It ends at once when the person is disabled or gets
another password.
"""

import hashlib
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask, Response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter, RateLimitExceeded, RequestLimit
from flask_limiter.util import get_remote_address
from flask_login import LoginManager, current_user, login_user, logout_user

from api import limits
from api.collaborators import collaborators
from api.dashboard.pages import blueprint, failure, field, local_path
from moderation import audit, people
from moderation.errors import BadCredentials
from moderation.settings import Settings
from moderation.tables import Person

LONGEST_EMAIL = 254
LONGEST_PASSWORD = 1024
manager = LoginManager()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who a session belongs to. ``stamp`` changes with the password, and so ends older sessions."""

    id: str
    email: str
    role: str
    stamp: str

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """Returns what the session keeps of a visitor."""
        return f"{self.id} {self.stamp}"

    @property
    def oversees(self) -> bool:
        """Says whether this is a lead or an administrator."""
        return self.role in ("lead", "admin")


def _visitor(person: Person) -> Visitor:
    return Visitor(person.id, person.email, person.role, hashlib.sha256(person.password_hash.encode()).hexdigest()[:16])


def _recall(kept: str) -> Visitor | None:
    """Returns the session's visitor, or None when the session has ended."""
    if time.time() > session.get("ends", 0):
        return None
    with collaborators().sessions.begin() as ledger:
        person = people.get(ledger, kept.partition(" ")[0])
        visitor = person and _visitor(person)
    return visitor if visitor and visitor.get_id() == kept else None


manager.user_loader(_recall)


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """Shows the form, or goes on when somebody is logged in already."""
    if current_user.is_authenticated:
        return redirect(local_path(request.args.get("next")), 303)
    return render_template("dashboard/login.html", email="", next=request.args.get("next", ""))


@blueprint.post("/login")
def enter() -> ResponseReturnValue:
    """Begins a session of its own for whoever knows the password; the answer never says what was wrong."""
    email, wanted = field("email", LONGEST_EMAIL), request.form.get("next", "")
    visitor = _recognise(email, request.form.get("password", "")[:LONGEST_PASSWORD])
    if visitor is None:
        return render_template("dashboard/login.html", email=email, next=wanted, wrong=True), 401
    session.clear()  # nothing that was planted before the login survives it
    session["ends"] = time.time() + 3600 * collaborators().settings.session_hours
    login_user(visitor)
    return redirect(local_path(wanted), 303)


def _recognise(email: str, password: str) -> Visitor | None:
    """Returns who may enter, and writes down that they did, or that somebody tried."""
    sessions, address = collaborators().sessions, request.remote_addr
    try:
        with sessions.begin() as ledger:
            person = people.authenticate(ledger, email, password)
            audit.write(ledger, person.id, "login.succeeded", person.id, new={"address": address})
            return _visitor(person)
    except BadCredentials:
        with sessions.begin() as ledger:
            audit.write(ledger, "anonymous", "login.failed", email or "nobody", new={"address": address})
        return None


@blueprint.post("/logout")
def leave() -> ResponseReturnValue:
    """Ends the session."""
    logout_user()
    session.clear()
    return redirect(url_for("dashboard.login"), 303)


def throttle(app: Flask, settings: Settings) -> None:
    """Limits failed logins by address and by account, counted in Redis, or in this process while Redis is away."""
    limiter = Limiter(
        get_remote_address,
        app=app,
        key_prefix="unmask",
        storage_uri=limits.storage_url(settings.redis_url),
        storage_options={"socket_connect_timeout": 1, "socket_timeout": 1},
        in_memory_fallback_enabled=True,
        on_breach=_wait,
    )
    limited = partial(limiter.limit, settings.login_attempts, deduct_when=lambda response: response.status_code == 401)
    endpoint = f"{blueprint.name}.{enter.__name__}"
    view: Any = app.view_functions[endpoint]
    app.view_functions[endpoint] = limited()(limited(key_func=_account)(view))


def _wait(limit: RequestLimit) -> Response:
    """Returns the page that says so, and for how many seconds."""
    page = failure(429)
    page.headers["Retry-After"] = str(max(1, round(limit.reset_at - time.time())))
    return page


@blueprint.errorhandler(RateLimitExceeded)
def _slowed(error: RateLimitExceeded) -> Any:
    return error.get_response()  # the page that `_wait` made, which knows for how long


def _account() -> str:
    """Names the account that a login is for, without keeping its address in Redis."""
    return "account " + hashlib.sha256(field("email", LONGEST_EMAIL).lower().encode()).hexdigest()
