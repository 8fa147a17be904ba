"""Logging in and out: who a session belongs to, when it ends, and what a browser keeps of it.

A session is a row (`moderation.logins`). The signed cookie holds a random token that names the row, so a copy of the
cookie is worth nothing once the row has ended: by logging out, by another password, by time, or because somebody ended
it.
A second cookie marks the browser as a device that is known to the account (`api.dashboard.attempts`).
"""

import threading
from dataclasses import dataclass

from flask import Response, current_app, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user

from api.collaborators import collaborators
from api.dashboard.attempts import EXTENSION, Attempts
from api.dashboard.pages import blueprint, failure, field, local_path
from moderation import audit, logins, people
from moderation.errors import BadCredentials
from moderation.logins import Begun
from moderation.tables import LoginSession

LONGEST_EMAIL = 254
LONGEST_PASSWORD = 1024
LONGEST_TOKEN = 100
DEVICE_COOKIE = "unmask_device"
SLOTS = 2  # passwords checked at once in a process: each takes 64 MiB, and a count is read before it and written after
PATIENCE = 10.0  # seconds for a slot

manager = LoginManager()
_slots = {known: threading.BoundedSemaphore(SLOTS) for known in (True, False)}  # strangers never take a known one's


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who a session belongs to. ``token`` names the session's row."""

    id: str
    email: str
    role: str
    session_id: str
    token: str

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """Returns what the cookie keeps of a visitor."""
        return self.token

    @property
    def oversees(self) -> bool:
        """Says whether this is a lead or an administrator."""
        return self.role in ("lead", "admin")


def _visitor(row: LoginSession, token: str) -> Visitor:
    return Visitor(row.person.id, row.person.email, row.person.role, row.id, token)


def _recall(token: str) -> Visitor | None:
    """Returns the session's visitor, or None when the session has ended."""
    with collaborators().sessions.begin() as ledger:
        row = logins.recall(ledger, token[:LONGEST_TOKEN])
        return _visitor(row, token) if row else None


manager.user_loader(_recall)


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """Shows the form, or goes on when somebody is logged in already."""
    if current_user.is_authenticated:
        return redirect(local_path(request.args.get("next")), 303)
    return render_template("dashboard/login.html", email="", next=request.args.get("next", ""))


@blueprint.post("/login")
def enter() -> ResponseReturnValue:
    """Begins a session for the person whose password this is; the answer never says what was wrong."""
    email, wanted = field("email", LONGEST_EMAIL), request.form.get("next", "")
    device = _known_device(email)
    slots = _slots[device is not None]
    if not slots.acquire(timeout=PATIENCE):
        return failure(503)
    try:
        if (seconds := _attempts().wait(_address(), email, device)) is not None:
            return _slowed(seconds)
        begun = _recognised(email, request.form.get("password", "")[:LONGEST_PASSWORD], device)
    finally:
        slots.release()
    if begun is None:
        return render_template("dashboard/login.html", email=email, next=wanted, wrong=True), 401
    session.clear()  # nothing that was planted before the login survives it
    login_user(_visitor(begun.row, begun.token))
    response = make_response(redirect(local_path(wanted), 303))
    _mark(response, begun.device)
    return response


def _recognised(email: str, password: str, device: str | None) -> Begun | None:
    """Returns a new session, or None after it has counted and written down that somebody tried."""
    house, address = collaborators(), _address()
    try:
        with house.sessions.begin() as ledger:
            person = people.authenticate(ledger, email, password)
            if current_user.is_authenticated:
                logins.leave(ledger, current_user.token)
            begun = logins.begin(
                ledger,
                person,
                house.settings.session_hours,
                device=device or "",
                address=address,
                agent=request.user_agent.string,
            )
            ledger.refresh(begun.row, ["person"])
            return begun
    except BadCredentials:
        _attempts().failed(address, email, device)
        with house.sessions.begin() as ledger:
            audit.write(ledger, "anonymous", "login.failed", email or "nobody", new={"address": address})
        return None


def _known_device(email: str) -> str | None:
    """Returns the browser's device token when it has logged in to this account before."""
    device = request.cookies.get(DEVICE_COOKIE, "")[:LONGEST_TOKEN]
    with collaborators().sessions.begin() as ledger:
        return device if logins.is_known(ledger, email, device) else None


def _mark(response: Response, device: str) -> None:
    """Makes the browser keep its device token, which is sent to the log-in page and nowhere else."""
    response.set_cookie(
        DEVICE_COOKIE,
        device,
        max_age=logins.DEVICE_DAYS * 86_400,
        path=url_for("dashboard.login"),
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Strict",
    )


@blueprint.post("/logout")
def leave() -> ResponseReturnValue:
    """Ends the session, here and on the server."""
    with collaborators().sessions.begin() as ledger:
        logins.leave(ledger, current_user.token)
    logout_user()
    session.clear()
    return redirect(url_for("dashboard.login"), 303)


def _slowed(seconds: int) -> Response:
    page = failure(429)
    page.headers["Retry-After"] = str(seconds)
    return page


def _attempts() -> Attempts:
    attempts: Attempts = current_app.extensions[EXTENSION]
    return attempts


def _address() -> str:
    return request.remote_addr or ""
