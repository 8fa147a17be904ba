"""Everything that can go wrong, as one shallow tree: catch `UnmaskError`, or the one you can do something about.

The server tells what is wrong as RFC 9457 problem+json; its `slug` is stable and meant for programs. What answers
without one (a proxy, a store) gets the slug ``http-{status}``, and nothing of its page is shown.
"""

import email.utils
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unmask_client.steps import Answer

if TYPE_CHECKING:
    from unmask_client.documents import Submission


class UnmaskError(Exception):
    """Something went wrong.

    ``slug`` names the kind for programs, ``detail`` says it to people, ``status`` is HTTP's where there was an answer,
    ``request_id`` is what to tell the operator, ``fields`` names each field's faults where the request was invalid, and
    ``retry_after`` is how many seconds the server asked us to stay away.
    """

    slug = "error"

    def __init__(
        self,
        detail: str,
        *,
        slug: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        fields: Mapping[str, list[str]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail, self.slug = detail, slug or type(self).slug
        self.status, self.request_id, self.retry_after = status, request_id, retry_after
        self.fields: Mapping[str, list[str]] = fields or {}

    def __str__(self) -> str:
        about = (self.slug, self.status, self.request_id)
        return f"{self.detail} ({', '.join(str(part) for part in about if part)})"


class BadRequest(UnmaskError):
    """400: the server could not read the request."""


class Unauthorized(UnmaskError):
    """401: the API key is missing, unknown, expired or revoked."""


class Forbidden(UnmaskError):
    """403: the API key is valid and lacks the scope that this call needs."""


class NotFound(UnmaskError):
    """404: there is nothing under that name, or it belongs to another platform."""


class Conflict(UnmaskError):
    """409: something else happened first."""


class TooLarge(UnmaskError):
    """413: the file is larger than the server accepts."""


class UnsupportedMedia(UnmaskError):
    """415: the file is not in a format that the server accepts."""


class Invalid(UnmaskError):
    """422: the request, or the file in it, is not acceptable; ``slug`` and ``fields`` say why."""


class RateLimited(UnmaskError):
    """429: too many requests, for longer than the client's patience. ``retry_after`` says when to come back."""


class ServerError(UnmaskError):
    """5xx: something is broken over there. Tell the operator the ``request_id``."""


class Unavailable(ServerError):
    """503: the server is away or overloaded, for longer than the client's patience."""


class ConnectionFailed(Unavailable):
    """There was no answer at all, so nobody knows whether the server acted. Submissions are safe to repeat."""

    slug = "connection-failed"


class BadAnswer(UnmaskError):
    """The answer is not what the contract promises: is this an Unmask server?"""

    slug = "bad-answer"


class BadSignature(UnmaskError):
    """A webhook is not signed with this secret, is too old, or lacks its headers: answer 401 and ignore it."""

    slug = "bad-signature"


class StillPending(UnmaskError, TimeoutError):
    """The submission had no final state in time. ``submission`` is how it stood; wait again, or use a webhook."""

    slug = "still-pending"

    def __init__(self, detail: str, submission: "Submission | None" = None) -> None:
        super().__init__(detail)
        self.submission = submission


BY_STATUS: Mapping[int, type[UnmaskError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    415: UnsupportedMedia,
    422: Invalid,
    429: RateLimited,
    503: Unavailable,
}


def of(answer: Answer) -> UnmaskError:
    """Returns the error that an answer other than 2xx tells of."""
    return told(answer.status, _problem(answer), answer.headers)


def told(status: int, problem: Mapping[str, Any], headers: Mapping[str, str]) -> UnmaskError:
    """Returns the error of this status with what a problem document says, be it sparse or odd."""
    kind = BY_STATUS.get(status, ServerError if status >= 500 else UnmaskError)
    faults = problem.get("errors")
    return kind(
        str(problem.get("detail") or problem.get("title") or f"the server answered {status}"),
        slug=str(problem.get("type") or "").rpartition("/")[2] or f"http-{status}",
        status=status,
        request_id=problem.get("request_id") or headers.get("x-request-id"),
        retry_after=retry_after(headers.get("retry-after")),
        fields=faults if isinstance(faults, dict) else None,
    )


def _problem(answer: Answer) -> Mapping[str, Any]:
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    try:
        problem = json.loads(answer.body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def retry_after(value: str | None) -> float | None:
    """Returns the seconds that a `Retry-After` header asks for, be it a number or a date; None for neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
