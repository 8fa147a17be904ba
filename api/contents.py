"""The bodies of those calls whose views read them by themselves, as OpenAPI describes them."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import schemas
from api.schemas import values

Spec = dict[str, Any]

FORMATS = "JPEG, PNG, WebP, GIF, HEIC, AVIF, TIFF, BMP, MP4, MOV or WebM"
MODELS: tuple[type[BaseModel], ...] = (
    schemas.ByUrl,
    schemas.ByUpload,
    schemas.BatchUrl,
    schemas.BatchUpload,
    schemas.UploadForm,
    schemas.AppealForm,
)


_VALUE: Spec = {"$ref": "#/components/schemas/ContextValue"}
_OBJECT: Spec = {"type": "object", "propertyNames": {"pattern": values.NO_NUL}, "additionalProperties": _VALUE}
_CONTEXT_VALUE: Spec = {
    "title": "ContextValue",
    "description": "What a context may hold, at most 32 levels deep: any JSON without NUL and lone surrogates.",
    "anyOf": [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "number"},
        {"type": "string", "pattern": values.NO_NUL},
        {"type": "array", "items": _VALUE},
        _OBJECT,
    ],
}


def models() -> Spec:
    """Returns the schemas that the bodies refer to, by name."""
    _, spec = models_json_schema(
        [(model, "validation") for model in MODELS], ref_template="#/components/schemas/{model}"
    )
    found: Spec = spec["$defs"]
    for model in found.values():
        _describe_context(model)
    return found | {"ContextValue": _CONTEXT_VALUE}


def _describe_context(model: Spec) -> None:
    """Says of a submission's context what its texts must not hold, however deep they are."""
    if "context" in model["properties"]:
        model["properties"]["context"] |= _OBJECT


def bodies() -> dict[tuple[str, str], Spec]:
    """Returns the body of each call, by path and method."""
    item = _either(schemas.BatchUrl, schemas.BatchUpload)
    batch = {"type": "array", "items": item, "minItems": 1, "maxItems": schemas.MOST_ITEMS}
    content = {
        ("/v1/submissions", "post"): {
            "multipart/form-data": {"schema": _form()},
            "application/json": {"schema": _either(schemas.ByUrl, schemas.ByUpload)},
        },
        ("/v1/submissions/batch", "post"): {"application/json": {"schema": batch}},
        ("/v1/submissions/{submission_id}/appeal", "post"): {
            "application/json": {"schema": _named(schemas.AppealForm)}
        },
        ("/v1/uploads", "post"): {"application/json": {"schema": _named(schemas.UploadForm)}},
        ("/v1/uploads/{upload_id}", "put"): {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
    return {call: {"required": True, "content": described} for call, described in content.items()}


def present(schema: Spec) -> Spec:
    """Returns what a field is when it is sent: neither a query nor a form can spell null."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    return {**options[0], **{key: value for key, value in schema.items() if key not in ("anyOf", "default")}}


def _form() -> Spec:
    form = schemas.SubmissionForm.model_json_schema()
    _describe_context(form)
    file = {"type": "string", "format": "binary", "description": f"the media itself: {FORMATS}"}
    fields = {name: present(field) for name, field in form["properties"].items()}
    return form | {"properties": {"file": file, **fields}, "required": ["file"]}


def _named(model: type[BaseModel]) -> Spec:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _either(*options: type[BaseModel]) -> Spec:
    return {"oneOf": [_named(model) for model in options]}
