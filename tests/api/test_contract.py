"""The contract is valid OpenAPI 3.1, says what the views do, and its page needs nobody else's server."""

import re
from typing import Any, get_args

import pytest
from apiflask import APIFlask
from openapi_spec_validator import validate

from api import docs
from api.schemas import values
from moderation import tables
from tests.api.conftest import Caller


@pytest.fixture
def spec(app: APIFlask) -> dict[str, Any]:
    contract: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return contract


def test_it_is_valid_openapi_3_1(spec: dict[str, Any]) -> None:
    assert str(spec["openapi"]).startswith("3.1")
    validate(spec)


def test_it_names_every_call_of_the_api_and_no_page_of_the_dashboard(spec: dict[str, Any]) -> None:
    calls = {(method, path) for path, operations in spec["paths"].items() for method in operations}
    assert calls == {
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
        ("get", "/v1/deliveries"),
        ("get", "/v1/deliveries/{delivery_id}"),
        ("post", "/v1/deliveries/{delivery_id}/replay"),
        ("post", "/v1/submissions"),
        ("get", "/v1/submissions"),
        ("get", "/v1/submissions/{submission_id}"),
        ("delete", "/v1/submissions/{submission_id}"),
        ("post", "/v1/submissions/batch"),
        ("post", "/v1/submissions/{submission_id}/appeal"),
        ("post", "/v1/uploads"),
        ("put", "/v1/uploads/{upload_id}"),
        ("post", "/v1/hooks/{source_id}"),
        ("get", "/v1/webhook-endpoints"),
        ("post", "/v1/webhook-endpoints"),
        ("get", "/v1/webhook-endpoints/{endpoint_id}"),
        ("patch", "/v1/webhook-endpoints/{endpoint_id}"),
        ("delete", "/v1/webhook-endpoints/{endpoint_id}"),
        ("post", "/v1/webhook-endpoints/{endpoint_id}/test"),
        ("post", "/v1/webhook-endpoints/{endpoint_id}/rotate"),
    }


def test_every_call_under_v1_needs_a_key_and_answers_problems(spec: dict[str, Any]) -> None:
    signed = {"/v1/hooks/{source_id}", "/v1/uploads/{upload_id}"}  # by a source, and by ourselves
    for path, operations in spec["paths"].items():
        for operation in operations.values() if path.startswith("/v1/") and path not in signed else ():
            ((scope,),) = (wanted["ApiKey"] for wanted in operation["security"])
            assert scope in tables.SCOPES
            for status in ("401", "403", "429", "500", "503"):
                assert "application/problem+json" in operation["responses"][status]["content"]


def test_the_upload_is_described_as_a_form_with_a_file(spec: dict[str, Any]) -> None:
    form = spec["paths"]["/v1/submissions"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["file"]
    assert form["properties"]["file"]["format"] == "binary"
    assert set(form["properties"]) == {"file", "external_id", "priority", "context", "callback_url"}


def test_media_elsewhere_is_described_as_json_with_a_url_or_an_upload(spec: dict[str, Any]) -> None:
    bodies = spec["paths"]["/v1/submissions"]["post"]["requestBody"]["content"]
    named = [option["$ref"].rpartition("/")[2] for option in bodies["application/json"]["schema"]["oneOf"]]
    assert [spec["components"]["schemas"][name]["required"] for name in named] == [["url"], ["upload_id"]]
    batch = spec["paths"]["/v1/submissions/batch"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert (batch["minItems"], batch["maxItems"], len(batch["items"]["oneOf"])) == (1, 100, 2)


def test_the_words_of_the_contract_are_the_words_of_the_ledger() -> None:
    assert get_args(values.Priority) == tables.PRIORITIES
    assert get_args(values.State) == tables.STATES
    assert get_args(values.Band) == tables.BANDS
    assert get_args(values.Event) == tables.EVENTS


def test_the_page_shows_every_call_and_loads_nothing_from_elsewhere(app: APIFlask, caller: Caller) -> None:
    page = caller.client.get("/docs")
    assert page.status_code == 200
    for path in app.test_client().get("/openapi.json").get_json()["paths"]:
        assert path in page.text
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert address.startswith(("/", "#"))
    assert "<script" not in page.text
    assert "style=" not in page.text
    for address in re.findall(r'href="(/static/[^"]+)"', page.text):
        with caller.client.get(address) as loaded:
            assert loaded.status_code == 200


def test_a_word_between_backticks_is_code_and_markup_is_text() -> None:
    assert docs.mark("`a<b>` & <i>") == "<code>a&lt;b&gt;</code> &amp; &lt;i&gt;"


def test_every_reference_on_the_page_leads_somewhere(app: APIFlask) -> None:
    text = app.test_client().get("/docs").text
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))
