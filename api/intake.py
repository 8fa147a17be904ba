"""Intake: media comes in over HTTP, a committed row goes out; its outcome can be read, waited for, and erased.

A submission is answered 202 once its row is committed and never before; Redis being away changes nothing about that.
"""

import hashlib
import json
from typing import Any

from apiflask import APIBlueprint
from pydantic import ValidationError
from sqlalchemy.orm import Session

from api import credentials, schemas, uploads, waiting
from api.collaborators import Collaborators, collaborators
from api.errors import InvalidRequest
from moderation import addresses, documents, media, metrics, queue, retention, submissions
from moderation.errors import Refused
from moderation.media import Facts
from moderation.submissions import Draft
from moderation.tables import PRIORITIES, Submission

Headers = dict[str, str]

blueprint = APIBlueprint("submissions", __name__, url_prefix="/v1/submissions", tag="Submissions")


@blueprint.post("")
@credentials.require("submit")
@blueprint.input(schemas.IdempotencyHeader, location="headers")
@blueprint.output(schemas.Accepted, status_code=202, description="Accepted: a committed row")
def accept(headers_data: schemas.IdempotencyHeader) -> tuple[dict[str, Any], int, Headers]:
    """Submit an image

    The answer comes once the submission is committed. Bytes that the current detector has judged before are `scored`
    at once. With an `Idempotency-Key`, the same request sent again gets the same submission, as it is by then, and
    `Idempotent-Replayed: true`.
    """
    at = collaborators()
    with uploads.read(at.settings.max_bytes) as upload:
        form = _form(upload.fields)
        facts = media.inspect(upload.file, max_pixels=at.settings.max_pixels, max_frames=at.settings.max_frames)
        draft = _draft(form, at)
        key = headers_data.idempotency_key
        with at.sessions.begin() as session:
            row, replayed = _submit(session, at, draft, facts, upload, key)
            document = documents.submission(row)
    if not replayed:
        _announce(at, row)
    headers = {"Location": document["links"]["self"]} | ({"Idempotent-Replayed": "true"} if replayed else {})
    return document, 202, headers


def _form(fields: dict[str, str]) -> schemas.SubmissionForm:
    try:
        return schemas.SubmissionForm.model_validate(fields)
    except ValidationError as error:
        raise InvalidRequest({str(fault["loc"][0])[:64]: [fault["msg"]] for fault in error.errors()}) from error


def _draft(form: schemas.SubmissionForm, at: Collaborators) -> Draft:
    if form.callback_url is not None:
        addresses.resolve(form.callback_url, allowed_networks=at.settings.allowed_networks)
    return Draft(
        platform_id=credentials.platform_id(),
        external_id=form.external_id,
        priority=PRIORITIES.index(form.priority),
        context=form.context,
        callback_url=form.callback_url,
    )


def _submit(
    session: Session, at: Collaborators, draft: Draft, facts: Facts, upload: uploads.Upload, key: str | None
) -> tuple[Submission, bool]:
    """Returns the submission, and whether an earlier request with this ``key`` had made it."""
    platform_id = credentials.platform_id()
    fingerprint = _fingerprint(draft, facts)
    if key is not None and (earlier := submissions.remembered(session, platform_id, key, fingerprint)):
        return earlier, True
    row = submissions.submit(session, at.blobs, draft, facts, upload.file)
    if key is not None:
        submissions.remember(session, platform_id, key, fingerprint, row.id)
    return row, False


def _fingerprint(draft: Draft, facts: Facts) -> str:
    """Returns what makes two requests equal: the file's bytes and the fields' values, however they were spelled."""
    fields = [facts.sha256, draft.external_id, draft.priority, draft.context, draft.callback_url]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _announce(at: Collaborators, row: Submission) -> None:
    reused = row.state == "scored"
    metrics.accepted.labels(PRIORITIES[row.priority], str(reused).lower()).inc()
    if reused:
        queue.ring_deliveries(at.queue)
    else:
        queue.ring_scoring(at.queue, row.priority, at.settings.lane_orders)


@blueprint.get("/<id:submission_id>")
@credentials.require("read")
@blueprint.input(schemas.Wait, location="query")
@blueprint.output(schemas.Submission)
def show(submission_id: str, query_data: schemas.Wait) -> dict[str, Any]:
    """Read a submission

    With `wait`, the answer is held until the state is final or the time is up. On a busy server it may come sooner,
    with the state as it is; ask again, or better, register a webhook endpoint.
    """
    at, platform_id = collaborators(), credentials.platform_id()

    def read() -> dict[str, Any]:
        with at.sessions.begin() as session:
            return documents.submission(submissions.get(session, platform_id, submission_id))

    return waiting.hold(read, query_data.wait)


@blueprint.get("")
@credentials.require("read")
@blueprint.input(schemas.SubmissionFilter, location="query")
@blueprint.output(schemas.SubmissionPage)
def listing(query_data: schemas.SubmissionFilter) -> dict[str, Any]:
    """List submissions

    Newest first. Follow `next_cursor` until it is null.
    """
    with collaborators().sessions.begin() as session:
        try:
            rows, cursor = submissions.page(session, credentials.platform_id(), **query_data.model_dump())
        except Refused as error:
            raise InvalidRequest({"cursor": [error.detail]}) from error
        return {"items": [documents.submission(row) for row in rows], "next_cursor": cursor}


@blueprint.delete("/<id:submission_id>")
@credentials.require("manage")
@blueprint.output({}, status_code=204, description="Erased")
def erase(submission_id: str) -> str:
    """Erase a submission

    Its media, verdict and messages are removed, unless another submission holds the same bytes. A tombstone in state
    `deleted` stays.
    """
    at, platform_id = collaborators(), credentials.platform_id()
    with at.sessions.begin() as session:
        submissions.get(session, platform_id, submission_id)
        retention.erase(session, at.blobs, submission_id, actor=platform_id)
    return ""
