"""`kind: role` documents: what a configuration file says of a role of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from webapp.access import hooks, roles
from webapp.access.role_editing import KIND, Role, delete_role_in, list_roles, save_role_in, to_document
from webapp.extensions import Actor


def document_schema() -> dict[str, Any]:
    """Return the JSON Schema of role documents."""
    permissions = {
        room: {"type": "array", "items": {"enum": list(actions)}, "uniqueItems": True, "minItems": 1}
        for room, actions in roles.PERMISSIONS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:syncline:schema:role",
        "title": "Role",
        "description": "A role of one's own; the built-in ones cannot be changed.",
        "type": "object",
        "required": ["kind", "name", "permissions"],
        "additionalProperties": False,
        "properties": {
            "kind": {"const": KIND, "description": "What the document describes."},
            "name": {"type": "string", "minLength": 2, "maxLength": 64, "description": "What people call the role."},
            "description": {"type": "string", "maxLength": 500, "description": "What the role is for."},
            "permissions": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": False,
                "properties": permissions,
                "description": "For each area what its holders may do there.",
            },
            **{part.key: part.schema() for part in hooks.role_parts},
        },
    }


def names(tx: sa.Connection) -> list[str]:
    """Return the names of the roles that are not built in."""
    return [role.name for role in list_roles(tx) if not role.built_in]


def read(tx: sa.Connection, name: str) -> dict[str, Any] | None:
    """Return the document of a role, None if there is none of that name."""
    role = _find(tx, name)
    return None if role is None else {**to_document(role), **hooks.parts_of(tx, role.id)}


def save(tx: sa.Connection, document: Mapping[str, Any], actor: Actor, at: datetime, called: str | None = None) -> None:
    """Bring a role, `called` so until now, to what the document states; raises `Refused`."""
    old = _find(tx, called or str(document["name"]))
    grants = frozenset((room, action) for room, actions in document["permissions"].items() for action in actions)
    wanted = Role(old.id if old else None, document["name"], document.get("description", ""), grants=grants)
    parts = {part.key: document.get(part.key, {}) for part in hooks.role_parts}
    save_role_in(tx, wanted, actor, at, parts)


def remove(tx: sa.Connection, name: str, actor: Actor, at: datetime) -> None:
    """Delete a role; raises `Refused` while users hold it."""
    role = _find(tx, name)
    if role is not None and role.id is not None:
        delete_role_in(tx, role.id, actor, at)


def _find(tx: sa.Connection, name: str) -> Role | None:
    return next((role for role in list_roles(tx) if role.name == name), None)
