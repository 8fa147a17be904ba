"""Tenancy: whatever /v1 answers to, a platform's key opens that platform's things alone, and only what its scopes say.

Every route of the running application has a case here; one without a case fails the first test.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apiflask import APIFlask
from werkzeug.test import TestResponse

from api import credentials
from moderation import platforms, tables
from tests.api.conftest import Caller, Sessions, slug

Route = tuple[str, str]


@dataclass(frozen=True)
class Case:
    """How to call a route: the scope it needs, a body, and a query that names things of the platform that is asked for.

    ``own`` is what the platform itself is answered; ``other`` what another one is, which is the same where a route is a
    list or adds something.
    """

    scope: str
    own: int
    other: int = 404
    body: Mapping[str, Any] | list[Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)


CASES: dict[Route, Case] = {
    ("POST", "/v1/submissions"): Case("submit", 202, body={"upload_id": "{upload}", "external_id": "{external_id}"}),
    ("POST", "/v1/submissions/batch"): Case("submit", 207, 207, [{"upload_id": "{upload}"}]),
    ("GET", "/v1/submissions"): Case("read", 200, 200, query={"external_id": "{external_id}", "cursor": "{cursor}"}),
    ("GET", "/v1/submissions/<id:submission_id>"): Case("read", 200, query={"wait": "0.1"}),
    ("POST", "/v1/submissions/<id:submission_id>/appeal"): Case("manage", 201, body={"reason": "it is real"}),
    ("DELETE", "/v1/submissions/<id:submission_id>"): Case("manage", 204),
    ("POST", "/v1/uploads"): Case("submit", 201, 201, {"filename": "a.jpg", "bytes": 3, "content_type": "image/jpeg"}),
    ("GET", "/v1/webhook-endpoints"): Case("read", 200, 200),
    ("POST", "/v1/webhook-endpoints"): Case("manage", 201, 201, {"url": "http://127.0.0.1:9/new"}),
    ("GET", "/v1/webhook-endpoints/<id:endpoint_id>"): Case("read", 200),
    ("PATCH", "/v1/webhook-endpoints/<id:endpoint_id>"): Case("manage", 200, body={"enabled": False}),
    ("DELETE", "/v1/webhook-endpoints/<id:endpoint_id>"): Case("manage", 204),
    ("POST", "/v1/webhook-endpoints/<id:endpoint_id>/test"): Case("manage", 202),
    ("POST", "/v1/webhook-endpoints/<id:endpoint_id>/rotate"): Case("manage", 200, body={}),
    ("GET", "/v1/deliveries"): Case("read", 200, 200, query={"endpoint_id": "{endpoint}", "cursor": "{later}"}),
    ("GET", "/v1/deliveries/<id:delivery_id>"): Case("read", 200),
    ("POST", "/v1/deliveries/<id:delivery_id>/replay"): Case("manage", 409),
}
SIGNED = {  # opened by a signature, not by a key: tests/api/test_uploads.py, tests/api/test_hooks.py
    ("PUT", "/v1/uploads/<id:upload_id>"),
    ("GET", "/v1/hooks/<id:source_id>"),
    ("POST", "/v1/hooks/<id:source_id>"),
}
EACH = pytest.mark.parametrize(("route", "case"), CASES.items(), ids=[" ".join(route) for route in CASES])


@dataclass(frozen=True)
class Belongings:
    """What the platform that is asked for has; none of ``telling`` may be in an answer to anybody else."""

    caller: Caller
    names: dict[str, str]
    telling: list[str]

    def ask(self, route: Route, case: Case, key: str | None, address: str = "127.0.0.1") -> TestResponse:
        method, rule = route
        path = rule
        for name in ("submission", "endpoint", "delivery"):
            path = path.replace(f"<id:{name}_id>", self.names[name])
        assert "<" not in path
        body = None if case.body is None else json.loads(self._filled(json.dumps(case.body)))
        query = {name: self._filled(value) for name, value in case.query.items()}
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        return self.caller.client.open(
            path,
            method=method,
            query_string=query,
            json=body,
            headers=headers,
            environ_base={"REMOTE_ADDR": address},
        )

    def _filled(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text


@pytest.fixture
def belongings(caller: Caller, score: Callable[[], str]) -> Belongings:
    def post(path: str, **body: Any) -> dict[str, Any]:
        answer = caller.client.post(path, json=body, headers=caller.headers)
        assert answer.status_code < 300, answer.text
        made: dict[str, Any] = answer.get_json()
        return made

    endpoint = post("/v1/webhook-endpoints", url="http://127.0.0.1:9/chirper-hook")
    names = {"external_id": "chirp-1", "endpoint": endpoint["id"]}
    sent = caller.send(external_id="chirp-1", context=json.dumps({"author": "secret-author"})).get_json()
    assert score() == sent["id"]
    caller.send(external_id="chirp-2")
    upload = post("/v1/uploads", filename="a.jpg", bytes=3, content_type="image/jpeg")
    put = caller.client.put(upload["url"], data=b"abc", headers=upload["headers"])
    assert put.status_code == 204, put.text
    names |= {"submission": sent["id"], "upload": upload["upload_id"]}
    names["delivery"] = caller.get("/v1/deliveries").get_json()["items"][0]["id"]
    names["later"] = "msg_" + "z" * 26
    names["cursor"] = caller.get("/v1/submissions", limit=1).get_json()["next_cursor"]
    telling = [names["submission"], sent["sha256"], "secret-author", endpoint["id"], endpoint["secret"], "chirper-hook"]
    return Belongings(caller, names, [*telling, names["delivery"], caller.platform_id])


def test_every_route_has_a_case_that_knows_its_scope(app: APIFlask) -> None:
    routes = {
        (method, rule.rule): credentials.scope_of(app, rule.endpoint)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/v1")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == {route: case.scope for route, case in CASES.items()} | dict.fromkeys(SIGNED)


@EACH
def test_its_own_platform_needs_no_more_than_the_scope(
    belongings: Belongings, Session: Sessions, route: Route, case: Case
) -> None:
    with Session.begin() as session:
        key = platforms.issue_key(session, belongings.caller.platform_id, "lesser", scopes=[case.scope]).api_key
    answer = belongings.ask(route, case, key)
    assert answer.status_code == case.own, answer.text


@EACH
def test_another_platform_learns_and_changes_nothing(
    belongings: Belongings, enrol: Callable[[str], Caller], route: Route, case: Case
) -> None:
    def seen() -> list[Any]:
        paths = ("/v1/submissions", "/v1/webhook-endpoints", "/v1/deliveries")
        return [belongings.caller.get(path).get_json() for path in paths]

    before = seen()
    answer = belongings.ask(route, case, enrol("Rival").api_key)
    assert answer.status_code == case.other, answer.text
    if case.other == 404:
        assert slug(answer) == "not-found"
    asked = answer.request.path + answer.request.query_string.decode()  # what it named itself is no news to it
    assert [word for word in belongings.telling if word in answer.text and word not in asked] == []
    assert seen() == before
    if case.other == 200:
        assert answer.get_json()["items"] == []
    if case.other == 207:
        assert [item["status"] for item in answer.get_json()["items"]] == [404]


def test_a_key_that_opens_nothing_opens_nothing_anywhere(belongings: Belongings, Session: Sessions) -> None:
    home = belongings.caller.platform_id
    with Session.begin() as session:
        revoked = platforms.issue_key(session, home, "old")
        platforms.revoke_key(session, revoked.key.id)
        expired = platforms.issue_key(session, home, "older", datetime.now(UTC) - timedelta(seconds=1))
    for key in (None, "umk_wrong", revoked.api_key, expired.api_key):
        for address, (route, case) in enumerate(CASES.items(), 1):
            answer = belongings.ask(route, case, key, f"192.0.2.{address}")
            assert (answer.status_code, slug(answer)) == (401, "bad-credentials"), route


def test_a_key_without_the_scope_is_told_which_it_lacks(belongings: Belongings, Session: Sessions) -> None:
    for scope in tables.SCOPES:
        with Session.begin() as session:
            key = platforms.issue_key(session, belongings.caller.platform_id, scope, scopes=[scope]).api_key
        for route, case in CASES.items():
            if case.scope != scope:
                answer = belongings.ask(route, case, key)
                assert (answer.status_code, slug(answer)) == (403, "scope-missing"), route
                assert case.scope in answer.get_json()["detail"]


def test_a_key_is_revoked_at_once(caller: Caller, Session: Sessions) -> None:
    assert caller.get("/v1/submissions").status_code == 200
    with Session.begin() as session:
        (key,) = platforms.keys(session, caller.platform_id)
        assert key.last_used_at is not None
        platforms.revoke_key(session, key.id)
    assert slug(caller.get("/v1/submissions")) == "bad-credentials"
