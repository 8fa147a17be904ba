"""Errors on the wire: the only place where the domain's errors meet HTTP statuses (RFC 9457 problem+json).

Programs under /v1 get `{type, title, status, detail, instance, request_id}`; people get a page. A bug answers 500 and
says nothing of itself; the log has it, under the same request id.
"""

from dataclasses import dataclass

from apiflask import HTTPError
from flask import Flask, Response, json, make_response, render_template, request
from gunicorn.http.errors import ParseException
from sqlalchemy import exc as sqlalchemy
from werkzeug.exceptions import HTTPException

from api import requests
from moderation import errors, logs

MIMETYPE = "application/problem+json"
MACHINE_PATHS = ("/openapi.json", "/healthz", "/readyz", "/metrics")
RETRY_SECONDS = "5"
AWAY = (sqlalchemy.OperationalError, sqlalchemy.InterfaceError, sqlalchemy.TimeoutError)
Fields = dict[str, list[str]]

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of refusal. ``slug`` never changes its meaning; ``advice`` is for the engineer who met it."""

    slug: str
    status: int
    title: str
    advice: str

    @property
    def type(self) -> str:
        """The problem's address on this server; it answers with a page."""
        return f"/problems/{self.slug}"


CATALOGUE = {
    problem.slug: problem
    for problem in (
        Problem("bad-request", 400, "The request could not be read", "Compare it with the contract at /docs."),
        Problem(
            "bad-credentials",
            401,
            "The credentials are not valid",
            "Send `Authorization: Bearer <api key>` with a key that is neither revoked nor expired.",
        ),
        Problem(
            "scope-missing",
            403,
            "The API key may not do that",
            "`detail` names the scope it lacks. Use another key, or have one made: `unmask key create --scope …`.",
        ),
        Problem(
            "bad-upload-url",
            403,
            "The upload's address is not valid",
            "It is bound to one upload, its size and its expiry. Announce the file anew with `POST /v1/uploads`.",
        ),
        Problem(
            "bad-signature",
            401,
            "The message is not signed as this source's messages are",
            "`detail` says what is wrong. See what was verified and why: `unmask source test ID`, or the dashboard.",
        ),
        Problem("bad-event", 400, "The message cannot be read", "`detail` says why. It is signed well."),
        Problem("forbidden", 403, "That is not yours to do", "Ask whoever runs this installation."),
        Problem(
            "not-found",
            404,
            "There is nothing under that name",
            "The address is wrong, or what it named belongs to another platform.",
        ),
        Problem("method-not-allowed", 405, "This address does not take that method", "The Allow header lists them."),
        Problem("too-slow", 408, "The body arrives too slowly", "Send it again over a better line, or in less time."),
        Problem("conflict", 409, "Something else happened first", "Read the present state and decide again."),
        Problem("claim-lost", 409, "The claim has ended", "Claim the flag again; somebody else may hold it now."),
        Problem("already-decided", 409, "The flag is already decided", "Undo the standing decision first."),
        Problem(
            "nothing-to-undo", 409, "There is nothing to undo", "Only a standing decision of your own can be undone."
        ),
        Problem("still-waiting", 409, "The delivery is still on its way", "It is tried again by itself; no need to."),
        Problem(
            "endpoint-disabled",
            409,
            "The webhook endpoint is disabled",
            "See `disabled_reason`, mend what it says, then enable it with `PATCH /v1/webhook-endpoints/{id}`.",
        ),
        Problem(
            "upload-missing",
            409,
            "The upload has no bytes",
            "PUT the file to the upload's `url` first. Once a submission has fetched it, announce it anew.",
        ),
        Problem(
            "not-appealable",
            409,
            "The submission cannot be appealed as it stands",
            "Wait until its state is `scored`; one that failed or was deleted has no outcome to object to.",
        ),
        Problem(
            "too-many-appeals", 409, "The submission was appealed too often", "People have read the reasons given."
        ),
        Problem("name-taken", 409, "The name is in use", "Choose another one."),
        Problem("source-disabled", 410, "The source is disabled", "Enable it: `unmask source enable ID`."),
        Problem(
            "too-large",
            413,
            "The request is larger than this service accepts",
            "Send a smaller file, or ask the operator to raise UNMASK_MAX_BYTES.",
        ),
        Problem(
            "unsupported-media-type",
            415,
            "That format is not accepted",
            "The bytes decide, not the file's name. The accepted formats are listed at /docs.",
        ),
        Problem(
            "invalid-request", 422, "A field of the request is not acceptable", "`errors` names fields and faults."
        ),
        Problem("refused", 422, "The request is not acceptable", "`detail` says why."),
        Problem("bad-media", 422, "The file is not acceptable", "`detail` says why."),
        Problem("empty-file", 422, "The file is empty", "Check that the upload was read from its beginning."),
        Problem("torn-file", 422, "The file is incomplete or damaged", "Send it again from its source."),
        Problem(
            "too-many-pixels",
            422,
            "The picture is larger than this service decodes",
            "Scale it down, or ask the operator to raise UNMASK_MAX_PIXELS, for video UNMASK_MAX_VIDEO_PIXELS.",
        ),
        Problem(
            "too-long",
            422,
            "The video is longer than this service takes",
            "Shorten it, or ask the operator to raise UNMASK_MAX_SECONDS.",
        ),
        Problem(
            "too-many-frames",
            422,
            "The animation is longer than this service decodes",
            "Shorten it, or ask the operator to raise UNMASK_MAX_FRAMES.",
        ),
        Problem(
            "forbidden-address",
            422,
            "Unmask does not connect to that address",
            "Webhooks go to public https addresses; media come from public https or http ones, on their usual ports. "
            "An operator may allow others: UNMASK_ALLOWED_NETWORKS.",
        ),
        Problem(
            "callback-not-allowed",
            422,
            "The policy of the platform allows no callbacks to that host",
            "Name another `callback_url`, or have `callback_hosts` changed: `unmask platform policy ID`.",
        ),
        Problem(
            "idempotency-key-reused",
            422,
            "The Idempotency-Key belongs to another request",
            "Use a new key for every new request; repeat one only with the very same body.",
        ),
        Problem("too-many-requests", 429, "Too many requests", "Wait as long as Retry-After says."),
        Problem(
            "line-too-long",
            503,
            "Too many submissions are waiting",
            "Nothing was accepted. Try again after Retry-After, with jitter; urgent submissions come in for longer.",
        ),
        Problem("not-ready", 503, "The message cannot be used yet", "Send the same again after Retry-After."),
        Problem("internal-error", 500, "Something is broken on our side", "Tell the operator the request_id."),
        Problem("world-down", 503, "Part of the service is away", "Nothing was accepted. Try again after Retry-After."),
    )
}
BY_STATUS = {
    400: "bad-request",
    401: "bad-credentials",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    409: "conflict",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid-request",
    429: "too-many-requests",
    503: "world-down",
}
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
