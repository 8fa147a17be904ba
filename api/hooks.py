"""Hooks: what the systems of platforms tell of new media. Authenticated by signature, never by API key.

Answers are chosen for what senders make of them. Whatever is verified and understood is 202, though nothing is taken of
it: a forum that gets errors for events that do not matter to us would end up disabling its webhook. Whatever may go
better later is 429 or 503, which every sender tries again. Other refusals are final.
"""

from typing import Any

from apiflask import APIBlueprint
from flask import request

from api import intake, schemas
from api.collaborators import Collaborators, collaborators
from moderation import metrics, sources
from moderation.errors import BadEvent, BadSignature, NotReady, SourceDisabled, TooManyRequests

BODY_BYTES = 1 << 20  # no sender of ours writes more; what is longer is refused before it is read
RETRY_SECONDS = 30
PROBED = {"accepted": [], "duplicate": False, "ignored": "a probe"}

blueprint = APIBlueprint("hooks", __name__, url_prefix="/v1/hooks", tag="Sources")


@blueprint.get("/<id:source_id>")
@blueprint.output(schemas.Taken)
@blueprint.doc(hide=True)
def probe(source_id: str) -> dict[str, Any]:
    """Tell that somebody listens: MinIO asks with HEAD before it sends anything, people with a browser"""
    _found(collaborators(), source_id)
    return PROBED


@blueprint.post("/<id:source_id>")
@blueprint.output(schemas.Taken, status_code=202, description="Verified, and what could be taken was taken")
def take(source_id: str) -> tuple[dict[str, Any], int]:
    """Tell of new media

    For the system that a source stands for (`unmask source create`), signed as that system signs. Each medium becomes
    one submission, however often and in whichever order its events come.
    """
    at = collaborators()
    kind = _found(at, source_id)
    _admit(at, source_id)
    request.max_content_length = BODY_BYTES
    body = request.get_data(cache=False)
    try:
        with at.sessions.begin() as session:
            received = sources.receive(session, sources.get(session, source_id), dict(request.headers), body)
    except (BadSignature, BadEvent):
        metrics.told.labels(kind, "refused").inc()
        raise
    metrics.told.labels(kind, _outcome(received)).inc()
    intake.announce(at, [intake.Kept(row, {}, replayed=False) for row in received.submissions])
    if received.retry is not None:
        raise NotReady(received.retry, RETRY_SECONDS)
    return {
        "accepted": [row.id for row in received.submissions],
        "duplicate": received.duplicate,
        "ignored": received.ignored,
    }, 202


def _outcome(received: sources.Received) -> str:
    if received.submissions:
        return "taken"
    return "later" if received.retry else "duplicate" if received.duplicate else "ignored"


def _found(at: Collaborators, source_id: str) -> str:
    """Returns the kind of a source that listens; asked before anything of the body is read.

    Raises:
        NotFound: when there is no such source.
        SourceDisabled: when it takes nothing.
    """
    with at.sessions.begin() as session:
        source = sources.get(session, source_id)
    if source.disabled_at is not None:
        raise SourceDisabled
    return source.kind


def _admit(at: Collaborators, source_id: str) -> None:
    """Asks if there is room. As for urgent submissions: not every sender tries again, so few are sent away."""
    at.pressure.admit()
    window = at.limits.spend(f"source {source_id}")
    if window is not None and not window.granted:
        raise TooManyRequests("this source tells of more than its share", window.wait)
