"""How PostgreSQL tests columns for filters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_filter import CannotTest, ColumnTests, Condition
from connectors.builtin.database_types import Column
from rules.predicate import Constant, Has, Place
from rules.schema import FREE_SCALE, FieldType

_DIGITS = 38
_JSON_TEXT = 1000  # characters; no shorter text is nested too deeply to be read
_TEXTS = {"text", "character varying"}
_TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "smallint": sa.BigInteger(),
    "integer": sa.BigInteger(),
    "bigint": sa.BigInteger(),
    "numeric": sa.Numeric(),
    "double precision": sa.Double(),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "timestamp without time zone": sa.DateTime(),
    "timestamp with time zone": sa.DateTime(timezone=True),
}
_READABLE = {FieldType.TEXT, FieldType.INTEGER, FieldType.FLOAT, FieldType.BOOLEAN, FieldType.BINARY}
_WITHIN: Mapping[str, tuple[str, str]] = {
    "date": ("0001-01-01", "9999-12-31"),
    "timestamp without time zone": ("0001-01-01", "9999-12-31 23:59:59.999999"),
    "timestamp with time zone": ("0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"),
}


class PostgreSQLTests(ColumnTests):
    """PostgreSQL compares texts by the column's collation unless told otherwise, and takes NaN for a number."""

    def operand(self, column: Column, *, exact: bool) -> sa.ColumnElement[Any]:
        """Return the column; texts to be compared exactly in the collation of code points."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        if column.field.type is not FieldType.TEXT:
            if column.native not in _TYPES:
                raise CannotTest
            return own
        if column.native not in _TEXTS and column.native != "character":
            raise CannotTest
        text = own if column.native in _TEXTS else sa.cast(own, sa.Text)
        return sa.collate(text, "C") if exact else text

    def value(self, column: Column, value: Constant, *, exact: bool) -> sa.ColumnElement[Any]:  # noqa: ARG002 - one form
        """Return the value's text, cast to the column's type."""
        if column.field.type is FieldType.DATETIME and isinstance(value, datetime):
            text = f"{value}+00"
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
        return _cast(text, _TYPES.get(column.native, sa.Text()))

    def has(self, column: Column, test: Has) -> Condition:
        """Look for a text by its characters."""
        text, part = self.operand(column, exact=True), self.value(column, test.text, exact=True)
        if test.place is Place.END:
            return sa.func.right(text, len(test.text)) == part
        found = sa.func.strpos(text, part)
        return found == 1 if test.place is Place.START else found > 0

    def odd(self, column: Column) -> Condition | None:
        """Return where a float is NaN; no text holds a NUL."""
        if column.field.type is not FieldType.FLOAT:
            return None
        return sa.column(column.name) == _cast("NaN", sa.Double())

    def plain(self, column: Column) -> Condition | None:
        """Leave out infinite dates, years that we cannot hold, and numbers with too many digits."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        kind = column.field.type
        if kind in _READABLE:
            return None
        if kind is FieldType.DECIMAL:
            return _plain_decimal(column)
        if kind is FieldType.TIME:
            return own < sa.literal_column("TIME '24:00:00'")
        if kind is FieldType.JSON:
            text = sa.cast(own, sa.Text)
            short = sa.func.length(text) < _JSON_TEXT
            return short if column.native == "jsonb" else sa.and_(short, sa.func.strpos(text, "\\u") == 0)
        if column.native not in _WITHIN:
            raise CannotTest
        first, last = (_cast(bound, _TYPES[column.native]) for bound in _WITHIN[column.native])
        return own.between(first, last)


def _plain_decimal(column: Column) -> Condition | None:
    """Return where a number fits: nothing else is in a numeric(p, s) of few digits but NaN."""
    own: sa.ColumnElement[Any] = sa.column(column.name)
    if column.native != "numeric":
        return None
    scale = FREE_SCALE if column.field.scale is None else column.field.scale
    most = _cast("1e" + str(_DIGITS - scale), sa.Numeric())
    # NaN is greater than every number here
    fits = sa.and_(own < most, own > -most)
    if column.field.precision is not None:
        return fits
    return sa.and_(fits, own == sa.func.round(own, scale))


def _cast(text: str, kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(sa.bindparam(None, text, type_=sa.Text(), unique=True), kind)
