"""How records of entities are tested where the hub leaves some out: its columns hold what their types promise."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_filter import CannotTest, ColumnTests, Condition, TableFilter
from connectors.builtin.database_types import Column, Table
from rules.predicate import Constant, Has, Place
from rules.schema import FieldType, Schema
from webapp.entities.model import Entity
from webapp.entities.sealed import Sealed

_TESTED = {
    FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.BOOLEAN, FieldType.DATE, FieldType.DATETIME,
}  # fmt: skip


class EntityTests(ColumnTests):
    """Texts are sorted by code point already, and every value was checked when it was written."""

    def __init__(self, table: sa.Table, *, sqlite: bool) -> None:
        self._table = table
        self._sqlite = sqlite

    def operand(self, column: Column, *, exact: bool) -> sa.ColumnElement[Any]:  # noqa: ARG002 - always exact
        """Return the column."""
        if column.field.type not in _TESTED or isinstance(self._table.c[column.name].type, Sealed):
            raise CannotTest
        return self._table.c[column.name]

    def value(self, column: Column, value: Constant, *, exact: bool) -> sa.ColumnElement[Any]:  # noqa: ARG002
        """Return the value as the column stores it."""
        if isinstance(value, Decimal):
            _fitting(column, value)
        if isinstance(value, datetime):
            value = value.replace(tzinfo=UTC)
        return sa.literal(value, self._table.c[column.name].type)

    def has(self, column: Column, test: Has) -> Condition:
        """Look for a text by its characters."""
        text, part = self.operand(column, exact=True), sa.literal(test.text)
        if test.place is Place.END:
            if not test.text:
                return sa.true()
            size = len(test.text)
            end = sa.func.substr(text, sa.literal(-size)) if self._sqlite else sa.func.right(text, size)
            return end == part
        found = sa.func.instr(text, part) if self._sqlite else sa.func.strpos(text, part)
        return found == 1 if test.place is Place.START else found > 0

    def odd(self, column: Column) -> Condition | None:
        """Return where a text holds a NUL, which PostgreSQL does not take."""
        kept = self._table.c[column.name]
        if column.field.type is not FieldType.TEXT or not self._sqlite or isinstance(kept.type, Sealed):
            return None
        return sa.func.instr(kept, sa.literal_column("char(0)")) > 0

    def plain(self, column: Column) -> Condition | None:  # noqa: ARG002 - whatever it is
        """All values can be read."""
        return None


def entity_filter(entity: Entity, table: sa.Table, schema: Schema, *, sqlite: bool) -> TableFilter:
    """Return the filters of an entity's records, of which the fields of `schema` are read."""
    columns = tuple(Column(field, "") for field in entity.schema.fields)
    return TableFilter(EntityTests(table, sqlite=sqlite), Table(entity.table_name, columns, ("id",)), schema)


def _fitting(column: Column, value: Decimal) -> None:
    """Refuse a number that the column could not hold, and so could not be compared with as it is stored."""
    scale, precision = column.field.scale or 0, column.field.precision or 38
    exponent = value.normalize().as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > scale or value.adjusted() >= precision - scale:
        raise CannotTest
