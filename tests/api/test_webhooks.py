"""Webhook endpoints and deliveries, as their platform manages and sees them."""

from collections.abc import Callable

import pytest

from tests.api.conftest import Caller, slug

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


@pytest.mark.parametrize("query", [{"status": "lost"}, {"limit": "1000"}, {"cursor": "msg_"}, {"cursor": "\0"}])
def test_a_list_of_deliveries_that_cannot_be_meant_is_refused(caller: Caller, query: dict[str, str]) -> None:
    refused = caller.get("/v1/deliveries", **query)
    assert (refused.status_code, slug(refused)) == (422, "invalid-request")
