"""The running API against its own contract: whatever is sent, the answer is one that the contract names, and never a 5xx.

schemathesis makes requests from /openapi.json, both such as it allows and such as it does not, and holds each answer
against status, content type, headers and schema. The examples are the same on every run.
"""

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
