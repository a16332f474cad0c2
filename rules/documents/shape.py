"""How the dataclasses of a document say what their keys mean; JSON Schema and the reference are made from it."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from enum import StrEnum
from typing import Any

_METADATA = "document"
NAME = r"^[a-z][a-z0-9_]{0,62}$"
SIDES = ["left", "right"]
REQUIRED: Any = MISSING


def entry(doc: str, default: Any = REQUIRED, **schema: Any) -> Any:
    """Declare a key of a document: what it means, its default, and JSON Schema keywords that bound its value."""
    return field(default=default, metadata={_METADATA: (doc, schema)})


def doc_of(item: Field[Any]) -> str:
    """Return what a key means."""
    return str(item.metadata[_METADATA][0])


def required(item: Field[Any]) -> bool:
    """Tell whether a key has no default."""
    return item.default is MISSING


_hints = functools.cache(typing.get_type_hints)


def hints(cls: type) -> dict[str, Any]:
    """Return key -> type of a document dataclass."""
    return _hints(cls)


def json_schema(cls: type, **extra: Any) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a document dataclass; `extra` properties come first."""
    types_ = hints(cls)
    properties = {**extra, **{f.name: _key_schema(f, types_[f.name]) for f in fields(cls)}}
    needed = [*extra, *(f.name for f in fields(cls) if required(f))]
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    if needed:
        schema["required"] = needed
    return schema


def _key_schema(item: Field[Any], hint: Any) -> dict[str, Any]:
    doc, bounds = item.metadata[_METADATA]
    schema = {**_type_schema(hint), **bounds, "description": doc}
    if item.default is not MISSING and item.default is not None and not is_dataclass(item.default):
        schema["default"] = list(item.default) if isinstance(item.default, tuple) else item.default
    return schema


_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _type_schema(hint: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return {"type": "array", "items": _type_schema(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _type_schema(arguments[1])}
    if isinstance(hint, types.UnionType):
        return _union_schema([a for a in arguments if a is not type(None)])
    return {} if hint is Any else _class_schema(hint)


def _class_schema(cls: type) -> dict[str, Any]:
    if is_dataclass(cls):
        return json_schema(cls)
    if issubclass(cls, StrEnum):
        return {"enum": [member.value for member in cls]}
    return {"type": _PLAIN[cls]}


def _union_schema(options: list[Any]) -> dict[str, Any]:
    if len(options) == 1:
        return _type_schema(options[0])
    return {"type": [_PLAIN[option] for option in options]}


def inner(hint: Any) -> Any:
    """Return what a hint is about: the class in `X | None` or `tuple[X, ...]`, else the hint itself."""
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0]
    if isinstance(hint, types.UnionType):
        return next(option for option in typing.get_args(hint) if option is not type(None))
    return hint
