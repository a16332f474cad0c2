"""What the API's description says about the records of each entity."""

from __future__ import annotations

from typing import Any

from rules.schema import FieldType
from webapp.access.roles import READ
from webapp.entities import services
from webapp.entities.model import SYSTEM_NAMES, EntityField, Kind
from webapp.entities.permitted import Permit, permit_of
from webapp.extensions import House
from webapp.policies.who import current_who

_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.INTEGER: {"type": "integer"},
    Kind.REFERENCE: {"type": "integer"},
    Kind.DECIMAL: {"type": "string", "format": "decimal"},
    Kind.MONEY: {"type": "string", "format": "decimal"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.DATE: {"type": "string", "format": "date"},
    Kind.DATETIME: {"type": "string", "format": "date-time"},
    Kind.EMAIL: {"type": "string", "format": "email"},
    Kind.URL: {"type": "string", "format": "uri"},
    Kind.JSON: {},
}
_MASKED = {"type": ["string", "null"], "readOnly": True, "description": "Only a part is shown."}
_SYSTEM = {FieldType.INTEGER: {"type": "integer"}, FieldType.DATETIME: {"type": "string", "format": "date-time"}}


def paths(house: House) -> dict[str, Any]:
    """Return the operations on the records of all entities."""
    who = current_who()
    with house.db.read() as tx:
        permits = [permit_of(tx, who, entity) for entity in services.list_entities(tx)]
    return {path: item for permit in permits if permit.may(READ) for path, item in _entity(permit).items()}


def record_schema(permit: Permit) -> dict[str, Any]:
    """Return the JSON schema of a record as the API answers the one who asks."""
    properties = {**_fields(permit, written=False), **_system(permit)}
    return {"type": "object", "properties": properties}


def write_schema(permit: Permit, *, creating: bool) -> dict[str, Any]:
    """Return the JSON schema of a record as the API takes it from the one who asks."""
    needed = [f.name for f in permit.writable if f.required and f.default is None]
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": _fields(permit, written=True),
    }
    return {**schema, "required": needed} if creating and needed else schema


def _fields(permit: Permit, *, written: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in permit.writable if written else permit.fields:
        if not permit.plain(field.name):
            found[field.name] = _MASKED
            continue
        found[field.name] = _field(field, written=written)
        if not written and field not in permit.writable:
            found[field.name] = {**found[field.name], "readOnly": True}
        if field.kind is Kind.MONEY and not (written and field.currency):
            found[field.currency_name] = {"type": ["string", "null"], "pattern": "^[A-Z]{3}$"}
    return found


def _field(field: EntityField, *, written: bool) -> dict[str, Any]:
    schema = dict(_TYPES.get(field.kind, {"type": "string"}))
    if field.kind is Kind.CHOICE:
        schema["enum"] = [*field.values, *([] if field.required else [None])]
    if field.kind is Kind.MULTI_CHOICE:
        schema = {"type": "array", "items": {"enum": list(field.values)}}
    if written and field.kind in (Kind.DECIMAL, Kind.MONEY):
        schema = {"type": ["string", "number"]}
    kinds = schema.get("type")
    if kinds and not field.required:
        schema["type"] = [*([kinds] if isinstance(kinds, str) else kinds), "null"]
    if field.max_length and field.type is FieldType.TEXT:
        schema["maxLength"] = field.max_length
    if field.label.en:
        schema["description"] = field.label.en
    return {**schema, "readOnly": True} if field.computed else schema


def _system(permit: Permit) -> dict[str, Any]:
    kinds = {name: permit.entity.schema[name].type for name in SYSTEM_NAMES if name in permit.columns}
    plain = {name: {**_SYSTEM.get(kind, {"type": "string"}), "readOnly": True} for name, kind in kinds.items()}
    return {name: schema if permit.plain(name) else _MASKED for name, schema in plain.items()}


def _entity(permit: Permit) -> dict[str, Any]:
    entity = permit.entity
    base = f"/api/v1/entities/{entity.name}/records"
    record = record_schema(permit)
    page = {
        "type": "object",
        "properties": {"items": {"type": "array", "items": record}, "next": {"type": ["string", "null"]}},
    }
    name = entity.label.en or entity.name
    return {
        base: {
            "get": _operation(f"List records: {name}", "read", answer=page),
            "post": _operation(
                f"Create a record: {name}",
                "create",
                body=write_schema(permit, creating=True),
                answer=record,
                status="201",
            ),
        },
        f"{base}/{{record_id}}": {
            "get": _one(_operation(f"Read a record: {name}", "read", answer=record)),
            "patch": _one(
                _operation(
                    f"Change a record: {name}", "update", body=write_schema(permit, creating=False), answer=record
                )
            ),
            "delete": _one(_operation(f"Delete a record: {name}", "delete", status="204")),
        },
    }


def _operation(
    summary: str, action: str, *, body: Any = None, answer: Any = None, status: str = "200"
) -> dict[str, Any]:
    described: dict[str, Any] = {"description": summary}
    if answer is not None:
        described["content"] = {"application/json": {"schema": answer}}
    problem = {"$ref": "#/components/schemas/Problem"}
    refused = {"description": "Refused", "content": {"application/problem+json": {"schema": problem}}}
    operation = {"summary": summary, "tags": ["records"], "description": f"Needs the scope `records:{action}`."}
    made: dict[str, Any] = {**operation, "responses": {status: described, "default": refused}}
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return made


def _one(operation: dict[str, Any]) -> dict[str, Any]:
    return {
        **operation,
        "parameters": [{"name": "record_id", "in": "path", "required": True, "schema": {"type": "integer"}}],
    }
