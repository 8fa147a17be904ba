"""Batches: up to a hundred submissions in one request, each with an answer of its own.

Every item is a transaction by itself. One that is refused, or that meets trouble, leaves its neighbours as they are.
"""

from typing import Any

from apiflask import APIBlueprint

from api import bodies, credentials, errors, intake, schemas
from api.collaborators import Collaborators, collaborators
from api.errors import InvalidRequest
from api.intake import Kept
from moderation.errors import ForbiddenAddress, Refused
from moderation.tables import Json

BATCH_BYTES = 2 * 1024 * 1024

blueprint = APIBlueprint("batch", __name__, url_prefix="/v1/submissions/batch", tag="Submissions")


@blueprint.post("")
@credentials.require("submit")
@blueprint.input(schemas.IdempotencyHeader, location="headers")
@blueprint.output(schemas.Batch, status_code=207, description="Each item has a status of its own")
def accept(headers_data: schemas.IdempotencyHeader) -> tuple[Json, int]:
    """Submit a batch

    A list of 1 to 100 items, each as `POST /v1/submissions` takes it in JSON. The answer has one entry an item, in
    their order: its `status`, and its `submission` or its `problem`; a bad item never fails its neighbours. An item may
    carry an `idempotency_key`; the header `Idempotency-Key` makes the whole batch repeatable, by the places of its
    items. An item that failed may be sent again with the rest: those that were accepted are not made twice.
    """
    at = collaborators()
    sent = bodies.read(BATCH_BYTES)
    if not isinstance(sent, list) or not 1 <= len(sent) <= schemas.MOST_ITEMS:
        raise InvalidRequest({"body": [f"must be a list of 1 to {schemas.MOST_ITEMS} submissions"]})
    credentials.spend(len(sent) - 1)  # each item is a request; one is paid for already
    callbacks = Callbacks(at)
    answers = [_one(at, item, _key(headers_data.idempotency_key, place), callbacks) for place, item in enumerate(sent)]
    intake.announce(at, [answer for answer in answers if isinstance(answer, Kept)])
    return {"items": [_answer(answer) for answer in answers]}, 207


def _key(header: str | None, place: int) -> str | None:
    """Returns the key of the item at ``place``; its blanks keep it apart from every key that a client can send."""
    return None if header is None else f"batch {place} {header}"


def _one(at: Collaborators, sent: object, key: str | None, callbacks: "Callbacks") -> Kept | Exception:
    try:
        form = intake.place(sent, schemas.BatchUrl, schemas.BatchUpload)
        callbacks.judge(form.callback_url)
        return intake.expected(at, form, form.idempotency_key or key)
    except Exception as error:  # noqa: BLE001 - told of, and logged where it is ours, by `errors.explain`
        return error


class Callbacks:
    """Judges each different callback_url of a batch once, and only a few: names are looked up while a client waits."""

    MOST = 5

    def __init__(self, at: Collaborators) -> None:
        self.at = at
        self.judged: dict[str | None, ForbiddenAddress | None] = {None: None}

    def judge(self, url: str | None) -> None:
        """Raises what `intake.judge_callback` would, or Refused when there are too many."""
        if url not in self.judged:
            if len(self.judged) > self.MOST:  # None is among them
                raise Refused(f"a batch may name {self.MOST} different callback_urls at most")
            self.judged[url] = self._refusal(url)
        refused = self.judged[url]
        if refused is not None:
            raise refused

    def _refusal(self, url: str | None) -> ForbiddenAddress | None:
        try:
            intake.judge_callback(self.at, url)
        except ForbiddenAddress as error:
            return error
        return None


def _answer(answer: Kept | Exception) -> dict[str, Any]:
    if isinstance(answer, Kept):
        return {"status": 202, "submission": answer.document, "replayed": answer.replayed, "problem": None}
    problem, detail, fields = errors.explain(answer)
    told = errors.document(problem, detail, fields)
    return {"status": problem.status, "submission": None, "replayed": False, "problem": told}
