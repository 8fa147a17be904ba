"""JSON into frozen dataclasses: strict about what it needs, indifferent to what it does not know.

A newer server may send more fields and more words: neither breaks an older client. What is missing or of another type
than the dataclass says is refused, since a program that went on would only fail later.
"""

import dataclasses
import json
import types
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from unmask_client.errors import BadAnswer

T = TypeVar("T")
WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


def document(kind: type[T], body: bytes) -> T:
    """Returns the dataclass ``kind`` that a JSON body holds.

    Raises:
        BadAnswer: when the body is no JSON, or not that.
    """
    return read(kind, parsed(body))


def parsed(body: bytes) -> Any:
    """Returns what a JSON body says.

    Raises:
        BadAnswer: when it is no JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadAnswer("the answer is no JSON; is this the address of an Unmask server?") from error


def read(kind: type[T], value: object, name: str = "the answer") -> T:
    """Returns ``value`` as the dataclass ``kind``; ``name`` is what a complaint calls it.

    Raises:
        BadAnswer: when it is not.
    """
    return cast("T", _value(kind, value, name))


def _value(kind: Any, value: object, name: str) -> object:  # noqa: PLR0911 - one line a kind of type
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(cast("type", kind), value, name)
    if origin in (types.UnionType, Union):
        return None if value is None else _value(get_args(kind)[0], value, name)
    if origin is tuple:
        return _items(get_args(kind), value, name)
    if origin is Literal:
        return _checked(str, value, name)
    if kind is datetime:
        return _time(value, name)
    if kind is Any:
        return value
    return _checked(origin or kind, value, name)


def _dataclass(kind: type, value: object, name: str) -> object:
    if not isinstance(value, dict):
        raise BadAnswer(f"{name} is no JSON object")
    found = {}
    for field, hint, required in _fields(kind):
        if field in value:
            found[field] = _value(hint, value[field], f"{name}.{field}")
        elif required:
            raise BadAnswer(f"{name} has no field {field}")
    return kind(**found)


@cache
def _fields(kind: type) -> list[tuple[str, Any, bool]]:
    """Returns each field's name, type, and whether it has to be there."""
    hints = get_type_hints(kind)
    missing = dataclasses.MISSING
    return [
        (field.name, hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(kind)
        if field.init
    ]


def _items(kinds: tuple[Any, ...], value: object, name: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise BadAnswer(f"{name} is no list")
    if kinds[-1] is Ellipsis:
        return tuple(_value(kinds[0], item, f"{name}[{place}]") for place, item in enumerate(value))
    if len(value) != len(kinds):
        raise BadAnswer(f"{name} has {len(value)} items where {len(kinds)} were promised")
    pairs = zip(kinds, value, strict=True)
    return tuple(_value(kind, item, f"{name}[{place}]") for place, (kind, item) in enumerate(pairs))


def _time(value: object, name: str) -> datetime:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BadAnswer(f"{name} is no time") from error


def _checked(kind: Any, value: object, name: str) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    wanted = dict if kind is Mapping or kind.__name__ == "Mapping" else kind
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise BadAnswer(f"{name} is not {WORDS.get(wanted, 'a JSON object')}")
    return value
