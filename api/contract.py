"""The contract, /openapi.json: what APIFlask reads off the views, completed with what it cannot see.

That is the bodies that views read by themselves (`api.contents`), the API key, and the problems each call may answer.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from apiflask import APIBlueprint, APIFlask

from api import contents, credentials, errors, problems, schemas
from api.collaborators import EXTENSION, Collaborators

Spec = dict[str, Any]

KEY = {"type": "http", "scheme": "bearer", "description": "A platform's API key, as `unmask key create` shows it."}
TAGS = [
    {"name": "Submissions", "description": "Send media, read verdicts, erase."},
    {"name": "Webhooks", "description": "Be told, instead of asking."},
    {"name": "Sources", "description": "Where Mastodon, Discourse, a bucket or your own service tell of new media."},
    {"name": "Operation", "description": "For whoever runs the service."},
]
DESCRIPTION = (
    "Unmask judges images: is this a deepfake? Send one with `POST /v1/submissions`, then wait for its verdict, or be "
    "told by a signed webhook. A score is a calibrated probability that the media is fake, from 0 to 1."
)
EVERYWHERE = ("bad-credentials", "scope-missing", "too-many-requests", "internal-error", "world-down")
HOOK = "/v1/hooks/{source_id}"
HOOK_PROBLEMS = (
    "bad-event",
    "too-slow",
    "bad-signature",
    "not-found",
    "source-disabled",
    "too-large",
    "too-many-requests",
    "internal-error",
    "line-too-long",
    "not-ready",
    "world-down",
)
PUT = "/v1/uploads/{upload_id}"  # its address is signed: it needs no key
PUT_PROBLEMS = (
    "bad-request",
    "too-slow",
    "bad-upload-url",
    "not-found",
    "too-large",
    "invalid-request",
    "internal-error",
    "world-down",
)
ID = {"type": "string", "pattern": "^[a-z]+_[0-9a-z]{26}$"}
BY_OPERATION = {
    ("/v1/submissions", "post"): (
        "too-large",
        "unsupported-media-type",
        "empty-file",
        "torn-file",
        "too-many-pixels",
        "too-many-frames",
        "too-complex",
        "too-many-tracks",
        "too-much-metadata",
        "too-long",
        "forbidden-address",
        "callback-not-allowed",
        "upload-missing",
        "not-found",
        "idempotency-key-reused",
    ),
    ("/v1/submissions/batch", "post"): ("too-large", "unsupported-media-type"),
    ("/v1/submissions/{submission_id}/appeal", "post"): (
        "too-large",
        "unsupported-media-type",
        "not-appealable",
        "too-many-appeals",
    ),
    ("/v1/uploads", "post"): ("too-large", "unsupported-media-type"),
    ("/v1/webhook-endpoints", "post"): ("too-large", "unsupported-media-type", "forbidden-address"),
    ("/v1/webhook-endpoints/{endpoint_id}", "patch"): ("too-large", "unsupported-media-type", "forbidden-address"),
    ("/v1/webhook-endpoints/{endpoint_id}/test", "post"): ("too-large", "endpoint-disabled"),
    ("/v1/webhook-endpoints/{endpoint_id}/rotate", "post"): ("too-large", "unsupported-media-type"),
    ("/v1/deliveries/{delivery_id}/replay", "post"): ("too-large", "still-waiting", "endpoint-disabled"),
}


def register(app: APIFlask) -> None:
    """Describes ``app``'s API, once all of its blueprints are in place."""
    app.security_schemes = {"ApiKey": KEY}
    app.description = DESCRIPTION
    app.license = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
    app.config.update(
        AUTO_404_RESPONSE=False, AUTO_VALIDATION_ERROR_RESPONSE=False, AUTO_SERVERS=False, AUTO_OPERATION_ID=True
    )
    app.spec_processor(lambda spec: _bounded(complete(spec, _scopes(app)), app))
    for blueprint in app.blueprints.values():
        if not isinstance(blueprint, APIBlueprint):  # APIFlask asks every blueprint with hooks if it takes part
            vars(blueprint).setdefault("enable_openapi", False)


def _bounded(spec: Spec, app: APIFlask) -> Spec:
    """Adds the bounds that this installation's operator set."""
    given: Collaborators = app.extensions[EXTENSION]
    spec["components"]["schemas"]["UploadForm"]["properties"]["bytes"]["maximum"] = given.settings.max_bytes
    return spec


def _scopes(app: APIFlask) -> dict[tuple[str, str], str]:
    """Returns the scope that each call under /v1 needs of its key, by path and method as OpenAPI spells them."""
    return {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower()): scope
        for rule in app.url_map.iter_rules()
        if (scope := credentials.scope_of(app, rule.endpoint))
        for method in rule.methods or ()
    }


def complete(spec: Spec | str, scopes: Mapping[tuple[str, str], str]) -> Spec:
    """Returns ``spec`` with the bodies, and the key and the problems of every call that ``scopes`` names."""
    assert isinstance(spec, dict)  # a str only where YAML is asked for
    spec = _short_names(spec)
    spec["tags"] = TAGS
    spec["components"]["schemas"]["Problem"] = schemas.Problem.model_json_schema()
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            for parameter in operation["parameters"]:
                parameter["schema"] = ID if parameter["in"] == "path" else contents.present(parameter["schema"])
            operation.get("requestBody", {})["required"] = True
            if (path, method) in scopes:
                operation["security"] = [{"ApiKey": [scopes[path, method]]}]
                _add_problems(path, method, operation)
            elif path == PUT:
                _describe(operation, PUT_PROBLEMS)
            elif path == HOOK:
                operation["requestBody"] = {"required": True, "content": {"*/*": {"schema": {}}}}
                _describe(operation, HOOK_PROBLEMS)
    spec["components"]["schemas"] |= contents.models()
    for (path, method), body in contents.bodies().items():
        spec["paths"][path][method]["requestBody"] = body
    return spec


def _short_names(spec: Spec) -> Spec:
    """Returns ``spec`` with each model once: APIFlask repeats nested ones as `Parent.Child`."""
    text = re.sub(r"(#/components/schemas/)\w+\.(\w+)", r"\1\2", json.dumps(spec))
    short: Spec = json.loads(text)
    models = short["components"]["schemas"]
    short["components"]["schemas"] = {name.rpartition(".")[2]: model for name, model in models.items()}
    return short


def _add_problems(path: str, method: str, operation: Spec) -> None:
    slugs = list(EVERYWHERE)
    if method in ("post", "patch") or any(parameter["in"] == "query" for parameter in operation["parameters"]):
        slugs.append("invalid-request")
    if method in ("post", "patch"):
        slugs += ("bad-request", "too-slow")
    if operation["security"] == [{"ApiKey": ["submit"]}]:
        slugs.append("line-too-long")
    if "{" in path:
        slugs.append("not-found")
    slugs += BY_OPERATION.get((path, method), ())
    _describe(operation, slugs)


def _describe(operation: Spec, slugs: Iterable[str]) -> None:
    by_status: dict[int, list[problems.Problem]] = {}
    for problem in (problems.CATALOGUE[slug] for slug in slugs):
        by_status.setdefault(problem.status, []).append(problem)
    for status, kinds in sorted(by_status.items()):
        operation["responses"][str(status)] = {
            "description": " · ".join(f"`{problem.slug}` {problem.title}" for problem in kinds),
            "content": {errors.MIMETYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
