"""The contract for people: /docs is /openapi.json as one page, rendered here, without scripts and from our own origin.

Also a page for each problem, since a problem's `type` is an address.
"""

import re
from typing import Any, NamedTuple, cast

from apiflask import APIFlask
from flask import Blueprint, current_app, render_template
from markupsafe import Markup, escape
from werkzeug.exceptions import NotFound

from api import problems

Schema = dict[str, Any]

blueprint = Blueprint("site", __name__)


class Field(NamedTuple):
    """A line of a table: a parameter, or a property of a body. ``refers`` names a schema on the page, or is empty."""

    name: str
    place: str
    required: bool
    kind: str
    refers: str
    description: str


class Operation(NamedTuple):
    """One call, as the page shows it."""

    method: str
    path: str
    anchor: str
    operation: Schema
    fields: list[Field]
    body: str


@blueprint.app_template_filter("marked")
def mark(text: str) -> Markup:
    """Returns ``text`` as HTML, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before it is marked


@blueprint.get("/docs")
def contract() -> str:
    """Shows the contract."""
    spec = cast("Schema", cast("APIFlask", current_app).spec)
    return render_template(
        "site/docs.html", spec=spec, groups=_groups(spec), shapes=_shapes(spec), problems=problems.CATALOGUE.values()
    )


@blueprint.get("/problems/<slug>")
def problem(slug: str) -> str:
    """Explains one kind of problem."""
    found = problems.CATALOGUE.get(slug)
    if found is None:
        raise NotFound("There is no such kind of problem.")
    return render_template("site/problem.html", problem=found, detail=None, request_id=None)


def _groups(spec: Schema) -> list[tuple[Schema, list[Operation]]]:
    calls = [
        _operation(path, method, operation)
        for path, operations in spec["paths"].items()
        for method, operation in operations.items()
    ]
    return [(tag, [call for call in calls if tag["name"] in call.operation.get("tags", ())]) for tag in spec["tags"]]


def _operation(path: str, method: str, operation: Schema) -> Operation:
    fields = [
        Field(
            parameter["name"],
            parameter["in"],
            parameter.get("required", False),
            *_kind(parameter["schema"]),
            parameter["schema"].get("description", ""),
        )
        for parameter in operation.get("parameters", ())
    ]
    bodies: Schema = operation.get("requestBody", {}).get("content", {})
    for media_type, body in bodies.items():
        fields += _body(media_type, body.get("schema", {}))
    anchor = f"{method}-{path.strip('/').replace('/', '-').replace('{', '').replace('}', '')}"
    return Operation(method.upper(), path, anchor, operation, fields, " or ".join(bodies))


def _body(media_type: str, schema: Schema) -> list[Field]:
    """Returns a line for each shape that a body may have, or one for each of its fields where it has no name."""
    many = schema.get("type") == "array"
    one = schema["items"] if many else schema
    if "oneOf" not in one and "$ref" not in one:
        return _properties(schema, "form")
    kind = "list of object" if many else "object"
    return [Field("", media_type, "oneOf" not in one, kind, _kind(option)[1], "") for option in one.get("oneOf", [one])]


def _shapes(spec: Schema) -> dict[str, tuple[Schema, list[Field]]]:
    return {name: (schema, _properties(schema, "")) for name, schema in sorted(spec["components"]["schemas"].items())}


def _properties(schema: Schema, place: str) -> list[Field]:
    required = schema.get("required", ())
    return [
        Field(name, place, name in required, *_kind(value), value.get("description", ""))
        for name, value in schema.get("properties", {}).items()
    ]


def _kind(schema: Schema) -> tuple[str, str]:
    """Returns a schema in a few words, and the name of the schema it refers to, if it does."""
    if "$ref" in schema:
        return "object", str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        kinds = [_kind(option) for option in schema["anyOf"]]
        return " or ".join(kind for kind, _ in kinds), next((name for _, name in kinds if name), "")
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"])), ""
    if schema.get("type") == "array":
        kind, name = _kind(schema.get("items", {}))
        return f"list of {kind}", name
    words = [str(schema.get("type", "anything")), str(schema.get("format", ""))]
    words += [f"{sign} {schema[key]}" for key, sign in BOUNDS.items() if key in schema]
    return " ".join(filter(None, words)), ""


BOUNDS = {"minimum": "≥", "maximum": "≤", "maxLength": "length ≤"}
