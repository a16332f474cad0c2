"""Why a record cannot be written to a file."""

from __future__ import annotations

from typing import Any

from connectors.builtin.files_overlay import Overlay, Values
from connectors.casting import SHOWN, short
from rules.schema import Change, Op, Schema
from rules.text import N_, Message, msg

Refusal = tuple[str, Message]


def refusal(change: Change, record: Values, schema: Schema, overlay: Overlay, *, in_file: bool) -> Refusal | None:
    """Return the field and the reason why a record cannot be written, or None if it can.

    Args:
        change: What is to be done.
        record: One of its records.
        schema: The fields of the object.
        overlay: What was written before.
        in_file: Whether the file itself has a record with this key.
    """
    value = record[change.key]
    if value is None:
        return change.key, msg("Field '{field}' is the key, but it is empty.", field=change.key)
    exists = overlay.exists(value, in_file=in_file)
    if exists and change.op is Op.CREATE:
        return change.key, _told(N_("There is already a record with '{value}' in the field '{field}'."), change, value)
    if not exists and change.op is not Op.CREATE:
        return change.key, _told(
            N_("There is no record with '{value}' in the field '{field}' any more."), change, value
        )
    return None if change.op is Op.DELETE else _incomplete(change.op, record, schema)


def _incomplete(op: Op, record: Values, schema: Schema) -> Refusal | None:
    for field in schema.fields:
        missing = record.get(field.name) is None and (op is Op.CREATE or field.name in record)
        if missing and not field.nullable:
            return field.name, msg("Field '{field}' is empty, but it must have a value.", field=field.name)
    return None


def _told(template: str, change: Change, value: Any) -> Message:
    return Message(template, {"field": change.key, "value": short(str(value), SHOWN)})
