"""Uploads: a file is announced, put to an address of its own, and submitted by its id.

Where media is a bucket, that address is the bucket's, presigned; the bytes never pass through here. Where it is a
directory, the address is ours: signed, bound to one upload, its size and its expiry, and good for nothing else.
"""

from typing import BinaryIO, cast

from apiflask import APIBlueprint
from flask import request, url_for
from werkzeug.exceptions import BadRequest

from api import bodies, credentials, schemas
from api.collaborators import Collaborators, collaborators
from moderation import blobs as storage
from moderation import uploads
from moderation.errors import TooLarge
from moderation.tables import Json, Upload

FORM_BYTES = 8 * 1024

blueprint = APIBlueprint("uploads", __name__, url_prefix="/v1/uploads", tag="Submissions")


@blueprint.post("")
@credentials.require("submit")
@blueprint.output(schemas.UploadAddress, status_code=201, description="Where to put the file")
def announce() -> tuple[Json, int]:
    """Announce an upload

    Answers with an address for the file: `PUT` it there, whole, with the `headers` given and without your API key, then
    submit its `upload_id`. Putting it again replaces it. After `expires_at` the upload is forgotten.
    """
    at = collaborators()
    form = bodies.validated(schemas.UploadForm, bodies.read(FORM_BYTES))
    if form.bytes > at.settings.max_bytes:
        raise TooLarge(f"{form.bytes} bytes are more than {at.settings.max_bytes}")
    with at.sessions.begin() as session:
        row = uploads.create(session, credentials.platform_id(), form.bytes, form.content_type)
        key = storage.upload_key(row.id)
        invitation = at.blobs.invite(key, row.bytes, row.content_type, uploads.SECONDS) or _own(at, row)
    return {
        "upload_id": row.id,
        "url": invitation.url,
        "headers": invitation.headers,
        "expires_at": row.expires_at.isoformat(),
    }, 201


def _own(at: Collaborators, row: Upload) -> storage.Invitation:
    signature = uploads.signature(_secret(at), row)
    path = url_for("uploads.put", upload_id=row.id, expires=uploads.expiry(row), signature=signature)
    # Never the Host header: whoever sent the request would choose where the file goes.
    return storage.Invitation(at.settings.address + path, {"Content-Type": row.content_type})


def _secret(at: Collaborators) -> str:
    return at.settings.secret_key


@blueprint.put("/<id:upload_id>")
@blueprint.input(schemas.UploadSignature, location="query")
@blueprint.output({}, status_code=204, description="Stored; submit it now")
def put(upload_id: str, query_data: schemas.UploadSignature) -> str:
    """Put an uploaded file

    Only at an address that `POST /v1/uploads` gave, with exactly as many bytes as were announced: any other number is
    refused, and nothing of it is kept. Sent again, it replaces what is there.
    """
    at = collaborators()
    with at.sessions.begin() as session:
        row = uploads.invited(session, _secret(at), upload_id, query_data.expires, query_data.signature)
    at.blobs.put(storage.upload_key(row.id), cast("BinaryIO", _Body(row.bytes)))
    return ""


class _Body:
    """The present request's body as a file that is read once: exactly ``size`` bytes, or an error instead of the end.

    Raises:
        TooLarge: when there are more, by the Content-Length or as they arrive.
        BadRequest: when there are fewer.
    """

    def __init__(self, size: int) -> None:
        self.left = size
        self.wrong = f"send exactly the {size} bytes that were announced"
        declared = request.content_length
        if declared is not None and declared > size:
            raise TooLarge(self.wrong)
        if declared is not None and declared < size:
            raise BadRequest(self.wrong)
        self.stream = request.stream

    def seek(self, _to: int) -> None:
        """Stays at the beginning, which is where whoever stores a file starts."""

    def read(self, size: int) -> bytes:
        """Returns the next bytes, at most ``size``."""
        chunk = self._arrived(min(size, self.left + 1))  # one more than announced tells that there are more
        self.left -= len(chunk)
        if self.left < 0:
            raise TooLarge(self.wrong)
        if not chunk and self.left:
            raise BadRequest(self.wrong)
        return chunk

    def _arrived(self, size: int) -> bytes:
        try:
            return self.stream.read(size)
        except OSError as error:  # of the connection; an OSError of the disk is raised by whoever writes
            raise BadRequest("The connection ended early.") from error
