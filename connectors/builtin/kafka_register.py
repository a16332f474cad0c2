"""Schemas of Avro that a connection registers for the topics it describes: the first, and new fields.

What is registered only ever adds: the fields that a schema has stay as its owner made them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from connectors.builtin.queue_options import FieldDescription, QueueObject
from connectors.errors import Misconfigured
from rules.schema import FieldType
from rules.text import msg

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGITS = 38
_TYPES: Mapping[FieldType, Any] = {
    FieldType.TEXT: "string",
    FieldType.INTEGER: "long",
    FieldType.FLOAT: "double",
    FieldType.BOOLEAN: "boolean",
    FieldType.BINARY: "bytes",
    FieldType.DATE: {"type": "int", "logicalType": "date"},
    FieldType.TIME: {"type": "long", "logicalType": "time-micros"},
    FieldType.DATETIME: {"type": "long", "logicalType": "timestamp-micros"},
    FieldType.LOCAL_DATETIME: {"type": "long", "logicalType": "local-timestamp-micros"},
}


def grown(described: QueueObject, latest: str | None) -> str | None:
    """Return the schema that a topic needs for its described fields, None where its latest one has them all.

    Args:
        described: The topic with its fields.
        latest: The text of the latest schema, None where there is none.

    Raises:
        Misconfigured: A field has no name or type that Avro has, or there are no fields to begin with.
    """
    schema = _first(described) if latest is None else json.loads(latest)
    if not isinstance(schema, dict) or schema.get("type") != "record":
        return None
    known = {field["name"] for field in schema["fields"]}
    added = [_field(described.name, field) for field in described.fields if field.name not in known]
    return json.dumps({**schema, "fields": [*schema["fields"], *added]}) if added else None


def _first(described: QueueObject) -> dict[str, Any]:
    if not described.fields:
        raise Misconfigured(
            msg("The schema registry has no schema for '{topic}'.", topic=described.name),
            msg("Describe the fields of the topic in the connection's settings, so that one can be registered."),
            object_name=described.name,
        )
    name = re.sub(r"\W", "_", described.name, flags=re.ASCII)
    return {"type": "record", "name": name if _NAME.match(name) else f"_{name}", "fields": []}


def _field(topic: str, field: FieldDescription) -> dict[str, Any]:
    if not _NAME.fullmatch(field.name):
        raise Misconfigured(
            msg("Avro has no field with the name '{field}'.", field=field.name),
            msg("Name fields with letters A to Z, digits and _, or register the schema of the topic yourself."),
            object_name=topic,
        )
    kind = _kind(topic, field)
    if field.required:
        return {"name": field.name, "type": kind}
    return {"name": field.name, "type": ["null", kind], "default": None}


def _kind(topic: str, field: FieldDescription) -> Any:
    if field.type is FieldType.DECIMAL and field.scale is not None:
        return {"type": "bytes", "logicalType": "decimal", "precision": _DIGITS, "scale": field.scale}
    if field.type in _TYPES:
        return _TYPES[field.type]
    raise Misconfigured(
        msg("The type of field '{field}' does not say how Avro shall hold it.", field=field.name),
        msg("Give a decimal number its 'scale'; register the schema of a topic with nested values yourself."),
        object_name=topic,
    )
