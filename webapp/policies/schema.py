"""The JSON Schema of policies, as they stand in documents of roles."""

from __future__ import annotations

from typing import Any

from webapp.policies.levels import LEVELS, PERSONAL
from webapp.policies.objects import ACTIONS


def policy_schema() -> dict[str, Any]:
    """Return the schema of what a role permits to do with records."""
    actions = {"type": "array", "items": {"enum": list(ACTIONS)}, "uniqueItems": True}
    level = {"enum": list(LEVELS)}
    condition = {"type": "string", "maxLength": 4000}
    line = {
        "type": "object",
        "required": ["on"],
        "additionalProperties": False,
        "properties": {
            "on": {
                "type": "string",
                "description": "Which: entity/customer, connection/crm/contacts, entity/*, connection/crm/*, *.",
            },
            "allow": {**actions, "description": "What is allowed; without it what the permissions of areas allow."},
            "deny": {**actions, "description": "What is denied, whatever other roles allow."},
            "rows": {**condition, "description": "Only records for which this condition is true."},
            "deny_rows": {**condition, "description": "Never records for which this condition is true."},
            "fields": {
                "type": "object",
                "additionalProperties": level,
                "description": "What is seen of fields, by their names.",
            },
            "other_fields": {**level, "description": "What is seen of all other fields."},
        },
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "description": "What its holders may see and do with records.",
        "properties": {
            "data": {"type": "array", "items": line, "description": "A line for some records; the narrowest counts."},
            "personal": {
                "enum": list(PERSONAL),
                "description": "What is seen of personal fields that no line names.",
            },
        },
    }
