"""How SQLite works out formulas, and which columns it copies exactly as Syncline would.

Numbers and texts are what a readable column promises (`SQLiteTests.plain`). Date-times are written in one form.
"""

from __future__ import annotations

import sys
from typing import Any

import sqlalchemy as sa

from connectors.builtin import sqlite_catalog
from connectors.builtin.database_filter import given
from connectors.builtin.database_formula import SPACES, CannotPush, Condition, Made, Value, Words, written
from connectors.builtin.database_types import Column
from rules.formula import Deed, Sort
from rules.schema import FREE_SCALE, FieldType
from rules.text import msg

_DIGITS, _STAMP = 15, 19
_UTC = "+00:00"
_TYPES = {
    Sort.TEXT: FieldType.TEXT,
    Sort.INTEGER: FieldType.INTEGER,
    Sort.FLOAT: FieldType.FLOAT,
    Sort.BOOLEAN: FieldType.BOOLEAN,
}
_STAMPS = (FieldType.DATETIME, FieldType.LOCAL_DATETIME)
_TAKES = {FieldType.TEXT: (sqlite_catalog.TEXT, sqlite_catalog.BLOB), FieldType.FLOAT: (sqlite_catalog.REAL,)}
"""The affinities of columns that keep a value as it is, where not all do."""
_OTHERS = "*[^\x01-\x7f\u2e80-\u9fff]*"


class SQLiteWords(Words):
    """Comparisons name the collation, since that of a column may take A for a."""

    def own(self, column: Column, sort: Sort) -> Made:
        """Return a column; one that holds text without the character NUL, at which functions of SQLite stop."""
        value: Value = sa.column(column.name)
        if column.field.type is FieldType.DECIMAL and sort is Sort.FLOAT:
            return _as_float(column)
        if column.field.type is not _TYPES.get(sort):
            raise CannotPush(_unlike(column))
        if sort is not Sort.TEXT:
            return Made(value)
        if column.native != sqlite_catalog.TEXT:  # it would make numbers of texts that it is compared with
            value = value.op("||")(written("''"))
        return Made(value, (_whole(value),))

    def given(self, value: Any, sort: Sort) -> Value:
        """Return a parameter."""
        if sort is Sort.NOTHING:
            return sa.null()
        return given(int(value) if isinstance(value, bool) else value)

    def fitted(self, made: Made, sort: Sort, target: Column) -> Made:
        """Look at the limits of the column."""
        if sort is Sort.NOTHING:
            return made
        if target.field.type is not _TYPES[sort]:
            raise CannotPush(_unlike(target))
        return made.when(*_limits(made.value, target))

    def copied(self, source: Column, target: Column) -> Made:
        """Return values of the same type."""
        if source.field.type is not target.field.type or source.field.type is FieldType.JSON:
            raise CannotPush(_unlike(source))
        value = _compared(source)
        if source.field.type is FieldType.DECIMAL:
            return Made(value, (_fits(value, target),))
        whole = (_whole(value),) if source.field.type is FieldType.TEXT else ()
        return Made(value, (*whole, *_limits(value, target)))

    def differs(self, value: Value, target: Column) -> Condition:
        """Compare by value, date-times in their one form."""
        return _binary(value).op("IS NOT", is_comparison=True)(_compared(target))

    def typed(self, value: Value, target: Column) -> Value:  # noqa: ARG002 - a column takes any type
        """Return the value: columns of SQLite have no types."""
        return value

    def free(self, key: Value, source: Column) -> Value:  # noqa: ARG002 - the column of the target stands on the left
        """Return the key."""
        return key

    def meets(self, key: Value, own: Value, target: Column) -> Condition:
        """Compare by the index, whatever its collation takes for equal, and exactly as well."""
        if target.field.type is not FieldType.TEXT:
            return own == key
        return sa.and_(own == key, own == _binary(key))

    def same(self, left: Value, right: Value, sort: Sort) -> Condition:  # noqa: ARG002 - one form
        """Compare by value."""
        return _binary(left).op("IS", is_comparison=True)(right)

    def text_order(self, text: Value) -> Value:
        """Name the collation."""
        return _binary(text)

    def real(self, number: Value) -> Value:
        """Cast to REAL."""
        return sa.cast(number, sa.REAL())

    def number(self, value: Value) -> Condition:
        """SQLite keeps NaN as null."""
        return value.is_not(None)

    def trimmed(self, text: Value) -> Value:
        """Take all kinds of spaces away."""
        return sa.func.trim(text, given(SPACES))

    def simple(self, text: Value) -> Condition:
        """Look for other letters."""
        others: Condition = text.op("GLOB", is_comparison=True)(given(_OTHERS))
        return sa.not_(others)

    def cased(self, text: Value, deed: Deed) -> Value:
        """Change ASCII letters: SQLite knows no others."""
        return (sa.func.upper if deed is Deed.UPPER else sa.func.lower)(text)

    def part(self, deed: Deed, text: Value, other: Value) -> Condition:
        """Look for a text by its characters."""
        if deed is Deed.ENDS:
            empty = sa.func.length(other) == written("0")
            return sa.or_(empty, self.same(sa.func.substr(text, -sa.func.length(other)), other, Sort.TEXT))
        found = sa.func.instr(text, other)
        return found == written("1") if deed is Deed.STARTS else found > written("0")


def _binary(value: Value) -> Value:
    return sa.collate(sa.type_coerce(value, sa.Text()), "BINARY")


def _compared(column: Column) -> Value:
    """Return a readable column in the form in which Syncline writes it."""
    own: Value = sa.column(column.name)
    if column.field.type not in _STAMPS:
        return own
    stamp = sa.func.replace(sa.func.substr(own, given(1), given(_STAMP)), given("T"), given(" "))
    return stamp.op("||")(given(_UTC)) if column.field.type is FieldType.DATETIME else stamp


def _as_float(column: Column) -> Made:
    scale = FREE_SCALE if column.field.scale is None else column.field.scale
    if scale > _DIGITS:
        raise CannotPush(msg("'{field}' has more digits than can be calculated with exactly.", field=column.name))
    own: Value = sa.column(column.name)
    most = given(10 ** (_DIGITS - scale) - 1)
    return Made(sa.cast(own, sa.REAL()), (sa.or_(own.is_(None), own.between(-most, most)),))


def _fits(value: Value, target: Column) -> Condition:
    """Return where a number fits a decimal column; null fits."""
    field = target.field
    fits: Condition = sa.true()
    if field.scale is not None:
        fits = sa.func.round(value, given(field.scale)) == value
    if field.precision is not None:
        most = 10 ** (field.precision - (field.scale or 0))
        fits = sa.and_(fits, value < given(most), value > given(-most))
    return sa.or_(value.is_(None), fits)


def _whole(value: Value) -> Condition:
    return sa.or_(value.is_(None), sa.func.instr(value, written("char(0)")) == written("0"))


def _limits(value: Value, target: Column) -> list[Condition]:
    affinities = _TAKES.get(target.field.type)
    if affinities is not None and target.native not in affinities:
        raise CannotPush(_unlike(target))
    if target.field.type is FieldType.FLOAT:
        return [sa.or_(value.is_(None), sa.func.abs(value) <= given(sys.float_info.max))]
    if target.field.type is not FieldType.TEXT or target.field.length is None:
        return []
    return [sa.or_(value.is_(None), sa.func.length(value) <= given(target.field.length))]


def _unlike(column: Column) -> Any:
    return msg(
        "'{field}' is of the type {type} here, which only Syncline brings from and to others.",
        field=column.name,
        type=column.native,
    )
