"""Many submissions in few requests. Each item has an idempotency key of its own, so the whole may be sent again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unmask_client import errors, reading
from unmask_client.documents import Accepted, Json
from unmask_client.errors import BadAnswer, UnmaskError
from unmask_client.steps import Answer, Request, Steps, sent
from unmask_client.submissions import PATH, About, said

MOST = 100  # items that the server takes at once


class BatchItem(About, total=False):
    """Media that is elsewhere, at a ``url`` or in an ``upload_id``, and what may be said of it."""

    url: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What became of one item: a submission, or the error it met. One that is `Unavailable` may be sent again."""

    accepted: Accepted | None = None
    error: UnmaskError | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    status: int
    submission: Accepted | None = None
    replayed: bool = False
    problem: Json | None = None


def submit(items: Sequence[BatchItem]) -> Steps[list[BatchAnswer]]:
    """Submits the items, a hundred a request, and returns their answers in their order."""
    bodies = [_body(item) for item in items]
    answers: list[BatchAnswer] = []
    for start in range(0, len(bodies), MOST):
        some = bodies[start : start + MOST]
        answer = yield from sent(Request("POST", f"{PATH}/batch", json=some))
        answers += _answers(answer, len(some))
    return answers


def _body(item: BatchItem) -> Mapping[str, Any]:
    media: dict[str, Any] = {name: item[name] for name in ("url", "upload_id") if name in item}
    if len(media) != 1:
        raise TypeError("an item of a batch has a url or an upload_id")
    about: Any = {name: value for name, value in item.items() if name not in media}
    fields, key = said(about)
    return {**media, **fields, "idempotency_key": key}


def _answers(answer: Answer, count: int) -> Iterator[BatchAnswer]:
    found = reading.parsed(answer.body)
    items = found.get("items") if isinstance(found, dict) else None
    if not isinstance(items, list) or len(items) != count:
        raise BadAnswer(f"the answer has no list of {count} items")
    for item in items:
        entry = reading.read(_Entry, item, "the item's answer")
        if entry.submission is not None:
            yield BatchAnswer(replace(entry.submission, replayed=entry.replayed))
        else:
            yield BatchAnswer(error=errors.told(entry.status, entry.problem or {}, answer.headers))
