"""What every page of the dashboard shares: the blueprint, who may pass, headers, form fields and error pages.

A page is private unless its endpoint is named here: forgetting to protect one is not possible.
"""

import re
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    g,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy import exc as sqlalchemy
from werkzeug.exceptions import HTTPException

from api import errors as problems
from api import headers, requests
from api.collaborators import collaborators
from moderation import errors, logs

blueprint = Blueprint(
    "dashboard", __name__, template_folder="templates", static_folder="static", static_url_path="/dashboard/static"
)
csrf = CSRFProtect()
log = logs.get(__name__)

PUBLIC = {"dashboard.login", "dashboard.enter", "dashboard.static"}
UPLOADS = {"dashboard.send_trial"}
FORM_BYTES = 64 * 1024  # what a form without a file may weigh; also the room for the fields beside a file
_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*")  # one slash first, and no backslash, which browsers read as one
SWITCHES = {"veil": True, "blur": False, "grey": False, "boxes": True}  # how a person looks at images, by default

WORDS = {  # a status, as a heading and as what to do next
    400: ("That did not work", "Go back, reload the page and try once more."),
    401: ("Log in first", "Your session has ended."),
    403: ("Not for your role", "This page is for leads and administrators."),
    404: ("Nothing here", "It never existed, or it has been erased in the meantime."),
    405: ("Not this way", "This address takes a button press, not a visit."),
    409: ("Somebody was faster", "Look at the flag as it is now, then decide again."),
    413: ("Too large", "Choose a smaller file: this one is more than this service accepts."),
    415: ("Not an image we know", "Send a JPEG, PNG, WebP, GIF, HEIC, AVIF, TIFF or BMP."),
    422: ("Not acceptable", "Change what it names and try again."),
    429: ("Too many attempts", "Wait a few minutes, then try again."),
    500: ("Our mistake", "Something broke on our side, and it has been logged."),
    503: ("One moment", "A part of the service does not answer. Nothing is lost; try again shortly."),
}


@blueprint.before_request
def admit() -> ResponseReturnValue | None:
    """Caps the body before anything reads it, then asks for a login, then for the CSRF token."""
    room = collaborators().settings.max_bytes if request.endpoint in UPLOADS else 0
    request.max_content_length = room + FORM_BYTES
    if "\0" in request.path:
        abort(404)  # PostgreSQL's text cannot hold it, so there is no such thing
    if request.endpoint not in PUBLIC and not current_user.is_authenticated:
        return _stranger()
    csrf.protect()
    return None


def _stranger() -> ResponseReturnValue:
    """Sends somebody without a session to log in, and to where they were going afterwards."""
    if wants_json():
        return failure(401)
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("dashboard.login", next=wanted), 303)


@blueprint.after_request
def keep_private(response: Response) -> Response:
    """Keeps pages out of caches; a page that shows the browser's own file is allowed that and no more."""
    response.headers.setdefault("Cache-Control", "no-store")
    if g.get("shows_local_files"):
        policy = headers.POLICY.replace("img-src 'self'", "img-src 'self' blob: data:; media-src blob:")
        response.headers["Content-Security-Policy"] = policy
    return response


@blueprint.context_processor
def looks() -> dict[str, Any]:
    """Gives templates the person's switches."""
    return {"switches": {name: switched(name) for name in SWITCHES}}


def switched(name: str) -> bool:
    """Says whether a switch is on: as the person left it, else as it comes."""
    kept = request.cookies.get(f"unmask_{name}")
    return kept == "on" if kept in ("on", "off") else SWITCHES[name]


def wants_json() -> bool:
    """Says whether one of our scripts asks, rather than a browser on its way to a page."""
    return request.accept_mimetypes.best == "application/json"


def field(name: str, longest: int) -> str:
    """Returns a form field, trimmed and cut, without the NUL that PostgreSQL's text cannot hold."""
    return request.form.get(name, "").replace("\0", "").replace("\r\n", "\n").strip()[:longest]


def local_path(target: str | None) -> str:
    """Returns ``target`` if it is a path on this site, else the queue's: a login never leads elsewhere."""
    return target if target and _LOCAL.fullmatch(target) else url_for("dashboard.queue")


def say(text: str, undo: str = "") -> None:
    """Leaves a message for the next page; with the id of a flag, the answer on it can be undone from there."""
    flash(text, undo)


def failure(status: int, detail: str | None = None, slug: str | None = None) -> Response:
    """Returns an error as a page, or as problem+json to a script."""
    title, advice = WORDS.get(status, WORDS[400])
    if wants_json():
        kind = f"/problems/{slug}" if slug else "about:blank"
        response = jsonify(type=kind, title=title, status=status, detail=detail or advice, **_request())
        response.content_type = problems.MIMETYPE
    else:
        told = {"status": status, "title": title, "advice": advice, "detail": detail, "slug": slug}
        response = make_response(render_template("dashboard/error.html", **told, **_request()))
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = problems.RETRY_SECONDS
    return response


def _request() -> dict[str, str]:
    return {"request_id": requests.current_id()}


@blueprint.errorhandler(CSRFError)
def _forged(_error: CSRFError) -> Response:
    return failure(400, "The form was open too long, or it did not come from this site.")


@blueprint.errorhandler(errors.UnmaskError)
def _domain(error: errors.UnmaskError) -> Response:
    problem = problems.of(error)
    if problem.status < 500:
        return failure(problem.status, error.detail, error.slug)
    log.error("page_failed", slug=error.slug, exc_info=error)
    return failure(problem.status)  # an engine's own words name hosts and paths


def _http(error: HTTPException) -> Response:
    response = failure(error.code or 500)
    kept = ("Allow", "Retry-After")
    response.headers.extend((name, value) for name, value in error.get_headers() if name in kept)
    return response


def _database(error: sqlalchemy.SQLAlchemyError) -> Response:
    log.error("database_away", exc_info=error)
    return failure(503)


@blueprint.errorhandler(Exception)
def _bug(error: Exception) -> Response:
    log.error("bug", exc_info=error)
    return failure(500)


for _status in (400, 403, 404, 405, 409, 413, 429):
    blueprint.register_error_handler(_status, _http)
for _away in (sqlalchemy.OperationalError, sqlalchemy.InterfaceError, sqlalchemy.TimeoutError):
    blueprint.register_error_handler(_away, _database)
