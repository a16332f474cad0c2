"""The JSON Schema of `kind: entity` documents.

`python -m webapp.entities.document_schema docs/schemas/entity.json` writes the published copy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rules.documents.shape import json_schema
from rules.documents.validation import Validation
from webapp.entities.model import MAX_TEXT, Kind

ENTITY_NAME = r"^[a-z][a-z0-9_]{0,39}$"
FIELD_NAME = r"^[a-z][a-z0-9_]{0,49}$"
CHOICE_VALUE = r"^[^\s\"\\,](?:[^\"\\,\n\r\t]*[^\s\"\\,])?$"
MAX_FIELDS = 200
MAX_VALIDATIONS = 100


def _text(doc: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": doc, **more}


def _flag(doc: str) -> dict[str, Any]:
    return {"type": "boolean", "default": False, "description": doc}


def _label(doc: str) -> dict[str, Any]:
    both = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"en": _text("In English.", maxLength=1000), "zh": _text("In Chinese.", maxLength=1000)},
    }
    return {"description": doc, "anyOf": [{"type": "string", "maxLength": 1000}, both]}


def _choices() -> dict[str, Any]:
    value = _text("What is stored.", pattern=CHOICE_VALUE, maxLength=100)
    choice = {
        "type": "object",
        "additionalProperties": False,
        "required": ["value"],
        "properties": {"value": value, "label": _label("What people read.")},
    }
    return {
        "type": "array",
        "minItems": 1,
        "maxItems": 500,
        "items": choice,
        "description": "The values of a choice field, in order.",
    }


def _validation() -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["expression"],
        "description": "A condition that every record has to meet.",
        "properties": {
            "expression": _text("A condition (CEL) over the fields of the record.", minLength=1),
            "message": _label("What to tell a person whose record breaks it."),
        },
    }


def _field() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "name": _text("Name in expressions, files and the API.", pattern=FIELD_NAME),
        "type": {"enum": [kind.value for kind in Kind], "description": "What kind of value the field holds."},
        "label": _label("What people read instead of the name."),
        "help": _label("A sentence below the field in forms."),
        "required": _flag("Every record has a value."),
        "unique": _flag("No two records have the same value."),
        "indexed": _flag("Lists can be sorted by it, and filters on it are fast."),
        "searchable": _flag("The search box of the list looks into it."),
        "personal": _flag("It is about a person; exports and audit treat it with care."),
        "encrypted": _flag("Its values are encrypted in the database; lists cannot be sorted or searched by it."),
        "exact": _flag("An encrypted field can be found by its exact value; equal values look alike in the database."),
        "default": {
            "description": "Value of new records that state none; `today` for a date, `now` for a date and time."
        },
        "validation": _validation(),
        "computed": _text("An expression (CEL) that gives the value; the field is then read only."),
        "length": {"type": "integer", "minimum": 1, "maximum": MAX_TEXT, "description": "Longest text, in characters."},
        "precision": {
            "type": "integer",
            "minimum": 1,
            "maximum": 38,
            "default": 18,
            "description": "Digits of a decimal number or money.",
        },
        "scale": {
            "type": "integer",
            "minimum": 0,
            "maximum": 18,
            "default": 2,
            "description": "Digits behind the decimal point.",
        },
        "currency": _text(
            "Currency of all records, such as CNY; left out: each record has its own.", pattern="^[A-Z]{3}$"
        ),
        "choices": _choices(),
        "entity": _text("The entity that a reference points to.", pattern=ENTITY_NAME),
        "on_delete": {
            "enum": ["restrict", "clear"],
            "default": "restrict",
            "description": "When the record pointed to is to be deleted: refuse, or empty the reference.",
        },
        "was": _text("Former name of a renamed field, so that its values are kept.", pattern=FIELD_NAME),
    }
    return {"type": "object", "additionalProperties": False, "required": ["name", "type"], "properties": properties}


def document_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an entity document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Entity",
        "description": "A record type that is kept in Syncline, with its fields.",
        "type": "object",
        "additionalProperties": False,
        "required": ["kind", "name", "fields"],
        "properties": {
            "kind": {"const": "entity"},
            "name": _text("Name in rules, files and the API.", pattern=ENTITY_NAME),
            "label": _label("What people read instead of the name."),
            "help": _label("A sentence about what the entity is for."),
            "title": _text("The field that names a record; left out: the first text field.", pattern=FIELD_NAME),
            "fields": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_FIELDS,
                "items": _field(),
                "description": "The fields, in order.",
            },
            "validations": {
                "type": "array",
                "maxItems": MAX_VALIDATIONS,
                "items": json_schema(Validation),
                "description": "What records have to meet beyond what their fields say.",
            },
        },
    }


def schema_text() -> str:
    """Return the text of docs/schemas/entity.json."""
    return json.dumps(document_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema_text(), encoding="utf-8")
