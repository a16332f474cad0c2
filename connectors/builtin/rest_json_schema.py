"""The fields of an object by a JSON Schema of one record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules.schema import FREE_SCALE, Field, FieldType

_KINDS = {
    "integer": FieldType.INTEGER,
    "number": FieldType.DECIMAL,
    "boolean": FieldType.BOOLEAN,
    "object": FieldType.JSON,
    "array": FieldType.JSON,
}
_FORMATS = {
    "date": FieldType.DATE,
    "date-time": FieldType.DATETIME,
    "time": FieldType.TIME,
    "byte": FieldType.BINARY,
}
_DEEPEST = 20
Document = Mapping[str, Any]


def fields_of(schema: Document) -> tuple[Field, ...]:
    """Return the fields of the object that a JSON Schema describes; what it says no type of is text.

    A list is taken for its items; references within the document (`#/$defs/...`) and `allOf` are followed.
    """
    record = _whole(schema, schema)
    if record.get("type") == "array":
        record = _whole(record.get("items") or {}, schema)
    properties = record.get("properties")
    if not isinstance(properties, Mapping):
        return ()
    required = record.get("required") or ()
    return tuple(_field(name, _whole(part, schema), name in required) for name, part in properties.items())


def _field(name: str, part: Document, required: bool) -> Field:
    kind = _kind(part)
    decimal = kind is FieldType.DECIMAL
    length = part.get("maxLength") if kind is FieldType.TEXT else None
    return Field(
        name, kind, nullable=not required or _nullable(part), length=length if isinstance(length, int) else None,
        precision=38 if decimal else None, scale=FREE_SCALE if decimal else None,
        generated=part.get("readOnly") is True, label=str(part.get("title") or ""),
    )  # fmt: skip


def _kind(part: Document) -> FieldType:
    names = [name for name in _types(part) if name != "null"]
    if names == ["string"] or not names:
        return _FORMATS.get(str(part.get("format")), FieldType.TEXT)
    if names == ["number"] and part.get("format") in ("float", "double"):
        return FieldType.FLOAT
    if len(names) == 1:
        return _KINDS.get(names[0], FieldType.TEXT)
    return FieldType.JSON if {"object", "array"} & set(names) else FieldType.TEXT


def _types(part: Document) -> list[str]:
    given = part.get("type")
    return [given] if isinstance(given, str) else [str(name) for name in given or ()]


def _nullable(part: Document) -> bool:
    return part.get("nullable") is True or "null" in _types(part)


def _whole(part: Any, document: Document, depth: int = 0) -> dict[str, Any]:
    """Return a part with its reference followed and all that it is made of put together."""
    if not isinstance(part, Mapping) or depth > _DEEPEST:
        return {}
    found: dict[str, Any] = {}
    if isinstance(part.get("$ref"), str):
        found = _whole(_target(part["$ref"], document), document, depth + 1)
    for piece in part.get("allOf") or ():
        found = _joined(found, _whole(piece, document, depth + 1))
    choices = [p for p in (*(part.get("anyOf") or ()), *(part.get("oneOf") or ())) if p != {"type": "null"}]
    if len(choices) == 1:
        found = _joined(found, {**_whole(choices[0], document, depth + 1), "nullable": True})
    return _joined(found, {name: value for name, value in part.items() if name not in ("$ref", "allOf")})


def _joined(left: Document, right: Document) -> dict[str, Any]:
    both = {**left, **right}
    if "properties" in left and "properties" in right:
        both["properties"] = {**left["properties"], **right["properties"]}
    if "required" in left and "required" in right:
        both["required"] = [*left["required"], *right["required"]]
    return both


def _target(reference: str, document: Document) -> Any:
    found: Any = document
    for part in reference.removeprefix("#").strip("/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
