"""Intake: a submission comes in over HTTP, with its file or with the place where it is; a committed row goes out.

It is answered 202 once its row is committed and never before; Redis being away changes nothing about that. A file is
read and inspected here. One at a URL is not touched: only the shape of its address is judged, and a worker fetches it.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from apiflask import APIBlueprint
from flask import request
from sqlalchemy.orm import Session
from werkzeug.exceptions import UnsupportedMediaType

from api import bodies, credentials, multipart, schemas
from api.collaborators import Collaborators, collaborators
from api.errors import InvalidRequest
from moderation import acceptance, addresses, documents, media, metrics, uploads
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.errors import UploadMissing
from moderation.tables import PRIORITIES, Json, Submission

JSON_BYTES = 128 * 1024  # a context of 16 KiB with every character escaped, a URL and the rest

blueprint = APIBlueprint("intake", __name__, url_prefix="/v1/submissions", tag="Submissions")


ByUrl = TypeVar("ByUrl", bound=schemas.ByUrl)
ByUpload = TypeVar("ByUpload", bound=schemas.ByUpload)


class Kept(NamedTuple):
    """A committed submission as it is answered; ``replayed``: an earlier request with its key had made it."""

    row: Submission
    document: Json
    replayed: bool


@blueprint.post("")
@credentials.require("submit")
@blueprint.input(schemas.IdempotencyHeader, location="headers")
@blueprint.output(schemas.Accepted, status_code=202, description="Accepted: a committed row")
def accept(headers_data: schemas.IdempotencyHeader) -> tuple[Json, int, dict[str, str]]:
    """Submit media

    Send the file as multipart/form-data, or JSON that says where it is: at a `url`, or in an `upload_id` (see `POST
    /v1/uploads`). The answer comes once the submission is committed. A file that the current detector has judged before
    is `scored` at once; media elsewhere is `fetching`, and its `sha256` is null until a worker has it. With an
    `Idempotency-Key`, the same request sent again gets the same submission, as it is by then, and
    `Idempotent-Replayed: true`.
    """
    at, key = collaborators(), headers_data.idempotency_key
    if request.mimetype == "multipart/form-data":
        kept = _brought(at, key)
    elif request.is_json:
        form = place(bodies.read(JSON_BYTES), schemas.ByUrl, schemas.ByUpload)
        judge_callback(at, form.callback_url)
        kept = expected(at, form, key)
    else:
        raise UnsupportedMediaType("Send multipart/form-data with a part called file, or application/json.")
    announce(at, [kept])
    headers = {"Location": kept.document["links"]["self"]}
    return kept.document, 202, headers | ({"Idempotent-Replayed": "true"} if kept.replayed else {})


def _brought(at: Collaborators, key: str | None) -> Kept:
    """Keeps the submission whose file the present request carries."""
    with multipart.read(at.settings.max_bytes) as sent:
        form = bodies.validated(schemas.SubmissionForm, sent.fields)
        facts = media.inspect(sent.file, **at.settings.media_limits)
        judge_callback(at, form.callback_url)
        draft = _draft(form)
        if at.blobs.is_far:
            with at.sessions.begin() as session:
                earlier = acceptance.forestall(session, draft, key, _fingerprint(draft, facts.sha256))
                if earlier is not None:
                    return Kept(earlier, documents.submission(earlier), replayed=True)
            acceptance.store_ahead(at.blobs, facts, sent.file)
        return _keep(at, draft, facts.sha256, key, lambda s: acceptance.submit(s, at.blobs, draft, facts, sent.file))


def place(sent: object, by_url: type[ByUrl], by_upload: type[ByUpload]) -> ByUrl | ByUpload:
    """Returns what a JSON body says of a submission, as whichever of the two shapes it has.

    Raises:
        InvalidRequest: when it names both places or none, or a field is not acceptable.
    """
    fields = {name: value for name, value in sent.items() if value is not None} if isinstance(sent, dict) else sent
    if isinstance(fields, dict) and ("url" in fields) == ("upload_id" in fields):
        raise InvalidRequest({"url": ["send exactly one of url and upload_id"]})
    if isinstance(fields, dict) and "upload_id" in fields:
        return bodies.validated(by_upload, fields)
    return bodies.validated(by_url, fields)


def expected(at: Collaborators, form: schemas.ByUrl | schemas.ByUpload, key: str | None) -> Kept:
    """Keeps a submission whose bytes are where ``form`` says; its callback has been judged before.

    Raises:
        ForbiddenAddress: for a URL that no worker would fetch, whatever it resolves to.
        NotFound, UploadMissing: for an upload that is not this platform's, or has no bytes.
    """
    draft = _draft(form)
    if isinstance(form, schemas.ByUrl):
        addresses.check(form.url, allowed_networks=at.settings.allowed_networks)
        origin = {"url": form.url}
    else:
        origin = {"upload_id": form.upload_id}

    def expect(session: Session) -> Submission:
        if isinstance(form, schemas.ByUpload):
            uploads.find(session, credentials.platform_id(), form.upload_id)
            if not at.blobs.exists(storage.upload_key(form.upload_id)):
                raise UploadMissing
        return acceptance.expect(session, draft, origin)

    return _keep(at, draft, origin, key, expect)


def judge_callback(at: Collaborators, url: str | None) -> None:
    """Asks the name server, for a bounded time, whether ``url`` leads to where webhooks may go.

    Raises:
        ForbiddenAddress: when it does not.
    """
    if url is not None:
        addresses.resolve(url, allowed_networks=at.settings.allowed_networks)


def _draft(form: schemas.SubmissionForm) -> Draft:
    priority = None if form.priority is None else PRIORITIES.index(form.priority)
    collaborators().pressure.admit(priority)
    return Draft(
        platform_id=credentials.platform_id(),
        external_id=form.external_id,
        priority=priority,
        context=form.context,
        callback_url=form.callback_url,
        rules=credentials.policy(),
    )


def _keep(
    at: Collaborators, draft: Draft, content: object, key: str | None, add: Callable[[Session], Submission]
) -> Kept:
    """Commits what ``add`` returns, unless an earlier request with this ``key`` has made it already."""
    platform_id, fingerprint = credentials.platform_id(), _fingerprint(draft, content)
    with at.sessions.begin() as session:
        if key is not None and (earlier := acceptance.remembered(session, platform_id, key, fingerprint)):
            return Kept(earlier, documents.submission(earlier), replayed=True)
        row = add(session)
        if key is not None:
            acceptance.remember(session, platform_id, key, fingerprint, row.id)
        return Kept(row, documents.submission(row), replayed=False)


def _fingerprint(draft: Draft, content: object) -> str:
    """Returns what makes two requests equal: the file's digest or its place, and the fields' values."""
    fields: list[Any] = [content, draft.external_id, draft.priority, draft.context, draft.callback_url]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def announce(at: Collaborators, kept: list[Kept]) -> None:
    """Counts submissions that were new, and rings once for each kind of work that they make."""
    new = [one.row for one in kept if not one.replayed]
    for row in new:
        metrics.accepted.labels(PRIORITIES[row.priority], str(row.state == "scored").lower()).inc()
    if any(row.state == "scored" for row in new):
        at.bell.deliveries()
    if any(row.state == "fetching" for row in new):
        at.bell.fetching()
    for priority in sorted({row.priority for row in new if row.state == "waiting"}):
        at.bell.scoring(priority)
