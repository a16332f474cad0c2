"""How SQLite tests columns for filters. Any value may stand in any column, so each is looked at first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from connectors.builtin import sqlite_catalog
from connectors.builtin.database_filter import ColumnTests, Condition, given
from connectors.builtin.database_types import Column
from rules.predicate import Constant, Has, Place
from rules.schema import FREE_SCALE, FieldType

_FLOAT_DIGITS = 15
_JSON_TEXT = 1000  # characters; no shorter text is nested too deeply to be read
_STAMP = 19  # characters of a date with a time of whole seconds
_ZONES = ("", "Z", "+00:00", "+00")
# in a database that keeps texts as UTF-16, texts do not sort by their code points
_NOT_SORTED: Condition = sa.literal_column("(SELECT encoding FROM pragma_encoding) <> 'UTF-8'")


class SQLiteTests(ColumnTests):
    """SQLite converts what it compares to the affinity of a column; a joined text has none."""

    def operand(self, column: Column, *, exact: bool) -> sa.ColumnElement[Any]:
        """Return the column; texts to be compared exactly without their collation."""
        kind, own = column.field.type, _own(column)
        if kind in {FieldType.DATETIME, FieldType.LOCAL_DATETIME}:
            return _stamp(column)
        if kind not in {FieldType.TEXT, FieldType.DATE} or (not exact and column.native == sqlite_catalog.TEXT):
            return own
        return sa.collate(own.op("||")(sa.literal_column("''")), "BINARY")

    def value(self, column: Column, value: Constant, *, exact: bool) -> sa.ColumnElement[Any]:  # noqa: ARG002 - one form
        """Return the value as SQLite stores it."""
        if isinstance(value, Decimal):
            return given(int(value) if value == value.to_integral_value() else float(value))
        if column.field.type in {FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME}:
            return given(str(value))
        return given(int(value) if isinstance(value, bool) else value)

    def has(self, column: Column, test: Has) -> Condition:
        """Look for a text by its characters."""
        text, part = self.operand(column, exact=True), given(test.text)
        if test.place is Place.END:
            whole = sa.literal_column("1") == sa.literal_column("1")
            return sa.func.substr(text, given(-len(test.text))) == part if test.text else whole
        found = sa.func.instr(text, part)
        return found == 1 if test.place is Place.START else found > 0

    def odd(self, column: Column) -> Condition | None:
        """Return where a text holds a NUL, or is not sorted as we sort; NaN is stored as null."""
        if column.field.type is not FieldType.TEXT:
            return None
        return sa.or_(sa.func.instr(_own(column), sa.literal_column("char(0)")) > 0, _NOT_SORTED)

    def plain(self, column: Column) -> Condition | None:
        """Return where a value is of the type that the column declares, in the usual form."""
        return _PLAIN[column.field.type](column)


def _own(column: Column) -> sa.ColumnElement[Any]:
    return sa.column(column.name)


def _typed(column: Column, name: str) -> Condition:
    return sa.func.typeof(_own(column)).in_([sa.literal_column("'null'"), sa.literal_column(f"'{name}'")])


def _text(column: Column) -> Condition:
    return _typed(column, "text")


def _decimal(column: Column) -> Condition:
    """Return where a number has at most 15 digits, which a float keeps, and no more behind the point than we carry."""
    scale = FREE_SCALE if column.field.scale is None else column.field.scale
    whole = _typed(column, "integer")
    if scale > _FLOAT_DIGITS:
        return whole
    own = _own(column)
    short = sa.func.abs(own) < given(10 ** (_FLOAT_DIGITS - scale))
    return sa.or_(whole, sa.and_(_typed(column, "real"), short, sa.func.round(own, given(scale)) == own))


def _boolean(column: Column) -> Condition:
    return sa.and_(_typed(column, "integer"), _own(column).in_([given(0), given(1)]))


def _date(column: Column) -> Condition:
    """Return where a text is a day that exists; up to the 28th that is told without a calculation, which is slow."""
    own = _own(column)
    early = sa.and_(
        own.op("GLOB")(sa.literal_column("'[0-9][0-9][0-9][0-9]-[01][0-9]-[012][0-9]'")),
        sa.func.substr(own, given(6), given(2)).between(given("01"), given("12")),
        sa.func.substr(own, given(9), given(2)).between(given("01"), given("28")),
    )
    return sa.and_(_text(column), sa.or_(early, sa.func.date(own) == _bare(column)))


def _time(column: Column) -> Condition:
    return sa.and_(_text(column), sa.func.time(_own(column)) == _bare(column))


def _datetime(column: Column) -> Condition:
    zones = [given(zone) for zone in (_ZONES if column.field.type is FieldType.DATETIME else _ZONES[:1])]
    stamp = _stamp(column)
    rest = sa.func.substr(_own(column), given(_STAMP + 1))
    return sa.and_(_text(column), sa.func.datetime(stamp) == stamp, rest.in_(zones))


def _json(column: Column) -> Condition:
    own = _own(column)
    strange = (sa.func.instr(own, given(part)) == 0 for part in ("\\u", "\x00"))
    return sa.and_(_text(column), sa.func.json_valid(own) == 1, sa.func.length(own) < given(_JSON_TEXT), *strange)


def _bare(column: Column) -> sa.ColumnElement[Any]:
    return _own(column).op("||")(sa.literal_column("''"))


def _stamp(column: Column) -> sa.ColumnElement[Any]:
    """Return a date-time with whole seconds, without zone, with a space before the time."""
    return sa.func.replace(sa.func.substr(_own(column), given(1), given(_STAMP)), given("T"), given(" "))


_PLAIN: Mapping[FieldType, Callable[[Column], Condition]] = {
    FieldType.TEXT: _text,
    FieldType.INTEGER: lambda column: _typed(column, "integer"),
    FieldType.FLOAT: lambda column: _typed(column, "real"),
    FieldType.BINARY: lambda column: _typed(column, "blob"),
    FieldType.DECIMAL: _decimal,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.TIME: _time,
    FieldType.DATETIME: _datetime,
    FieldType.LOCAL_DATETIME: _datetime,
    FieldType.JSON: _json,
}
