"""Previews, thumbnails and strips of frames: the only images that the dashboard shows, made by a worker as WebP.

Their addresses name the submission and not the bytes: addresses end up in logs, which outlive an erasure.

Shown to those who are logged in, and only of media that lies before people, or that they are trying themselves. The
uploaded bytes themselves are never served: what a stranger sent is not this site's to send on.
"""

from typing import Final

from flask import Response, abort, make_response, render_template
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from api.collaborators import collaborators
from api.dashboard.pages import blueprint
from moderation import blobs as storage
from moderation.errors import NotFound
from moderation.tables import Flag, Submission

KEYS: Final = {"preview": storage.preview_key, "thumbnail": storage.thumbnail_key, "strip": storage.strip_key}


@blueprint.get("/media/<id:submission_id>/<any(preview, thumbnail, strip):kind>")
def picture(submission_id: str, kind: str) -> ResponseReturnValue:
    """Sends a preview (long side up to 1600 px), a thumbnail (320 px), a clip's strip, or a drawn notice that there is
    none.
    """
    with collaborators().sessions.begin() as ledger:
        sha256 = _visible(ledger, submission_id)
    if sha256 is None:
        abort(404)
    try:
        response = Response(collaborators().blobs.read(KEYS[kind](sha256)), mimetype="image/webp")
    except NotFound:
        response = make_response(render_template("dashboard/missing.svg"), 404)
        response.mimetype = "image/svg+xml"
        return response
    response.headers["Cache-Control"] = "private, max-age=300"
    return response


def _visible(ledger: Session, submission_id: str) -> str | None:
    """Returns the digest of a submission's media, if the visitor may see it."""
    before_people = select(Flag.id).where(Flag.submission_id == Submission.id).exists()
    mine = Submission.person_id == current_user.id
    named = (Submission.id == submission_id, Submission.erase_asked_at.is_(None))
    return ledger.scalar(select(Submission.media_sha256).where(*named, or_(before_people, mine)))


def has_preview(sha256: str | None) -> bool:
    """Says whether a worker has made the preview of this media."""
    return sha256 is not None and collaborators().blobs.exists(storage.preview_key(sha256))


def has_strip(sha256: str | None) -> bool:
    """Says whether a worker has made a strip of frames of this media."""
    return sha256 is not None and collaborators().blobs.exists(storage.strip_key(sha256))
