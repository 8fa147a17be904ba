"""What can be done with submissions, as steps: every call, and every decision between two calls, is here once."""

import json
import mimetypes
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict, get_type_hints

from unmask_client import calls, exchange, files, reading
from unmask_client.documents import Accepted, Appeal, Priority, State, Submission, Upload
from unmask_client.errors import StillPending
from unmask_client.files import File
from unmask_client.steps import Answer, Pause, Request, Steps, sent, worked

PATH = "/v1/submissions"
KEY = "Idempotency-Key"
POLL_SECONDS = 20.0  # the server allows 30; the rest is for the way there and back
ASK_AGAIN = (0.25, 5.0)  # seconds, first and longest, where a busy server does not hold our poll


class Common(TypedDict, total=False):
    """What may be said of several submissions at once.

    ``context`` is a JSON object of at most 16 KiB that moderators see; ``callback_url`` is told the outcome in addition
    to your endpoints.
    """

    priority: Priority | None
    context: Mapping[str, Any] | None
    callback_url: str | None


class About(Common, total=False):
    """What may be said of a submission, beside its media.

    ``external_id`` is your own name for it and comes back everywhere; ``idempotency_key`` makes it one submission
    however often it is sent within 24 hours, and is made up for each call unless you give one.
    """

    external_id: str | None
    idempotency_key: str | None


def submit(file: File, about: About) -> Steps[Accepted]:
    """Sends a file as multipart."""
    fields, key = said(about)
    form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    whole = yield from worked(lambda: files.whole(file))
    with whole:
        request = Request("POST", PATH, headers={KEY: key}, form=form, file=whole)
        return _accepted((yield from sent(request)))


def submit_json(media: Mapping[str, str], about: About) -> Steps[Accepted]:
    """Submits media that is elsewhere: ``{"url": …}`` or ``{"upload_id": …}``."""
    fields, key = said(about)
    request = Request("POST", PATH, headers={KEY: key}, json={**media, **fields})
    return _accepted((yield from sent(request)))


def submit_upload(file: File, about: About) -> Steps[Accepted]:
    """Asks for a place, puts the bytes there, past the API, and submits them."""
    whole = yield from worked(lambda: files.whole(file))
    with whole:
        kind = mimetypes.guess_type(whole.name)[0] or "application/octet-stream"
        wanted = {"bytes": whole.size, "content_type": kind}  # the name stays here: it may be personal
        # an upload that nobody submits expires by itself: asking twice does no harm
        place = yield from calls.asked(Upload, Request("POST", "/v1/uploads", json=wanted))
        put = Request("PUT", place.url, headers=place.headers, file=whole, with_key=False)
        yield from sent(put)
    return (yield from submit_json({"upload_id": place.upload_id}, about))


def get(submission_id: str, *, hold: float = 0.0, within: float | None = None) -> Steps[Submission]:
    """Reads a submission; the server may hold the answer back for ``hold`` seconds until the state is final."""
    query = {"wait": f"{hold:.3f}"} if hold > 0 else {}
    request = Request("GET", calls.named(PATH, submission_id), query=query, held_seconds=hold, within=within)
    return calls.asked(Submission, request)


def wait(submission_id: str, timeout: float) -> Steps[Submission]:
    """Long polls until the state is final.

    Raises:
        StillPending: when it is not within ``timeout`` seconds.
    """
    deadline, pause = exchange.now() + timeout, ASK_AGAIN[0]
    while True:
        began = exchange.now()
        left = max(0.0, deadline - began)
        hold = min(POLL_SECONDS, left)
        found = yield from get(submission_id, hold=hold, within=left)
        if found.finished:
            return found
        left = deadline - exchange.now()
        if left <= 0:
            raise StillPending(f"{submission_id} is {found.state} after {timeout:g} s", found)
        if exchange.now() - began < hold / 2:  # all of the server's seats for waiting are taken
            yield Pause(min(pause * exchange.chance.uniform(0.5, 1.0), left))
            pause = min(2 * pause, ASK_AGAIN[1])


def listing(
    state: State | None, external_id: str | None, since: datetime | None, page_size: int
) -> calls.Listing[Submission]:
    """Returns the list of a platform's submissions, newest first.

    Raises:
        ValueError: when ``since`` does not say its offset from UTC.
    """
    if since is not None and since.tzinfo is None:
        raise ValueError("since needs a time zone: datetime.now(UTC), for example")
    asked = since.isoformat() if since else None
    return calls.listing(Submission, PATH, state=state, external_id=external_id, since=asked, limit=page_size)


def erase(submission_id: str) -> Steps[None]:
    """Erases media, verdict and messages; a tombstone in state `deleted` stays."""
    return calls.done(Request("DELETE", calls.named(PATH, submission_id)))


def appeal(submission_id: str, reason: str) -> Steps[Appeal]:
    """Puts a scored submission before people. Not repeated after a lost answer: it would be a second appeal."""
    path = f"{calls.named(PATH, submission_id)}/appeal"
    return calls.asked(Appeal, Request("POST", path, json={"reason": reason}, repeatable=False))


KNOWN = frozenset(get_type_hints(About))


def said(about: About) -> tuple[dict[str, Any], str]:
    """Returns the fields that say this of a submission, and its idempotency key."""
    unknown = set(about) - KNOWN
    if unknown:
        raise TypeError(f"a submission has no {', '.join(sorted(unknown))}")
    fields = {name: value for name, value in about.items() if value is not None and name != "idempotency_key"}
    return fields, about.get("idempotency_key") or str(uuid.uuid4())


def _accepted(answer: Answer) -> Accepted:
    found = reading.document(Accepted, answer.body)
    return replace(found, replayed=answer.headers.get("idempotent-replayed") == "true")
