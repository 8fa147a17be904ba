"""JSON bodies, read whole under a cap: one that is longer is refused before it is buffered."""

import json
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from api.errors import InvalidRequest

Model = TypeVar("Model", bound=BaseModel)


def read(most: int) -> Any:
    """Returns the value that the present request's JSON body spells.

    Raises:
        UnsupportedMediaType: when the body is not JSON by its content type.
        RequestEntityTooLarge: when it has more than ``most`` bytes, by its Content-Length or as it arrives.
        BadRequest: when it cannot be parsed.
    """
    if not request.is_json:
        raise UnsupportedMediaType("Send application/json.")
    request.max_content_length = most + 1  # werkzeug reads a body without a length this far, and no further
    body = request.get_data(cache=False)
    if len(body) > most:
        raise RequestEntityTooLarge
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON.") from None


def validated(model: type[Model], sent: object) -> Model:
    """Returns ``sent`` as a ``model``.

    Raises:
        InvalidRequest: naming each field that is not acceptable, and why.
    """
    if not isinstance(sent, dict):
        raise InvalidRequest({"body": ["must be a JSON object"]})
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        faults: dict[str, list[str]] = {}
        for fault in error.errors():
            faults.setdefault(str(fault["loc"][0])[:64] if fault["loc"] else "body", []).append(fault["msg"])
        raise InvalidRequest(faults) from None
