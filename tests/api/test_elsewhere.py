"""Media that is still elsewhere: submitted by its URL, accepted at once, and left to a worker."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import update

from moderation import queue
from moderation.tables import Platform, Submission
from tests.api.conftest import Caller, Sessions, slug

URL = "https://chirper.example/media/1.jpg"


def test_a_url_is_accepted_before_anything_is_fetched(caller: Caller, Session: Sessions, orders: Celery) -> None:
    sent = {"url": URL, "external_id": "post-1", "priority": "urgent", "context": {"account": "@mallory"}}
    accepted = caller.post("/v1/submissions", sent)
    assert accepted.status_code == 202
    told = accepted.get_json()
    link = f"/v1/submissions/{told['id']}"
    assert told == {"id": told["id"], "state": "fetching", "sha256": None, "links": {"self": link}}
    assert accepted.headers["Location"] == link
    assert queue.length(orders, queue.FETCHING) == 1
    assert [queue.length(orders, lane) for lane in queue.LANES] == [0, 0, 0]
    with Session() as session:
        row = session.get_one(Submission, told["id"])
        assert (row.origin, row.priority, row.context) == ({"url": URL}, 0, {"account": "@mallory"})
    shown = caller.get(link, wait=0.3).get_json()
    assert (shown["state"], shown["verdict"]) == ("fetching", None)
    assert [item["id"] for item in caller.get("/v1/submissions", state="fetching").get_json()["items"]] == [told["id"]]
    assert caller.get("/v1/submissions", state="waiting").get_json()["items"] == []
    assert caller.delete(link).status_code == 204
    assert caller.get(link).get_json()["state"] == "deleted"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://chirper.example/1.jpg", "forbidden-address"),
        ("https://user:word@chirper.example/1.jpg", "forbidden-address"),
        ("https://169.254.169.254/latest/meta-data", "forbidden-address"),
        ("http://[::1]/1.jpg", "forbidden-address"),
        ("http://0x0a000001/1.jpg", "forbidden-address"),
        ("file:///etc/passwd", "forbidden-address"),
        ("https://chirper.example\\@10.0.0.1/1.jpg", "forbidden-address"),
        ("no url at all", "forbidden-address"),
        ("", "invalid-request"),
        ("https://chirper.example/" + "a" * 2048, "invalid-request"),
        (17, "invalid-request"),
    ],
)
def test_a_url_that_no_worker_would_fetch_is_refused_at_once(caller: Caller, url: object, problem: str) -> None:
    refused = caller.post("/v1/submissions", {"url": url})
    assert (refused.status_code, slug(refused)) == (422, problem)


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"url": None},
        {"url": URL, "upload_id": "upl_" + "0a" * 13},
        {"url": URL, "file": "x"},
        {"url": URL, "context": "no json"},
        {"url": URL, "context": {"a": "\0"}},
        {"url": URL, "context": {"a": "b" * 17_000}},
        {"url": URL, "context": [1]},
        {"url": URL, "priority": "now"},
        {"url": URL, "external_id": "a\nb"},
        {"upload_id": "../../etc/passwd"},
        [{"url": URL}],
        "text",
        None,
    ],
)
def test_what_is_said_of_it_is_checked(caller: Caller, sent: object) -> None:
    refused = caller.post("/v1/submissions", sent)
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")
    assert refused.get_json()["errors"]


def test_null_is_as_good_as_absent(caller: Caller) -> None:
    sent = {"url": URL, "upload_id": None, "external_id": None, "callback_url": None, "priority": None}
    assert caller.post("/v1/submissions", sent).status_code == 202


@pytest.mark.parametrize("path", ["/v1/submissions", "/v1/submissions/batch", "/v1/uploads"])
@pytest.mark.parametrize(
    ("body", "type", "status"),
    [
        (b"url=x", "text/plain", 415),
        (b"{}", "", 415),
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"url": "' + b"x" * 3_000_000 + b'"}', "application/json", 413),
    ],
)
def test_a_body_that_is_no_json_or_too_long_is_refused(
    caller: Caller, path: str, body: bytes, type: str, status: int
) -> None:
    headers = caller.headers | ({"Content-Type": type} if type else {})
    refused = caller.client.post(path, data=body, headers=headers)
    assert refused.status_code == (413 if status == 400 and len(body) > 8192 and path == "/v1/uploads" else status)
    assert slug(refused) == {400: "bad-request", 413: "too-large", 415: "unsupported-media-type"}[refused.status_code]


def test_the_same_key_and_place_make_one_submission(caller: Caller) -> None:
    first = caller.post("/v1/submissions", {"url": URL, "context": {"a": 1, "b": 2}}, key="k-1")
    again = caller.post("/v1/submissions", {"context": {"b": 2, "a": 1}, "url": URL}, key="k-1")
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    for other in ({"url": URL + "?2"}, {"url": URL}, {"url": URL, "context": {"a": 1, "b": 2}, "priority": "bulk"}):
        refused = caller.post("/v1/submissions", other, key="k-1")
        assert (refused.status_code, slug(refused)) == (422, "idempotency-key-reused")


def test_the_policy_of_the_platform_rules_what_it_sends(caller: Caller, Session: Sessions) -> None:
    rules: dict[str, Any] = {"priority": {"default": "bulk", "highest": "default"}, "callback_hosts": ["127.0.0.1"]}
    with Session.begin() as session:
        session.execute(update(Platform).where(Platform.id == caller.platform_id).values(policy=rules))
    link = caller.post("/v1/submissions", {"url": URL}).headers["Location"]
    assert caller.get(link).get_json()["priority"] == "bulk"
    link = caller.send(priority="urgent").headers["Location"]
    assert caller.get(link).get_json()["priority"] == "default"
    assert caller.post("/v1/submissions", {"url": URL, "callback_url": "http://127.0.0.1:9/x"}).status_code == 202
    for refused in (
        caller.post("/v1/submissions", {"url": URL, "callback_url": "http://127.0.0.2:9/x"}),
        caller.send(callback_url="http://127.0.0.2:9/x"),
    ):
        assert (refused.status_code, slug(refused)) == (422, "callback-not-allowed")


def test_another_platform_sees_nothing_of_it(caller: Caller, enrol: Callable[[str], Caller]) -> None:
    link, rival = caller.post("/v1/submissions", {"url": URL}).headers["Location"], enrol("Rival")
    assert rival.get(link).status_code == 404
    assert rival.delete(link).status_code == 404
    assert rival.get("/v1/submissions").get_json()["items"] == []
