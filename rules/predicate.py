"""Shared words for what a source may leave out: a tree of plain tests on fields.

A predicate says which records have to be sent. It is wide on purpose: whoever writes it names every record that may be
wanted, and a source that cannot express one of its tests takes it for true. What is sent is looked at again.

- Texts are compared character by character in the order of their code points, numbers and moments by their value.
- A test never holds for a field without a value, except where it says `empty`.
- A number that is none (NaN) and a text that holds the character NUL meet every comparison: conditions fail for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

Constant: TypeAlias = bool | int | float | Decimal | str | date | datetime
"""A value of the field's type; instants are without zone, in UTC."""


class Test(StrEnum):
    """How a field is compared with a value."""

    __test__ = False  # for pytest, which collects classes of this name

    EQUAL = "="
    DIFFERENT = "<>"
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


class Place(StrEnum):
    """Where in a text another text is looked for."""

    START = "starts with"
    END = "ends with"
    ANYWHERE = "contains"


@dataclass(frozen=True)
class Compare:
    """A field compared with one value."""

    field: str
    test: Test
    value: Constant
    empty: bool = False


@dataclass(frozen=True)
class Within:
    """Whether a field is among some values, or not among them."""

    field: str
    values: tuple[Constant, ...]
    inside: bool = True
    empty: bool = False


@dataclass(frozen=True)
class Has:
    """Whether a text holds another one, or does not."""

    field: str
    place: Place
    text: str
    there: bool = True
    empty: bool = False


@dataclass(frozen=True)
class Empty:
    """Whether a field has no value, or has one."""

    field: str
    is_empty: bool = True


@dataclass(frozen=True)
class Every:
    """All parts hold; true without parts."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class Some:
    """At least one part holds; false without parts."""

    parts: tuple[Predicate, ...]


Predicate: TypeAlias = Compare | Within | Has | Empty | Every | Some

EVERYTHING = Every(())


def fields_of(predicate: Predicate) -> frozenset[str]:
    """Return the fields that a predicate tests."""
    if isinstance(predicate, (Every, Some)):
        return frozenset().union(*map(fields_of, predicate.parts))
    return frozenset({predicate.field})


def conjuncts(predicate: Predicate) -> tuple[Predicate, ...]:
    """Return the parts that all have to hold."""
    return predicate.parts if isinstance(predicate, Every) else (predicate,)


def words(predicate: Predicate) -> str:
    """Return a predicate as people who know SQL read it."""
    match predicate:
        case Every(parts=parts):
            return " and ".join(_inner(part) for part in parts) or "true"
        case Some(parts=parts):
            return " or ".join(_inner(part) for part in parts) or "false"
        case Empty(field=field, is_empty=is_empty):
            return f"{field} is {'' if is_empty else 'not '}null"
        case Compare(field=field, test=test, value=value):
            text = f"{field} {test.value} {_constant(value)}"
        case Within(field=field, values=values, inside=inside):
            text = f"{field} {'' if inside else 'not '}in ({', '.join(map(_constant, values))})"
        case Has(field=field, place=place, text=part, there=there):
            text = f"{'' if there else 'not '}{field} {place.value} {_constant(part)}"
    return f"({text} or {field} is null)" if predicate.empty else text


def _inner(part: Predicate) -> str:
    text = words(part)
    return f"({text})" if isinstance(part, (Every, Some)) and len(part.parts) > 1 else text


def _constant(value: Constant) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, date)):
        return "'" + str(value).replace("'", "''") + "'"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
