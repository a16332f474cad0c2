"""How MySQL and MariaDB test columns for filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_filter import CannotTest, ColumnTests, Condition, given
from connectors.builtin.database_types import Column
from rules.predicate import Constant, Has, Place
from rules.schema import FieldType

_DIGITS = 38
_JSON_TEXT = 1000  # characters; no shorter text is nested too deeply to be read
_LARGEST = 2**63 - 1
_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}
_MIXED = {"enum", "set"}
_MIDNIGHT, _LAST = "00:00:00", "23:59:59.999999"


class MySQLTests(ColumnTests):
    """Collations take different texts for equal, so bytes are compared; spaces at the end count there too."""

    def operand(self, column: Column, *, exact: bool) -> sa.ColumnElement[Any]:
        """Return the column; single floats with all digits, texts to be compared exactly as bytes."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        if column.field.type in _NUMBERS:
            zero = {"float": "0e0", "bit": "0"}.get(column.native)
            return own + sa.literal_column(zero) if zero else own
        if column.field.type in _MOMENTS:
            return own
        if column.field.type is not FieldType.TEXT or column.native not in _TEXTS | _MIXED:
            raise CannotTest
        if not exact and column.native in _TEXTS:
            return own
        return _bytes(own)

    def value(self, column: Column, value: Constant, *, exact: bool) -> sa.ColumnElement[Any]:
        """Return the value; texts as bytes where the column is compared as such."""
        kind = column.field.type
        if kind is FieldType.TEXT:
            return _bytes(given(value)) if exact or column.native in _MIXED else given(value)
        if isinstance(value, Decimal):
            return given(Decimal(f"{value:f}"))
        return given(str(value) if kind in _MOMENTS else int(value) if isinstance(value, bool) else value)

    def has(self, column: Column, test: Has) -> Condition:
        """Look for the bytes of a text."""
        text, part = self.operand(column, exact=True), _bytes(given(test.text))
        if test.place is Place.END:
            return sa.func.right(text, len(test.text.encode())) == part
        found = sa.func.locate(part, text)
        return found == 1 if test.place is Place.START else found > 0

    def odd(self, column: Column) -> Condition | None:
        """Return where a text holds a NUL; no number is NaN."""
        if column.field.type is not FieldType.TEXT:
            return None
        return sa.func.locate(sa.literal_column("0x00"), self.operand(column, exact=True)) > 0

    def plain(self, column: Column) -> Condition | None:
        """Leave out days that do not exist, durations, and numbers with too many digits."""
        return _PLAIN[column.field.type](column)


def _bytes(text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(sa.func.convert(text.op("USING")(sa.literal_column("utf8mb4"))), sa.BINARY)


def _own(column: Column) -> sa.ColumnElement[Any]:
    return sa.column(column.name)


def _always(_column: Column) -> Condition | None:
    return None


def _integer(column: Column) -> Condition | None:
    if column.native not in {"bigint", "bit"}:
        return None
    return _own(column) + sa.literal_column("0") <= given(_LARGEST)


def _decimal(column: Column) -> Condition | None:
    precision, scale = column.field.precision, column.field.scale or 0
    if precision is not None and precision <= _DIGITS:
        return None
    return sa.func.abs(_own(column)) < given(Decimal(10) ** (_DIGITS - scale))


def _boolean(column: Column) -> Condition | None:
    return (_own(column) + sa.literal_column("0")).in_([given(0), given(1)])


def _day(column: Column) -> Condition | None:
    """A day may be 0, and one that its month does not have if a session allowed that."""
    day = sa.func.dayofmonth(_own(column))
    exists = day <= sa.func.dayofmonth(sa.func.last_day(_own(column)))
    return sa.and_(sa.func.year(_own(column)) > 0, sa.func.month(_own(column)) > 0, day > 0, exists)


def _time(column: Column) -> Condition | None:
    return _own(column).between(given(_MIDNIGHT), given(_LAST))


def _json(column: Column) -> Condition | None:
    text = sa.cast(_own(column), sa.CHAR)
    return sa.and_(sa.func.char_length(text) < given(_JSON_TEXT), sa.func.locate(given("\\u"), text) == 0)


_NUMBERS = {FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.BOOLEAN}
_MOMENTS = {FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME}
_PLAIN: Mapping[FieldType, Callable[[Column], Condition | None]] = {
    FieldType.TEXT: _always,
    FieldType.FLOAT: _always,
    FieldType.BINARY: _always,
    FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _decimal,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _day,
    FieldType.DATETIME: _day,
    FieldType.LOCAL_DATETIME: _day,
    FieldType.TIME: _time,
    FieldType.JSON: _json,
}
