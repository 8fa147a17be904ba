"""Each request's id, its line in the log and its time in the metrics. Bodies, queries and headers are never logged."""

import re
import time

import structlog
from flask import Flask, Response, abort, g, request
from prometheus_client import Histogram

from moderation import ids, logs

HEADER = "X-Request-Id"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%-]+)(:[0-9]*)?")
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")

seconds = Histogram(
    "unmask_http_request_seconds",
    "Time to answer a request",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
log = logs.get(__name__)


def current_id() -> str:
    """Returns the id that the present request carries: the caller's own where it is sane, else one of ours."""
    if "request_id" not in g:
        sent = request.headers.get(HEADER, "")
        g.request_id = sent if _SANE.fullmatch(sent) else ids.new("req")
    return str(g.request_id)


def _begin() -> None:
    g.began = time.perf_counter()
    _check_host()
    structlog.contextvars.bind_contextvars(request_id=current_id())


def _check_host() -> None:
    """Refuses what names no host, or several (RFC 9112, 3.2)."""
    host = request.environ.get("HTTP_HOST")
    if host is None and request.environ.get("SERVER_PROTOCOL", "HTTP/1.0") != "HTTP/1.0":
        abort(400, "The Host header is missing.")
    if host and not _HOST.fullmatch(host):
        abort(400, "The Host header is not a name or an address, with or without a port.")


def _end(response: Response) -> Response:
    took = time.perf_counter() - g.get("began", time.perf_counter())
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in METHODS else "other"  # a stranger must not make new label values
    seconds.labels(method, route, response.status_code).observe(took)
    log.info(
        "request",
        method=method,
        path=request.path,
        route=route,
        status=response.status_code,
        ms=round(took * 1000, 1),
        remote=request.remote_addr,
        platform=g.get("platform_id"),
    )
    response.headers[HEADER] = current_id()
    return response


def _forget(_error: BaseException | None) -> None:
    structlog.contextvars.unbind_contextvars("request_id")


def register(app: Flask) -> None:
    """Puts the id, the log line and the measurement around every request of ``app``."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_forget)
