"""The contract, /openapi.json: what APIFlask reads off the views, completed with what it cannot see.

That is the multipart body (read by `api.uploads`, not by APIFlask), the API key, and the problems each call may answer.
"""

from typing import Any

from apiflask import APIFlask

from api import errors, schemas

Spec = dict[str, Any]

SECURITY = {"ApiKey": {"type": "http", "scheme": "bearer", "description": "A platform's API key, as `unmask key create` shows it."}}
TAGS = [
    {"name": "Submissions", "description": "Send media, read verdicts, erase."},
    {"name": "Webhooks", "description": "Be told, instead of asking."},
    {"name": "Operation", "description": "For whoever runs the service."},
]
DESCRIPTION = (
    "Unmask judges images: is this a deepfake? Send one with `POST /v1/submissions`, then wait for its verdict, or be told "
    "by a signed webhook. A score is a calibrated probability that the media is fake, from 0 to 1."
)
FORMATS = "JPEG, PNG, WebP, GIF, HEIC, AVIF, TIFF or BMP"
EVERYWHERE = ("bad-credentials", "internal-error", "world-down")
WITH_INPUT = ("bad-request", "invalid-request")
BY_OPERATION = {
    ("/v1/submissions", "post"): ("too-large", "unsupported-media-type", "empty-file", "torn-file", "too-many-pixels",
                                  "too-many-frames", "forbidden-address", "idempotency-key-reused"),
    ("/v1/webhook-endpoints", "post"): ("too-large", "unsupported-media-type", "forbidden-address"),
}


def register(app: APIFlask) -> None:
    """Describes the whole of ``app``'s API."""
    app.security_schemes = SECURITY
    app.tags = TAGS
    app.description = DESCRIPTION
    app.license = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
    app.config.update(AUTO_404_RESPONSE=False, AUTO_VALIDATION_ERROR_RESPONSE=False, AUTO_SERVERS=False)
    app.spec_processor(complete)


def complete(spec: Spec | str) -> Spec:
    """Returns ``spec`` with the multipart body, the security and the problems of every call under /v1."""
    assert isinstance(spec, dict)  # a str only where YAML is asked for
    components = spec.setdefault("components", {}).setdefault("schemas", {})
    components["Problem"] = schemas.Problem.model_json_schema()
    for path, operations in spec["paths"].items():
        if path.startswith("/v1/"):
            for method, operation in operations.items():
                operation["security"] = [{"ApiKey": []}]
                _add_problems(path, method, operation)
    spec["paths"]["/v1/submissions"]["post"]["requestBody"] = _multipart()
    return spec


def _multipart() -> Spec:
    form = schemas.SubmissionForm.model_json_schema()
    file = {"type": "string", "format": "binary", "description": f"the image itself: {FORMATS}"}
    form["properties"] = {"file": file, **form["properties"]}
    form["required"] = ["file"]
    return {"required": True, "content": {"multipart/form-data": {"schema": form}}}


def _add_problems(path: str, method: str, operation: Spec) -> None:
    slugs = list(EVERYWHERE)
    if operation.get("parameters") or operation.get("requestBody") or method == "post":
        slugs += WITH_INPUT
    if "{" in path:
        slugs.append("not-found")
    slugs += BY_OPERATION.get((path, method), ())
    by_status: dict[int, list[errors.Problem]] = {}
    for problem in (errors.CATALOGUE[slug] for slug in slugs):
        by_status.setdefault(problem.status, []).append(problem)
    for status, problems in sorted(by_status.items()):
        operation["responses"][str(status)] = {
            "description": " · ".join(f"`{problem.slug}` {problem.title}" for problem in problems),
            "content": {errors.MIMETYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
