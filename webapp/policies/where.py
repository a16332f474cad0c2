"""Which records meet plain tests, asked of a database: as `webapp.policies.choosing` says of each of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from rules.predicate import Compare, Constant, Empty, Every, Has, Place, Predicate, Some, Test, Within
from rules.schema import FieldType
from webapp.policies.certain import always, compare, stepped
from webapp.policies.choosing import Types

Clause = sa.ColumnElement[bool]
Columns = Mapping[str, sa.ColumnElement[Any]]
_DIGITS = 38


def where(predicate: Predicate, columns: Columns, types: Types, *, sqlite: bool) -> Clause:
    """Return the tests as a condition over columns, sorted by code point and typed as their fields are.

    It is never negated: where a database answers with null, the record is not chosen.
    """
    return _Where(columns, types, sqlite=sqlite).clause(predicate)


class _Where:
    def __init__(self, columns: Columns, types: Types, *, sqlite: bool) -> None:
        self._columns, self._types, self._sqlite = columns, types, sqlite

    def clause(self, predicate: Predicate) -> Clause:
        match predicate:
            case Every(parts=parts):
                return sa.and_(sa.true(), *map(self.clause, parts))
            case Some(parts=parts):
                return sa.or_(sa.false(), *map(self.clause, parts))
        if predicate.field not in self._columns:
            return sa.false()
        column = self._columns[predicate.field]
        match predicate:
            case Empty(is_empty=is_empty):
                return column.is_(None) if is_empty else column.is_not(None)
            case Compare():
                found = self._compared(predicate, column)
            case Within():
                found = self._within(predicate, column)
            case Has():
                found = self._has(predicate, column)
        return sa.or_(found, column.is_(None)) if predicate.empty else found

    def _compared(self, predicate: Compare, column: sa.ColumnElement[Any]) -> Clause:
        test, value = predicate.test, predicate.value
        if isinstance(value, Decimal):
            stepping = stepped(test, value, getattr(column.type, "scale", None) or 0)
            most = Decimal(10) ** ((getattr(column.type, "precision", None) or _DIGITS) - (column.type.scale or 0))  # type: ignore[attr-defined]
            if isinstance(stepping, bool) or abs(stepping[1]) >= most:
                holds = stepping if isinstance(stepping, bool) else compare(test, Decimal(0), value)
                return self.clause(always(predicate.field, holds=holds, empty=False))
            test, value = stepping
        return compare(test, column, self._literal(column, value))  # type: ignore[return-value]

    def _within(self, predicate: Within, column: sa.ColumnElement[Any]) -> Clause:
        if self._types[predicate.field] is not FieldType.DECIMAL:
            values = [self._literal(column, value) for value in predicate.values]
            return column.in_(values) if predicate.inside else column.not_in(values)
        tests = tuple(
            Compare(predicate.field, Test.EQUAL if predicate.inside else Test.DIFFERENT, value)
            for value in predicate.values
        )
        return self.clause(Some(tests) if predicate.inside else Every(tests))

    def _literal(self, column: sa.ColumnElement[Any], value: Constant) -> sa.ColumnElement[Any]:
        if isinstance(value, datetime):
            value = value.replace(tzinfo=UTC)
        return sa.literal(value, column.type)

    def _has(self, predicate: Has, column: sa.ColumnElement[Any]) -> Clause:
        """Look for a text by its characters; as bytes on SQLite, whose functions end at a NUL."""
        found = self._looked(predicate.place, column, predicate.text)
        if predicate.there:
            return found
        # of an empty text SQLite's functions say neither
        return sa.and_(column.is_not(None), sa.not_(sa.func.coalesce(found, sa.false())))

    def _looked(self, place: Place, column: sa.ColumnElement[Any], text: str) -> Clause:
        if not text:
            return column.is_not(None)
        if not self._sqlite:
            if place is Place.END:
                return sa.func.right(column, len(text)) == sa.literal(text)
            at = sa.func.strpos(column, sa.literal(text))
            return at == 1 if place is Place.START else at > 0
        whole, part = sa.cast(column, sa.LargeBinary), sa.cast(sa.literal(text), sa.LargeBinary)
        if place is Place.END:
            return sa.func.substr(whole, -len(text.encode())) == part
        at = sa.func.instr(whole, part)
        return at == 1 if place is Place.START else at > 0
