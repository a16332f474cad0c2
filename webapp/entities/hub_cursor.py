"""Where a read of an entity goes on: values of its cursor, which may have been through JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from connectors.spi import Cursor, Position
from rules.schema import Field, FieldType
from webapp.entities.keyset import Mark
from webapp.entities.model import Entity


def mark(entity: Entity, cursor: Cursor, after: Position | None) -> Mark | None:
    """Return where the last page ended."""
    if not after:
        return None
    return Mark(value(entity.schema[cursor.field], after["value"]), value(entity.schema[cursor.tie], after["tie"]))


def value(field: Field, given: Any) -> Any:
    """Return a cursor's value, which may have been through JSON."""
    if not isinstance(given, str):
        return Decimal(given) if field.type is FieldType.DECIMAL and given is not None else given
    if field.type is FieldType.DATETIME:
        moment = datetime.fromisoformat(given)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _READERS.get(field.type, str)(given)


_READERS: Mapping[FieldType, Any] = {
    FieldType.INTEGER: int,
    FieldType.DECIMAL: Decimal,
    FieldType.DATE: date.fromisoformat,
    FieldType.BOOLEAN: lambda text: text.lower() == "true",
}
