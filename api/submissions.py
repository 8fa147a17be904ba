"""Submissions that are in: read, waited for, listed, appealed, erased."""

from typing import Any

from apiflask import APIBlueprint
from flask import request

from api import bodies, credentials, erasures, schemas
from api.collaborators import collaborators
from api.errors import InvalidRequest
from moderation import appeals, documents, erasure, submissions
from moderation.errors import Refused
from moderation.tables import PRIORITIES, Json

URGENT = PRIORITIES.index("urgent")
APPEAL_BYTES = 32 * 1024  # 2000 characters, each escaped as a pair of surrogates

blueprint = APIBlueprint("submissions", __name__, url_prefix="/v1/submissions", tag="Submissions")


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

    return at.room.hold(submission_id, read, query_data.wait, request.environ.get("gunicorn.socket"))


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


@blueprint.post("/<id:submission_id>/appeal")
@credentials.require("manage")
@blueprint.output(schemas.Appeal, status_code=201, description="People will look at it")
def appeal(submission_id: str) -> tuple[Json, int]:
    """Appeal

    Puts a scored submission before people, with the reason given. A flag that was decided is open again: its decision
    no longer stands, and `flag.opened` is sent anew. At most 5 appeals a submission.
    """
    at = collaborators()
    form = bodies.validated(schemas.AppealForm, bodies.read(APPEAL_BYTES))
    with at.sessions.begin() as session:
        made = appeals.make(session, credentials.platform_id(), submission_id, form.reason)
        document = {
            "id": made.appeal.id,
            "submission_id": submission_id,
            "flag_id": made.flag.id,
            "reason": made.appeal.reason,
            "made_at": made.appeal.made_at.isoformat(),
        }
    at.bell.deliveries()
    at.bell.scoring(URGENT)  # a worker draws what people are going to see
    return document, 201


@blueprint.delete("/<id:submission_id>")
@credentials.require("manage")
@blueprint.output({}, status_code=204, description="Erased")
def erase(submission_id: str) -> str:
    """Erase a submission

    It is `deleted` at once, for every reader. Its verdict, flag, appeals and messages go with it; its media and what
    was rendered of it go unless another submission holds the same bytes. A tombstone stays.
    """
    at, platform_id = collaborators(), credentials.platform_id()
    with at.sessions.begin() as session:
        submissions.get(session, platform_id, submission_id)
        erasure.ask(session, submission_id, actor=platform_id)
    erasures.remove(submission_id)
    return ""
