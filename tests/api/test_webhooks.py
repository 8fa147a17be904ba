"""Webhook endpoints and deliveries, as their platform manages and sees them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from werkzeug.test import TestResponse

from tests.api.conftest import Caller, Sessions, slug
from tests.worker.test_sending import receiver, saying
from worker import delivering

PATH = "/v1/webhook-endpoints"


def add(caller: Caller, **body: object) -> dict[str, object]:
    answer = caller.client.post(PATH, json={"url": "http://127.0.0.1:9/hook", **body}, headers=caller.headers)
    assert answer.status_code == 201, answer.text
    added: dict[str, object] = answer.get_json()
    return added


def test_an_endpoint_shows_its_secret_once(caller: Caller) -> None:
    added = add(caller, events=["submission.scored"])
    assert str(added["secret"]).startswith("whsec_")
    listed = caller.get(PATH).get_json()["items"]
    assert [item["id"] for item in listed] == [added["id"]]
    assert listed[0]["events"] == ["submission.scored"]
    assert "secret" not in listed[0]


def test_an_endpoint_is_removed_by_its_own_platform_only(caller: Caller, enrol: Callable[[str], Caller]) -> None:
    path = f"{PATH}/{add(caller)['id']}"
    assert slug(enrol("Rival").delete(path)) == "not-found"
    assert caller.delete(path).status_code == 204
    assert caller.get(PATH).get_json() == {"items": []}
    assert slug(caller.delete(path)) == "not-found"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"url": "https://10.0.0.1/"}, "forbidden-address"),
        ({"url": "file:///etc/passwd"}, "forbidden-address"),
        ({"url": "https://\0.org/"}, "invalid-request"),
        ({}, "invalid-request"),
        ([], "invalid-request"),
        ({"url": "http://127.0.0.1/", "events": ["lunch"]}, "invalid-request"),
        ("x", "invalid-request"),
        ({"url": "http://127.0.0.1/", "secret": "mine"}, "invalid-request"),
    ],
)
def test_an_endpoint_that_cannot_be_meant_is_refused(caller: Caller, body: object, name: str) -> None:
    refused = caller.client.post(PATH, json=body, headers=caller.headers)
    assert (refused.status_code, slug(refused)) == (422, name)


@pytest.mark.parametrize("body", ["", "{", "\xff"])
def test_a_body_that_is_no_json_is_refused(caller: Caller, body: str) -> None:
    refused = caller.client.post(PATH, data=body, content_type="application/json", headers=caller.headers)
    assert (refused.status_code, slug(refused)) == (400, "bad-request")


def test_deliveries_tell_what_became_of_each_message(caller: Caller, score: Callable[[], str]) -> None:
    endpoint = add(caller)
    submission = caller.send().get_json()["id"]
    score()
    page = caller.get("/v1/deliveries", limit=1).get_json()
    rest = caller.get("/v1/deliveries", limit=1, cursor=page["next_cursor"]).get_json()
    found = page["items"] + rest["items"]
    assert {item["event"] for item in found} == {"submission.scored", "flag.opened"}
    assert {(item["state"], item["submission_id"], item["endpoint_id"]) for item in found} == {
        ("waiting", submission, endpoint["id"])
    }
    assert rest["next_cursor"] is None
    assert caller.get("/v1/deliveries", status="failed").get_json()["items"] == []


def test_deliveries_are_seen_by_their_own_platform_only(
    caller: Caller, enrol: Callable[[str], Caller], score: Callable[[], str]
) -> None:
    add(caller)
    caller.send()
    score()
    assert enrol("Rival").get("/v1/deliveries").get_json()["items"] == []


@pytest.mark.parametrize(
    "query", [{"status": "lost"}, {"limit": "1000"}, {"cursor": "msg_"}, {"cursor": "\0"}, {"endpoint_id": "x"}]
)
def test_a_list_of_deliveries_that_cannot_be_meant_is_refused(caller: Caller, query: dict[str, str]) -> None:
    refused = caller.get("/v1/deliveries", **query)
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")


def change(caller: Caller, path: str, **body: object) -> TestResponse:
    return caller.client.patch(path, json=body, headers=caller.headers)


def post(caller: Caller, path: str, **body: object) -> TestResponse:
    return caller.client.post(path, json=body, headers=caller.headers)


def test_an_endpoint_is_read_and_changed_in_part(caller: Caller) -> None:
    added = add(caller, events=["flag.opened"])
    path = f"{PATH}/{added['id']}"
    moved = change(caller, path, url="http://127.0.0.1:9/other").get_json()
    assert (moved["url"], moved["events"]) == ("http://127.0.0.1:9/other", ["flag.opened"])
    assert change(caller, path, events=[]).get_json()["events"] == []
    assert change(caller, path, enabled=False).get_json()["disabled_at"]
    shown = caller.get(path).get_json()
    assert shown["disabled_reason"]
    assert "secret" not in shown
    assert change(caller, path).get_json() == shown
    assert change(caller, path, enabled=True).get_json()["disabled_at"] is None


def test_an_endpoint_is_not_moved_to_where_nothing_may_be_sent(caller: Caller) -> None:
    added = add(caller)
    path = f"{PATH}/{added['id']}"
    for body, name in (({"url": "https://10.0.0.1/"}, "forbidden-address"), ({"events": ["lunch"]}, "invalid-request")):
        assert slug(change(caller, path, enabled=False, **body)) == name
    assert caller.get(path).get_json()["url"] == added["url"]
    assert caller.get(path).get_json()["disabled_at"] is None


def test_a_test_is_queued_whichever_events_are_wanted_but_not_to_a_disabled_endpoint(caller: Caller) -> None:
    path = f"{PATH}/{add(caller, events=['flag.opened'])['id']}"
    queued = post(caller, f"{path}/test")
    assert (queued.status_code, queued.get_json()["event"]) == (202, "endpoint.test")
    record = caller.get(f"/v1/deliveries/{queued.get_json()['id']}").get_json()
    assert json.loads(record["body"])["type"] == "endpoint.test"
    change(caller, path, enabled=False)
    assert slug(post(caller, f"{path}/test")) == "endpoint-disabled"


def test_during_a_rotation_both_secrets_verify_what_is_sent(caller: Caller, Session: Sessions) -> None:
    with receiver(saying(200)) as (port, got):
        added = add(caller, url=f"http://127.0.0.1:{port}/in")
        path = f"{PATH}/{added['id']}"
        rotated = post(caller, f"{path}/rotate").get_json()
        again = post(caller, f"{path}/rotate", overlap_seconds=60).get_json()
        post(caller, f"{path}/test")
        delivering.run(Session, timeout=10, allowed_networks=["127.0.0.0/8"], budget_seconds=30)
        last = post(caller, f"{path}/rotate", overlap_seconds=0).get_json()
        post(caller, f"{path}/test")
        delivering.run(Session, timeout=10, allowed_networks=["127.0.0.0/8"], budget_seconds=30)
    (_, headers, body), (_, cut_headers, cut_body) = got
    secrets = [str(answer["secret"]) for answer in (added, rotated, again, last)]
    assert len(set(secrets)) == 4
    assert headers["webhook-signature"].count("v1,") == 3
    for secret in secrets[:3]:
        assert Webhook(secret).verify(body, headers)["type"] == "endpoint.test"
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets[3]).verify(body, headers)
    assert Webhook(secrets[3]).verify(cut_body, cut_headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets[2]).verify(cut_body, cut_headers)
    for body in ({"overlap_seconds": -1}, {"overlap_seconds": 10**9}, {"overlap": 1}):
        assert slug(post(caller, f"{path}/rotate", **body)) == "invalid-request"


def test_a_delivery_tells_its_tries_and_is_sent_again_under_its_id(caller: Caller, Session: Sessions) -> None:
    statuses = [410, 200]

    def changing(handler: Any) -> None:
        saying(statuses.pop(0))(handler)

    with receiver(changing) as (port, got):
        endpoint = f"{PATH}/{add(caller, url=f'http://127.0.0.1:{port}/in')['id']}"
        path = f"/v1/deliveries/{post(caller, f'{endpoint}/test').get_json()['id']}"
        assert slug(post(caller, f"{path}/replay")) == "still-waiting"
        delivering.run(Session, timeout=10, allowed_networks=["127.0.0.0/8"], budget_seconds=30)
        assert slug(post(caller, f"{path}/replay")) == "endpoint-disabled"
        change(caller, endpoint, enabled=True)
        again = post(caller, f"{path}/replay")
        assert (again.status_code, again.get_json()["state"], again.get_json()["attempts"]) == (202, "waiting", 0)
        delivering.run(Session, timeout=10, allowed_networks=["127.0.0.0/8"], budget_seconds=30)
    record = caller.get(path).get_json()
    assert [one["status"] for one in record["tries"]] == [410, 200]
    assert record["state"] == "delivered"
    assert {headers["webhook-id"] for _, headers, _ in got} == {record["id"]}
    assert {body for _, _, body in got} == {record["body"]}


def test_deliveries_are_listed_by_endpoint_and_status(caller: Caller) -> None:
    first, second = add(caller), add(caller)
    queued = post(caller, f"{PATH}/{second['id']}/test").get_json()
    assert caller.get("/v1/deliveries", endpoint_id=first["id"]).get_json()["items"] == []
    found = caller.get("/v1/deliveries", endpoint_id=second["id"], status="waiting").get_json()["items"]
    assert [item["id"] for item in found] == [queued["id"]]
