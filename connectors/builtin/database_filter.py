"""Leaving out records in the database: from `rules.predicate` to SQL.

What is left out must be certain. A record is sent if it meets the predicate, and also if one of its values is not what
its column promises (a text in a number column, an infinite date): such a record is told as one that cannot be read.
All conditions made here are true or not; null counts as not.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_types import Column, Table
from rules.predicate import Compare, Constant, Empty, Every, Has, Predicate, Some, Test, Within, conjuncts
from rules.schema import Schema

Condition = sa.ColumnElement[bool]

_OPERATORS: Mapping[Test, Callable[[Any, Any], Any]] = {
    Test.EQUAL: operator.eq,
    Test.DIFFERENT: operator.ne,
    Test.LESS: operator.lt,
    Test.AT_MOST: operator.le,
    Test.MORE: operator.gt,
    Test.AT_LEAST: operator.ge,
}


class CannotTest(Exception):
    """A database cannot test a column exactly, or cannot promise what its values are."""


class ColumnTests(ABC):
    """The SQL by which one kind of database tests columns; methods raise `CannotTest`."""

    @abstractmethod
    def operand(self, column: Column, *, exact: bool) -> sa.ColumnElement[Any]:
        """Return a column to compare; `exact` for texts told apart and sorted by their code points.

        Else texts that are equal have to compare as equal, but others may as well, so that an index can be used.
        """

    @abstractmethod
    def value(self, column: Column, value: Constant, *, exact: bool) -> sa.ColumnElement[Any]:
        """Return a value to compare with `operand`."""

    @abstractmethod
    def has(self, column: Column, test: Has) -> Condition:
        """Return where a text holds another one; `test.there` is not looked at."""

    @abstractmethod
    def odd(self, column: Column) -> Condition | None:
        """Return where a value meets every comparison (NaN, a NUL in a text), None if nowhere."""

    @abstractmethod
    def plain(self, column: Column) -> Condition | None:
        """Return where a value can be read for certain (null where there is no value), None if everywhere."""


@dataclass(frozen=True)
class TableFilter:
    """Filters of one table, of which the fields of `schema` are read."""

    tests: ColumnTests
    table: Table
    schema: Schema

    def narrowed(self, predicate: Predicate) -> Predicate | None:
        """Return the parts of a predicate that the database can test, None where nothing can be left out."""
        kept = tuple(part for part in conjuncts(predicate) if self._can(part))
        if not kept or not self._certain:
            return None
        return kept[0] if len(kept) == 1 else Every(kept)

    def sent(self, predicate: Predicate) -> Condition:
        """Return which records are sent."""
        return sa.or_(self._where(predicate), *self._unreadable())

    def not_sent(self, predicate: Predicate) -> Condition:
        """Return which records are left out."""
        return sa.not_(sa.func.coalesce(self.sent(predicate), sa.literal_column("FALSE")))

    @property
    def readable(self) -> Condition:
        """Return where a record can be read for certain, never null; raises `CannotTest`."""
        return sa.and_(sa.true(), *(sa.not_(condition) for condition in self._unreadable()))

    @property
    def _certain(self) -> bool:
        """Tell whether it can be said of each record whether it can be read."""
        try:
            self._unreadable()
        except CannotTest:
            return False
        return True

    def _can(self, part: Predicate) -> bool:
        try:
            self._where(part)
        except CannotTest:
            return False
        return True

    def _unreadable(self) -> list[Condition]:
        """Return the conditions under which a record may not be readable."""
        made = []
        for field in self.schema.fields:
            column = self._column(field.name)
            plain = self.tests.plain(column)
            if plain is not None:
                own: sa.ColumnElement[Any] = sa.column(column.name)
                made.append(sa.not_(sa.func.coalesce(plain, own.is_(None))))
        return made

    def _column(self, name: str) -> Column:
        column = self.table.by_name[name]
        if column.field.dtype != self.schema[name].dtype or column.field.type is not self.schema[name].type:
            raise CannotTest  # the field is converted on its way
        return column

    def _where(self, predicate: Predicate) -> Condition:
        match predicate:
            case Every(parts=parts):
                return sa.and_(sa.true(), *map(self._where, parts))
            case Some(parts=parts):
                return sa.or_(sa.false(), *map(self._where, parts))
            case Empty(field=field, is_empty=is_empty):
                own: sa.ColumnElement[Any] = sa.column(self._column(field).name)
                return own.is_(None) if is_empty else own.is_not(None)
            case _:
                return self._tested(predicate)

    def _tested(self, test: Compare | Within | Has) -> Condition:
        column = self._column(test.field)
        own: sa.ColumnElement[Any] = sa.column(column.name)
        odd = self.tests.odd(column)
        empty = [own.is_(None)] if test.empty else []
        return sa.or_(self._test(column, test), *empty, *([] if odd is None else [odd]))

    def _test(self, column: Column, test: Compare | Within | Has) -> Condition:
        match test:
            case Compare(test=how, value=value):
                exact = how is not Test.EQUAL
                given = self.tests.value(column, value, exact=exact)
                compared: Condition = _OPERATORS[how](self.tests.operand(column, exact=exact), given)
                return compared
            case Within(values=values, inside=inside):
                exact = not inside
                members = [self.tests.value(column, value, exact=exact) for value in values]
                whole = self.tests.operand(column, exact=exact)
                return whole.in_(members) if inside else whole.not_in(members)
            case Has(there=there):
                found = self.tests.has(column, test)
                return found if there else sa.not_(found)


def given(value: Any) -> sa.BindParameter[Any]:
    """Return a value as a parameter that the driver takes as it is."""
    return sa.bindparam(None, value, type_=sa.types.NullType(), unique=True)
