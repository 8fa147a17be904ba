"""Try an image or a video: it travels as everybody's does, its verdict is shown once, and nothing of it is kept.

With JavaScript the picture shown is the browser's own copy; ours is never sent back.
"""

from typing import BinaryIO, cast

from flask import g, jsonify, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import Session

from api import erasures
from api.collaborators import collaborators
from api.dashboard.pages import blueprint, wants_json
from moderation import acceptance, erasure, media, metrics
from moderation.errors import BadMedia, NotFound
from moderation.tables import FINAL_STATES, PRIORITIES, Submission

URGENT = PRIORITIES.index("urgent")


@blueprint.get("/try")
def trial() -> ResponseReturnValue:
    """Shows where to drop an image or a video."""
    g.shows_local_files = True
    settings = collaborators().settings
    return render_template("dashboard/try.html", max_bytes=settings.max_bytes, max_seconds=settings.max_seconds)


@blueprint.post("/try")
def send_trial() -> ResponseReturnValue:
    """Puts a file into the line, ahead of others, on behalf of the person who sent it.

    Raises:
        BadMedia: when there is no file, or it is none that can be judged.
    """
    settings = collaborators().settings
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        raise BadMedia("empty-file", "no file was chosen")
    stream = cast("BinaryIO", upload.stream)
    facts = media.inspect(stream, **settings.media_limits)
    draft = acceptance.Draft(person_id=current_user.id, priority=URGENT)
    blobs = collaborators().blobs
    acceptance.store_ahead(blobs, facts, stream)
    with collaborators().sessions.begin() as ledger:
        row = acceptance.submit(ledger, blobs, draft, facts, stream)
    reused = row.state == "scored"
    metrics.accepted.labels(PRIORITIES[URGENT], str(reused).lower()).inc()
    if not reused:
        collaborators().bell.scoring(URGENT)
    address = url_for(".answer", submission_id=row.id)
    return (jsonify(url=address), 202) if wants_json() else redirect(address, 303)


@blueprint.get("/try/<id:submission_id>")
def answer(submission_id: str) -> ResponseReturnValue:
    """Shows how far it is, and once there is an answer shows that and has everything erased in the same transaction.

    A script gets the answer as a piece of the page it is on: 202 while there is none yet.
    """
    g.shows_local_files = True
    piece = "fragment" in request.args
    with collaborators().sessions.begin() as ledger:
        row = _own(ledger, submission_id)
        final = row.state in FINAL_STATES
        page = render_template(f"dashboard/{'_answer' if piece else 'answer'}.html", submission=row, final=final)
        if final and request.method == "GET":
            erasure.ask(ledger, row.id)
    if final:
        erasures.remove(submission_id)
    return make_response(page, 202 if piece and not final else 200)


def _own(ledger: Session, submission_id: str) -> Submission:
    mine = (Submission.person_id == current_user.id, Submission.state != "deleted")
    found = ledger.scalar(select(Submission).where(Submission.id == submission_id, *mine))
    if found is None:
        raise NotFound("an answer is shown once, and then nothing of the file is kept: drop it again to see it again")
    return found
