"""From `rules.formula` to SQL: for each formula its value, and where that is certain to be what Syncline would say.

Operations that a database would stop a whole statement for (an overflow, a division by zero) only ever see operands for
which they cannot happen; for the others the value is null and not certain.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_types import Column, Table
from rules.formula import Deed, Done, Formula, Given, IsEmpty, Own, Sort
from rules.text import Message

Value = sa.ColumnElement[Any]
Condition = sa.ColumnElement[bool]

SPACES = "".join(char for char in map(chr, range(0x3001)) if char.isspace())
"""What trim() takes away."""
_EXACT = 2**53
_SUM, _FACTOR, _SMALL, _LARGE = 2**62 - 1, 2**31, 1e-150, 1e150
_SIGNS: Mapping[Deed, str] = {Deed.ADD: "+", Deed.SUBTRACT: "-", Deed.MULTIPLY: "*", Deed.DIVIDE: "/"}


class CannotPush(Exception):
    """A database cannot work something out exactly; `message` says what."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Made:
    """A value, and the conditions (never null) that all have to hold for it to be certain."""

    value: Value
    certain: tuple[Condition, ...] = ()

    def when(self, *more: Condition) -> Made:
        """Return the value with further conditions."""
        return Made(self.value, (*self.certain, *more))

    @property
    def filled(self) -> Condition:
        """Return where the value is certain and not empty."""
        return every(self.certain, [self.value.is_not(None)])


def written(text: str) -> Value:
    """Return a constant as it is written in SQL."""
    return sa.literal_column(text)


def every(*conditions: Iterable[Condition]) -> Condition:
    """Return that all conditions hold."""
    return sa.and_(sa.true(), *(one for group in conditions for one in group))


class Words(ABC):
    """The SQL of one kind of database for values of formulas and fields; methods raise `CannotPush`."""

    @abstractmethod
    def own(self, column: Column, sort: Sort) -> Made:
        """Return a readable column as a value of a formula."""

    @abstractmethod
    def given(self, value: Any, sort: Sort) -> Value:
        """Return a constant."""

    @abstractmethod
    def fitted(self, made: Made, sort: Sort, target: Column) -> Made:
        """Return a formula's value as a column of the target takes it."""

    @abstractmethod
    def copied(self, source: Column, target: Column) -> Made:
        """Return a readable column as a column of the target takes it, both of the same type of field."""

    @abstractmethod
    def differs(self, value: Value, target: Column) -> Condition:
        """Return where a value made for a column of the target is not what it holds; null is a value like any other."""

    @abstractmethod
    def typed(self, value: Value, target: Column) -> Value:
        """Return a value made for a column of the target in the type of that column, without its length."""

    @abstractmethod
    def free(self, key: Value, source: Column) -> Value:
        """Return a key of the source so that what it is compared with says by which collation."""

    @abstractmethod
    def meets(self, key: Value, own: Value, target: Column) -> Condition:
        """Return where a key of the source is that of a record of the target, exactly and by the index."""

    @abstractmethod
    def same(self, left: Value, right: Value, sort: Sort) -> Condition:
        """Return where two values of a formula are equal; null equals null."""

    @abstractmethod
    def text_order(self, text: Value) -> Value:
        """Return a text as it is sorted by its code points."""

    @abstractmethod
    def real(self, number: Value) -> Value:
        """Return a whole number as one with fraction."""

    @abstractmethod
    def number(self, value: Value) -> Condition:
        """Return where a number with fraction, which is not null, is one."""

    @abstractmethod
    def trimmed(self, text: Value) -> Value:
        """Return a text without `SPACES` at both ends."""

    @abstractmethod
    def simple(self, text: Value) -> Condition:
        """Return where a text has no letters that are large or small but those of ASCII."""

    @abstractmethod
    def cased(self, text: Value, deed: Deed) -> Value:
        """Return a simple text in large or small letters."""

    @abstractmethod
    def part(self, deed: Deed, text: Value, other: Value) -> Condition:
        """Return where a text starts with another one, ends with it or contains it."""


class Formulas:
    """Formulas over one table."""

    def __init__(self, words: Words, table: Table) -> None:
        self._words = words
        self._table = table
        self._forms: Mapping[Deed, Callable[[Done], Made]] = {
            Deed.AND: lambda done: self._joined(done, decides=False),
            Deed.OR: lambda done: self._joined(done, decides=True),
            Deed.NOT: self._not,
            Deed.EQUAL: self._equal,
            Deed.LESS: lambda done: self._ordered(done, operator.lt),
            Deed.AT_MOST: lambda done: self._ordered(done, operator.le),
            Deed.CHOICE: self._choice,
            Deed.NEGATE: self._negated,
            Deed.REAL: self._real,
            Deed.JOIN: self._concatenated,
            Deed.TRIM: lambda done: self._text(done, self._words.trimmed),
            Deed.LENGTH: lambda done: self._text(done, sa.func.length),
            Deed.UPPER: self._cased,
            Deed.LOWER: self._cased,
            Deed.BLANK: self._blank,
            **dict.fromkeys(_SIGNS, self._calculated),
            **dict.fromkeys((Deed.STARTS, Deed.ENDS, Deed.CONTAINS), self._part),
        }

    def made(self, formula: Formula) -> Made:
        """Return the SQL of a formula."""
        match formula:
            case Own(field=name, sort=sort):
                return self._words.own(self._table.by_name[name], sort)
            case IsEmpty(field=name):
                return Made(sa.column(name).is_(None))
            case Given(value=value, sort=sort):
                return Made(self._words.given(value, sort))
            case Done(deed=deed):
                return self._forms[deed](formula)

    def _parts(self, done: Done) -> list[Made]:
        return [self.made(part) for part in done.parts]

    def _joined(self, done: Done, *, decides: bool) -> Made:
        """Return `&&` or `||`: where one part is certain and decides, the others may be anything."""
        parts = self._parts(done)
        values = [part.value for part in parts]
        known = every(part.filled for part in parts)
        settled = (every([part.filled], [part.value if decides else sa.not_(part.value)]) for part in parts)
        certain = sa.func.coalesce(sa.or_(known, *settled), sa.false())
        return Made((sa.or_ if decides else sa.and_)(*values), (certain,))

    def _not(self, done: Done) -> Made:
        (part,) = self._parts(done)
        return Made(sa.not_(part.value), (part.filled,))

    def _equal(self, done: Done) -> Made:
        left, right = self._parts(done)
        sort = done.parts[0].sort if done.parts[0].sort is not Sort.NOTHING else done.parts[1].sort
        numbers = (self._is_number(part, formula) for part, formula in zip((left, right), done.parts, strict=True))
        return Made(self._words.same(left.value, right.value, sort), (*left.certain, *right.certain, *numbers))

    def _is_number(self, part: Made, formula: Formula) -> Condition:
        if formula.sort is not Sort.FLOAT:
            return sa.true()
        return sa.or_(part.value.is_(None), self._words.number(part.value))

    def _ordered(self, done: Done, compare: Callable[[Any, Any], Any]) -> Made:
        left, right = self._parts(done)
        numbers = (self._is_number(part, formula) for part, formula in zip((left, right), done.parts, strict=True))
        values = [left.value, right.value]
        if done.parts[0].sort is Sort.TEXT:
            values = [self._words.text_order(value) for value in values]
        return Made(compare(*values), (left.filled, right.filled, *numbers))

    def _choice(self, done: Done) -> Made:
        test, yes, no = self._parts(done)
        chosen = sa.case((test.value, every(yes.certain)), else_=every(no.certain))
        return Made(sa.case((test.value, yes.value), else_=no.value), (test.filled, chosen == sa.true()))

    def _calculated(self, done: Done) -> Made:
        left, right = (
            _guarded(part, done.deed, formula.sort) for part, formula in zip(self._parts(done), done.parts, strict=True)
        )
        if done.deed is Deed.DIVIDE:
            right = Made(sa.func.nullif(right.value, self._words.given(0.0, Sort.FLOAT)), right.certain)
        made = Made(left.value.op(_SIGNS[done.deed])(right.value), (*left.certain, *right.certain))
        return made.when(left.value.is_not(None), right.value.is_not(None))

    def _negated(self, done: Done) -> Made:
        part = _guarded(self._parts(done)[0], Deed.ADD, done.sort)
        if done.sort is Sort.FLOAT:  # SQLite takes a number from 0, which leaves a zero without its sign
            return Made(part.value.op("*")(self._words.given(-1.0, Sort.FLOAT)), (part.filled,))
        return Made(-part.value, (part.filled,))

    def _real(self, done: Done) -> Made:
        (part,) = self._parts(done)
        small = sa.case((part.value.between(-_EXACT, _EXACT), part.value))
        lost = sa.or_(part.value.is_(None), small.is_not(None))
        return Made(self._words.real(small), (*part.certain, lost))

    def _concatenated(self, done: Done) -> Made:
        left, right = self._parts(done)
        return Made(left.value.op("||", precedence=6)(right.value), (left.filled, right.filled))

    def _text(self, done: Done, make: Callable[[Value], Value]) -> Made:
        (part,) = self._parts(done)
        return Made(make(part.value), (part.filled,))

    def _cased(self, done: Done) -> Made:
        (part,) = self._parts(done)
        return Made(self._words.cased(part.value, done.deed), (part.filled, self._words.simple(part.value)))

    def _blank(self, done: Done) -> Made:
        (part,) = self._parts(done)
        empty = self._words.text_order(self._words.trimmed(part.value)) == self._words.given("", Sort.TEXT)
        return Made(sa.func.coalesce(empty, sa.true()), part.certain)

    def _part(self, done: Done) -> Made:
        text, other = self._parts(done)
        return Made(self._words.part(done.deed, text.value, other.value), (text.filled, other.filled))


def _guarded(part: Made, deed: Deed, sort: Sort) -> Made:
    """Return a number where an operation on it cannot fail or lose anything, null elsewhere."""
    value = part.value
    if sort is Sort.INTEGER:
        most = _FACTOR if deed is Deed.MULTIPLY else _SUM
        fine: Condition = value.between(-most, most)
    else:
        fine = sa.or_(value == written("0.0"), sa.func.abs(value).between(_SMALL, _LARGE))
    return Made(sa.case((fine, value)), part.certain)
