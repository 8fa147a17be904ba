"""The running API against its own contract: whatever is sent, the answer is one that the contract names, and never a 5xx.

schemathesis makes requests from /openapi.json, both such as it allows and such as it does not, and holds each answer
against status, content type, headers and schema. The examples are the same on every run.
"""

import re
import traceback
from collections import Counter
from typing import Any

import pytest
import schemathesis
from apiflask import APIFlask
from celery import Celery
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as limits
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.specs.openapi import checks as contract_checks

from api import application
from moderation import addresses
from moderation.blobs import Blobs
from moderation.settings import Settings
from tests.api.conftest import Caller, Sessions

CHECKS = [
    checks.not_a_server_error,
    contract_checks.status_code_conformance,
    contract_checks.content_type_conformance,
    contract_checks.response_headers_conformance,
    contract_checks.response_schema_conformance,
]


@pytest.fixture
def app(settings: Settings, Session: Sessions, blobs: Blobs, orders: Celery) -> APIFlask:
    """An application that is asked often."""
    often = settings.model_copy(update={"rate_limit": "", "key_attempts": ""})
    return application.create(often, session_factory=Session, blobs=blobs, queue=orders)


@pytest.fixture
def contract(app: APIFlask) -> Any:
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


bounded = limits(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def examine(contract: Any, headers: dict[str, str], names: dict[str, str], examples: int) -> Counter[int]:
    """Asks each call of the contract with what it allows and what it does not, of things that exist and of others.

    Returns how often each status was answered.
    """
    faults, statuses = [], Counter[int]()
    operations = [found.ok() for found in contract.get_all_operations()]
    for operation in sorted(
        operations, key=lambda one: one.method == "delete"
    ):  # the last thing to do with what exists
        existing = {name: value for name, value in names.items() if f"{{{name}}}" in operation.path} or None
        for mode, path in [
            (mode, path) for mode in schemathesis.GenerationMode for path in ([None, existing] if existing else [None])
        ]:

            @limits(bounded, max_examples=examples)
            @given(case=operation.as_strategy(generation_mode=mode, path_parameters=path))
            def ask(case: schemathesis.Case) -> None:
                statuses[case.call_and_validate(headers=headers, checks=CHECKS).status_code] += 1

            try:
                ask()
            except Unsatisfiable:  # a call without parameters cannot be called wrongly
                continue
            except Exception as error:  # noqa: BLE001 - told of below, with those of other calls
                faults.append("".join(traceback.format_exception(error)))
    assert not faults, "\n\n".join(faults)
    return statuses


def test_with_a_key_every_answer_is_in_the_contract(contract: Any, caller: Caller) -> None:
    endpoint = caller.client.post(
        "/v1/webhook-endpoints", json={"url": "http://127.0.0.1:9/hook"}, headers=caller.headers
    ).get_json()["id"]
    delivery = caller.client.post(f"/v1/webhook-endpoints/{endpoint}/test", headers=caller.headers).get_json()["id"]
    submission = caller.send().get_json()["id"]
    names = {"submission_id": submission, "endpoint_id": endpoint, "delivery_id": delivery}
    statuses = examine(contract, caller.headers, names, examples=12)
    assert {200, 202, 400, 404, 422} <= set(statuses)


def test_without_a_key_every_answer_is_in_the_contract(contract: Any) -> None:
    statuses = examine(contract, {}, {}, examples=4)
    assert {200, 401} <= set(statuses)


# Refusals that no schema can foresee: what a file is, and what there is under a name.
UNFORESEEABLE = {
    f"/problems/{slug}"
    for slug in ("unsupported-media-type", "torn-file", "empty-file", "not-found", "idempotency-key-reused")
}


def test_what_the_contract_allows_is_not_refused_for_its_shape(
    contract: Any, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also inside a batch. Every host resolves, to a network that is allowed: where a name leads is not its shape."""
    monkeypatch.setattr(addresses, "_system", lambda *_: ["127.0.0.1"])
    submission = caller.send().get_json()["id"]
    endpoint = caller.post("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/hook"}).get_json()["id"]
    names = {"submission_id": submission, "endpoint_id": endpoint}
    refused, asked = {}, Counter[str]()
    operations = [found.ok() for found in contract.get_all_operations()]
    for operation in sorted(operations, key=lambda one: one.method == "delete"):
        path = {name: value for name, value in names.items() if f"{{{name}}}" in operation.path} or None

        @limits(bounded, max_examples=8)
        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE, path_parameters=path))
        def ask(case: schemathesis.Case) -> None:
            answer = case.call(headers=caller.headers)
            asked[case.path] += 1
            for problem in _problems(answer):
                if 400 <= problem["status"] < 500 and problem["type"] not in UNFORESEEABLE:
                    refused[case.method, case.path, problem["detail"]] = (case.query, case.body)

        if operation.path not in ("/v1/hooks/{source_id}", "/v1/uploads/{upload_id}"):  # signed by others
            ask()
    assert refused == {}
    assert len(asked) >= 15


def _problems(answer: Any) -> list[dict[str, Any]]:
    if answer.status_code == 207:
        return [item["problem"] for item in answer.json()["items"] if item["problem"]]
    told = "problem+json" in str(answer.headers.get("content-type", ""))
    return [answer.json()] if told and answer.status_code not in (401, 403, 409, 429) else []


@pytest.mark.parametrize(
    ("size", "status"),
    [(5, 201), (5.0, 201), (200_000_000, 201), (5.5, 422), (True, 422), ("5", 422), (0, 422), (-1, 422), (1e300, 413)],
)
def test_a_size_is_an_integer_as_json_schema_counts_them(caller: Caller, size: object, status: int) -> None:
    sent = {"bytes": size, "content_type": "image/jpeg"}
    assert caller.post("/v1/uploads", sent).status_code == status


def test_the_contract_names_the_bounds_of_this_installation(
    settings: Settings, Session: Sessions, blobs: Blobs, orders: Celery
) -> None:
    small = settings.model_copy(update={"max_bytes": 1234})
    app = application.create(small, session_factory=Session, blobs=blobs, queue=orders)
    spec = app.test_client().get("/openapi.json").get_json()
    assert spec["components"]["schemas"]["UploadForm"]["properties"]["bytes"]["maximum"] == 1234


ADDRESSES = [
    "https://a.example",
    "https://files.chirper.example:443/a/b.jpg?size=large#top",
    "https://xn--bcher-kva.example/%C3%BC",
    "https://a-b.c1.example?x=y",
    "http://10.0.0.1:9/hook",
    "ftp://a.example/",
    "https://user:word@a.example/",
    "https://a.example/ b",
    "https://-a.example/",
    "a.example",
    "unix://",
    "fd31:f903:5ab5:1::1",
]


@pytest.mark.parametrize("url", ADDRESSES)
@pytest.mark.parametrize("form", ["ByUrl", "EndpointForm"])
def test_an_address_that_the_contract_allows_is_well_formed_to_the_guard(contract: Any, url: str, form: str) -> None:
    pattern = contract.raw_schema["components"]["schemas"][form]["properties"]["url"]["pattern"]
    if re.search(pattern, url):
        addresses.check(url, schemes=addresses.MEDIA if form == "ByUrl" else addresses.WEBHOOKS)
    allowed = [known for known in ADDRESSES if re.search(pattern, known)]
    assert allowed == ADDRESSES[:4]
