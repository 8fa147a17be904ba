"""Errors on the wire: the only place where the domain's errors meet HTTP statuses (RFC 9457 problem+json).

Programs under /v1 get `{type, title, status, detail, instance, request_id}`; people get a page. A bug answers 500 and
says nothing of itself; the log has it, under the same request id.
"""

from apiflask import HTTPError
from flask import Flask, Response, json, make_response, render_template, request
from gunicorn.http.errors import ParseException
from sqlalchemy import exc as sqlalchemy
from werkzeug.exceptions import HTTPException

from api import requests
from api.problems import BY_STATUS, CATALOGUE, Problem
from moderation import errors, logs

MIMETYPE = "application/problem+json"
MACHINE_PATHS = ("/openapi.json", "/healthz", "/readyz", "/metrics")
RETRY_SECONDS = "5"
AWAY = (sqlalchemy.OperationalError, sqlalchemy.InterfaceError, sqlalchemy.TimeoutError)
Fields = dict[str, list[str]]

log = logs.get(__name__)
BY_FAMILY = (
    (errors.WorldDown, "world-down"),
    (errors.Busy, "too-many-requests"),
    (errors.BadMedia, "bad-media"),
    (errors.Refused, "refused"),
    (errors.BadCredentials, "bad-credentials"),
    (errors.NotFound, "not-found"),
    (errors.Conflict, "conflict"),
)


class InvalidRequest(errors.Refused):
    """A field of the request is not acceptable."""

    slug = "invalid-request"

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self.fields = fields
        super().__init__("; ".join(f"{name}: {', '.join(faults)}" for name, faults in fields.items()))


def of(error: errors.UnmaskError) -> Problem:
    """Returns the problem that tells of a domain error: by its slug, else by its family."""
    known = CATALOGUE.get(error.slug)
    family = next((slug for kind, slug in BY_FAMILY if isinstance(error, kind)), "internal-error")
    return known or CATALOGUE[family]


def document(problem: Problem, detail: str, fields: Fields | None = None) -> dict[str, object]:
    """Returns what tells a program of a problem with the present request."""
    body: dict[str, object] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": request.path,
        "request_id": requests.current_id(),
    }
    return body | ({"errors": fields} if fields else {})


def explain(error: Exception) -> tuple[Problem, str, Fields | None]:
    """Returns the problem that an error is, what may be said of it, and the faults by field; logs what is ours."""
    if isinstance(error, errors.UnmaskError):
        problem = of(error)
        if problem.status < 500 or isinstance(error, errors.Busy):  # which is expected, and frequent when it happens
            return problem, error.detail, getattr(error, "fields", None)
        log.error("request_failed", slug=error.slug, error=error.detail)  # an engine's own words name hosts and paths
    elif isinstance(error, AWAY):
        problem = CATALOGUE["world-down"]
        log.error("database_away", error=str(getattr(error, "orig", error)))
    elif isinstance(error, ParseException):  # gunicorn finds out that a body is in no pieces only when it is read
        return CATALOGUE["bad-request"], "The body is malformed.", None
    else:
        problem = CATALOGUE["internal-error"]
        log.error("bug", exc_info=error)
    return problem, problem.advice, None


def respond(problem: Problem, detail: str, fields: Fields | None = None) -> Response:
    """Returns the answer that tells of a problem: JSON for programs, a page for people."""
    if request.path.startswith("/v1/") or request.path in MACHINE_PATHS:
        response = Response(json.dumps(document(problem, detail, fields)), mimetype=MIMETYPE)
    else:
        page = render_template("site/problem.html", problem=problem, detail=detail, request_id=requests.current_id())
        response = make_response(page)
    response.status_code = problem.status
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="unmask"'
    if problem.status == 503:
        response.headers["Retry-After"] = RETRY_SECONDS
    return response


def _told(error: Exception) -> Response:
    response = respond(*explain(error))
    if isinstance(error, errors.Busy):
        response.headers["Retry-After"] = str(error.retry_seconds)
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    response = respond(
        CATALOGUE[BY_STATUS.get(status, "bad-request" if status < 500 else "internal-error")], error.description or ""
    )
    response.headers.extend(
        (name, value)
        for name, value in error.get_headers()
        if name in ("Allow", "Retry-After", "WWW-Authenticate") and name not in response.headers
    )
    return response


def _validation(error: HTTPError) -> Response:
    """What APIFlask raises: ``detail`` is {location: {field: [faults]}} when a model refused the request."""
    if not isinstance(error.detail, dict) or not error.detail:
        return respond(CATALOGUE[BY_STATUS.get(error.status_code, "bad-request")], str(error.message))
    fields = {name: faults for location in error.detail.values() for name, faults in location.items()}
    return _told(InvalidRequest(fields))


def register(app: Flask) -> None:
    """Makes every failure of ``app`` a problem, and gives each problem its page."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(HTTPError, _validation)
    app.register_error_handler(Exception, _told)
