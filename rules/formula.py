"""Shared words for what a database works out itself: a tree of operations on fields, each of one sort.

A formula may be wrong about some records: those of which a database cannot say for certain what Syncline would say (an
empty operand, a number that is too large, a letter that two systems write large in different ways). Whoever writes a
formula in SQL says for each record whether it is certain. Syncline looks at the others itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Constant: TypeAlias = bool | int | float | str | None


class Sort(StrEnum):
    """What the values of a formula are."""

    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    NOTHING = "nothing"


class Deed(StrEnum):
    """What is done with operands; an empty operand makes all uncertain but where it is asked for."""

    AND = "and"
    OR = "or"
    NOT = "not"
    EQUAL = "equal"
    """Also of empty values, which equal each other."""
    LESS = "less"
    AT_MOST = "at_most"
    CHOICE = "choice"
    """A condition, and what holds if it is true and if it is false."""
    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    DIVIDE = "divide"
    NEGATE = "negate"
    REAL = "real"
    """A whole number as one with fraction."""
    JOIN = "join"
    TRIM = "trim"
    UPPER = "upper"
    LOWER = "lower"
    LENGTH = "length"
    STARTS = "starts"
    ENDS = "ends"
    CONTAINS = "contains"
    BLANK = "blank"
    """Whether a text is empty, or holds only spaces."""


@dataclass(frozen=True)
class Own:
    """The value of a field; of a decimal as a number with fraction."""

    field: str
    sort: Sort


@dataclass(frozen=True)
class IsEmpty:
    """Whether a field has no value."""

    field: str
    sort: Sort = Sort.BOOLEAN


@dataclass(frozen=True)
class Given:
    """A fixed value."""

    value: Constant
    sort: Sort


@dataclass(frozen=True)
class Done:
    """An operation on other formulas."""

    deed: Deed
    parts: tuple[Formula, ...]
    sort: Sort


@dataclass(frozen=True)
class Copy:
    """A field as it is, of any type."""

    field: str


Formula: TypeAlias = Own | IsEmpty | Given | Done
Value: TypeAlias = Formula | Copy


def size(formula: Formula) -> int:
    """Return how many parts a formula has, those counted twice that a database has to look at twice."""
    if not isinstance(formula, Done):
        return 1
    twice = 2 if formula.deed in _GUARDED else 1
    return 1 + twice * sum(map(size, formula.parts))


_GUARDED = {Deed.ADD, Deed.SUBTRACT, Deed.MULTIPLY, Deed.DIVIDE, Deed.REAL}


@dataclass(frozen=True)
class PushedField:
    """A field of the target: what it gets, and when; see `rules.reconcile.one_way.TargetField`."""

    name: str
    value: Value
    when: Formula | None = None
    on_create: bool = True
    on_update: bool = True
    weak: bool = False


@dataclass(frozen=True)
class PushedCheck:
    """A condition that records have to meet, asked where `when` is true."""

    name: str
    check: Formula
    when: Formula | None = None


@dataclass(frozen=True)
class PushedRule:
    """A rule's mapping as formulas: what is in scope, what it has to meet, what is written."""

    fields: tuple[PushedField, ...]
    scope: Formula | None = None
    checks: tuple[PushedCheck, ...] = ()
