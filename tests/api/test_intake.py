"""A submission's life over HTTP, and whose eyes it is for."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from flask.testing import FlaskClient

from moderation import blobs as storage
from moderation import platforms, queue
from moderation.blobs import Blobs
from tests.api.conftest import Caller, Sessions, slug
from tests.conftest import jpeg


def test_an_image_is_accepted_scored_and_read(caller: Caller, score: Callable[[], str], blobs: Blobs) -> None:
    body = jpeg()
    accepted = caller.send(body, external_id="post-17", context='{"account": "@mallory"}', priority="urgent")
    assert accepted.status_code == 202
    told = accepted.get_json()
    assert told == {
        "id": told["id"],
        "state": "waiting",
        "sha256": hashlib.sha256(body).hexdigest(),
        "links": {"self": f"/v1/submissions/{told['id']}"},
    }
    assert accepted.headers["Location"] == told["links"]["self"]
    assert blobs.read(storage.media_key(told["sha256"])) == body

    assert score() == told["id"]
    found = caller.get(told["links"]["self"]).get_json()
    assert found["state"] == "scored"
    assert found["external_id"] == "post-17"
    assert found["priority"] == "urgent"
    assert found["context"] == {"account": "@mallory"}
    assert found["failure"] is None
    assert found["verdict"]["score"] == pytest.approx(0.93)
    assert found["verdict"]["band"] == "fake"
    assert found["verdict"]["faces"][0]["box"] == [8, 6, 20, 22]
    assert found["verdict"]["detector"] == {"name": "unmask", "version": "1.0.0"}
    assert found["verdict"]["media"]["format"] == "JPEG"


def test_an_accepted_image_rings_its_lane_once(caller: Caller, orders: Celery) -> None:
    caller.send(jpeg("red"), priority="bulk")
    assert [queue.length(orders, lane) for lane in (*queue.LANES, queue.DELIVERIES)] == [0, 0, 1, 0]


def test_bytes_that_were_judged_before_are_scored_at_once(
    caller: Caller, score: Callable[[], str], orders: Celery
) -> None:
    caller.send()
    score()
    again = caller.send(external_id="the same picture")
    assert again.status_code == 202
    assert again.get_json()["state"] == "scored"
    assert caller.get(again.headers["Location"]).get_json()["verdict"]["score"] == pytest.approx(0.93)
    assert queue.length(orders, queue.LANES[1]) == 1  # the first one's
    assert queue.length(orders, queue.DELIVERIES) == 1


def test_the_list_is_newest_first_and_pages_without_gaps(caller: Caller) -> None:
    sent = [caller.send(external_id=f"post-{number}").get_json()["id"] for number in range(5)]
    first = caller.get("/v1/submissions", limit=2).get_json()
    second = caller.get("/v1/submissions", limit=2, cursor=first["next_cursor"]).get_json()
    third = caller.get("/v1/submissions", limit=2, cursor=second["next_cursor"]).get_json()
    assert [item["id"] for page in (first, second, third) for item in page["items"]] == sent[::-1]
    assert third["next_cursor"] is None


def test_the_list_is_narrowed_by_state_name_and_time(caller: Caller, score: Callable[[], str]) -> None:
    caller.send(jpeg("red"), external_id="one")
    caller.send(jpeg("blue"), external_id="two")
    scored = score()

    def ids(**query: object) -> list[str]:
        return [item["id"] for item in caller.get("/v1/submissions", **query).get_json()["items"]]

    assert ids(state="scored") == [scored]
    assert ids(external_id="one") == [scored]
    assert len(ids(since=(datetime.now(UTC) - timedelta(hours=1)).isoformat())) == 2
    assert ids(since=(datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "tampered"},
        {"cursor": "WyJub3QgYSB0aW1lIiwgInN1YiJd"},
        {"limit": "0"},
        {"limit": "101"},
        {"state": "happy"},
        {"since": "yesterday"},
        {"since": "1700000000"},
        {"since": "2026-11-21T10:00:00"},
        {"external_id": "a\0b"},
        {"sate": "scored"},
        {"cursor": "WyIyMDI2LTExLTIxVDAwOjAwOjAwKzAwOjAwIiwgIlx1ZDgwMCJd"},
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(caller: Caller, query: dict[str, str]) -> None:
    refused = caller.get("/v1/submissions", **query)
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")
    assert list(refused.get_json()["errors"]) == list(query)


def test_an_erased_submission_leaves_a_tombstone_and_no_bytes(
    caller: Caller, score: Callable[[], str], blobs: Blobs
) -> None:
    told = caller.send(external_id="regretted", context='{"secret": 1}').get_json()
    score()
    assert caller.delete(told["links"]["self"]).status_code == 204
    assert not blobs.exists(storage.media_key(told["sha256"]))
    left = caller.get(told["links"]["self"]).get_json()
    assert (left["state"], left["sha256"], left["verdict"]) == ("deleted", None, None)
    assert (left["external_id"], left["context"]) == (None, {})
    assert caller.delete(told["links"]["self"]).status_code == 204


def test_a_platform_sees_only_its_own(caller: Caller, enrol: Callable[[str], Caller]) -> None:
    path = caller.send().get_json()["links"]["self"]
    stranger = enrol("Rival")
    assert slug(stranger.get(path)) == "not-found"
    assert slug(stranger.delete(path)) == "not-found"
    assert stranger.get("/v1/submissions").get_json()["items"] == []
    assert caller.get(path).get_json()["state"] == "waiting"


@pytest.mark.parametrize("name", ["sub_00000000000000000000000000", "nonsense", "sub_%00", "%F0%9F%A6%8A"])
def test_an_unknown_submission_is_not_found(caller: Caller, name: str) -> None:
    missing = caller.get(f"/v1/submissions/{name}")
    assert (missing.status_code, slug(missing)) == (404, "not-found")


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer ", "Bearer umk_wrong", "Basic dXNlcjpwYXNz", "Bearer \xff", "umk_wrong"]
)
def test_without_a_valid_key_nothing_is_read(app: object, caller: Caller, header: str | None) -> None:
    client: FlaskClient = caller.client
    headers = {} if header is None else {"Authorization": header}
    calls = [("GET", "submissions"), ("POST", "submissions"), ("GET", "webhook-endpoints"), ("GET", "deliveries")]
    for method, path in calls:
        refused = client.open(f"/v1/{path}", method=method, headers=headers)
        assert (refused.status_code, slug(refused)) == (401, "bad-credentials")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_or_expired_key_opens_nothing(caller: Caller, Session: Sessions) -> None:
    with Session.begin() as session:
        revoked = platforms.issue_key(session, caller.platform_id, "old")
        platforms.revoke_key(session, revoked.key.id)
        expired = platforms.issue_key(session, caller.platform_id, "older", datetime.now(UTC) - timedelta(days=1))
    for key in (revoked.api_key, expired.api_key):
        refused = caller.client.get("/v1/submissions", headers={"Authorization": f"Bearer {key}"})
        assert (refused.status_code, slug(refused)) == (401, "bad-credentials")
    assert caller.get("/v1/submissions").status_code == 200
