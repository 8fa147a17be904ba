"""Multipart bodies, read as a stream: the file goes to disk while it arrives, memory stays flat, and there is a cap.

A Content-Length above the cap is refused before the first byte; a body that lies about its length, or gives none, as
soon as it passes the cap. The file's name is never used.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, BinaryIO, NamedTuple, cast

from flask import request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.formparser import FormDataParser

from api.errors import InvalidRequest
from api.spools import Spool
from moderation.errors import TooLarge

FORM_BYTES = 128 * 1024  # what the other fields and the boundaries may take beside the file
TEXT_BYTES = 500_000  # of one text part in memory; werkzeug needs more than its read buffer of 64 KiB
PARTS = 16


class Upload(NamedTuple):
    """An open file at its beginning, and the text fields that came with it, each once."""

    file: BinaryIO
    fields: dict[str, str]


@contextmanager
def read(max_bytes: int) -> Iterator[Upload]:
    """Reads the present request's body; the file is closed and gone afterwards.

    Raises:
        UnsupportedMediaType: when the body is not multipart/form-data.
        BadRequest: when it is torn.
        WorldDown: when there is no room on the disk.
        RequestEntityTooLarge, TooLarge: when the body, or the file in it, is larger than accepted.
        InvalidRequest: unless there is exactly one part `file` and no field twice.
    """
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data with a part called file.")
    with ExitStack() as spools:

        def spool(*_: object, **__: object) -> IO[bytes]:
            return spools.enter_context(Spool())

        parser = FormDataParser(
            spool,
            max_content_length=max_bytes + FORM_BYTES,
            max_form_memory_size=TEXT_BYTES,
            max_form_parts=PARTS,
            silent=False,
        )
        try:
            _, fields, files = parser.parse_from_environ(request.environ)
        except ValueError as error:
            raise BadRequest("The multipart body is malformed or ends too early.") from error
        yield Upload(_only_file(fields, files, max_bytes), _once(fields))


def _only_file(fields: MultiDict[str, str], files: MultiDict[str, FileStorage], max_bytes: int) -> BinaryIO:
    strangers = sorted({name or "" for name in files} - {"file"})  # a part may have no name
    if strangers:
        raise InvalidRequest({name[:64]: ["is a file that this request does not take"] for name in strangers})
    if "file" in fields:
        raise InvalidRequest({"file": ["is text; send it as a file, with a file name"]})
    parts = files.getlist("file")
    if len(parts) != 1:
        raise InvalidRequest({"file": ["is missing" if not parts else "was sent more than once; send one at a time"]})
    file = cast("BinaryIO", parts[0].stream)
    if file.seek(0, os.SEEK_END) > max_bytes:
        raise TooLarge(f"the file has more than {max_bytes} bytes")
    file.seek(0)
    return file


def _once(fields: MultiDict[str, str]) -> dict[str, str]:
    twice = [name for name in fields if len(fields.getlist(name)) > 1]
    if twice:
        raise InvalidRequest({name[:64]: ["was sent more than once"] for name in twice})
    return fields.to_dict()
