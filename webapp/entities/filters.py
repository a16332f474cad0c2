"""Filters of lists: field, operator, value. Each operator means the same on both databases; tests hold a model of it.

Comparisons are true only where there is a value, except `is_not`, `has_not` and `empty`. `contains` and `starts` take
the letters A to Z without their case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from rules.text import N_, Message, msg
from webapp.entities.model import SYSTEM_LABELS, Entity, EntityField, Kind, Label
from webapp.entities.values import BadValue, from_text


class Operator(StrEnum):
    """How a field is compared."""

    IS = "is"
    IS_NOT = "is_not"
    ANY_OF = "any_of"
    CONTAINS = "contains"
    STARTS = "starts"
    LESS = "lt"
    AT_MOST = "le"
    MORE = "gt"
    AT_LEAST = "ge"
    ON = "on"
    HAS = "has"
    HAS_NOT = "has_not"
    EMPTY = "empty"
    FILLED = "filled"


LABELS: dict[Operator, str] = {
    Operator.IS: N_("is"),
    Operator.IS_NOT: N_("is not"),
    Operator.ANY_OF: N_("is one of"),
    Operator.CONTAINS: N_("contains"),
    Operator.STARTS: N_("starts with"),
    Operator.LESS: N_("is less than"),
    Operator.AT_MOST: N_("is at most"),
    Operator.MORE: N_("is more than"),
    Operator.AT_LEAST: N_("is at least"),
    Operator.ON: N_("is on the day"),
    Operator.HAS: N_("has"),
    Operator.HAS_NOT: N_("does not have"),
    Operator.EMPTY: N_("is empty"),
    Operator.FILLED: N_("is not empty"),
}
MAX_RANGES = 32
WITHOUT_VALUE = frozenset({Operator.EMPTY, Operator.FILLED})

_STATE = (Operator.EMPTY, Operator.FILLED)
_TEXT = (Operator.CONTAINS, Operator.STARTS, Operator.IS, Operator.IS_NOT, Operator.ANY_OF, *_STATE)
_EXACT = (Operator.IS, Operator.IS_NOT, Operator.ANY_OF)
_NUMBER = (
    Operator.IS,
    Operator.IS_NOT,
    Operator.LESS,
    Operator.AT_MOST,
    Operator.MORE,
    Operator.AT_LEAST,
    Operator.ANY_OF,
    *_STATE,
)
_BY_KIND: dict[Kind, tuple[Operator, ...]] = {
    Kind.BOOLEAN: (Operator.IS, *_STATE),
    Kind.CHOICE: (Operator.IS, Operator.IS_NOT, Operator.ANY_OF, *_STATE),
    Kind.MULTI_CHOICE: (Operator.HAS, Operator.HAS_NOT, *_STATE),
    Kind.REFERENCE: (Operator.IS, Operator.IS_NOT, Operator.ANY_OF, *_STATE),
    Kind.DATE: (Operator.IS, Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST, *_STATE),
    Kind.DATETIME: (Operator.ON, Operator.LESS, Operator.AT_LEAST, *_STATE),
    Kind.INTEGER: _NUMBER,
    Kind.DECIMAL: _NUMBER,
    Kind.MONEY: _NUMBER,
    Kind.JSON: (Operator.CONTAINS, *_STATE),
    Kind.FILE: (Operator.CONTAINS, *_STATE),
}
_SYSTEM: dict[str, Kind] = {
    "id": Kind.INTEGER,
    "created_at": Kind.DATETIME,
    "created_by": Kind.TEXT,
    "updated_at": Kind.DATETIME,
    "updated_by": Kind.TEXT,
}


@dataclass(frozen=True)
class Filter:
    """One condition of a list; the value is text as it was typed."""

    field: str
    operator: Operator
    value: str = ""

    def to_text(self) -> str:
        """Return the form that addresses hold: `status:is:active`."""
        return f"{self.field}:{self.operator.value}:{self.value}"


class BadFilter(ValueError):
    """A filter cannot be used; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def filterable(entity: Entity) -> dict[str, EntityField]:
    """Return the fields that a list can be filtered by, the system's own last."""
    own = {f.name: f for f in entity.fields}
    currencies = {
        f.currency_name: EntityField(f.currency_name, Kind.TEXT, Label(f.currency_name))
        for f in entity.fields
        if f.kind is Kind.MONEY and not f.currency
    }
    system = {name: EntityField(name, kind, Label(SYSTEM_LABELS[name])) for name, kind in _SYSTEM.items()}
    return {**own, **currencies, **system}


def operators(field: EntityField) -> tuple[Operator, ...]:
    """Return the operators that fit a field; of an encrypted one those that its index can answer, if it has one."""
    known = _BY_KIND.get(field.kind, _TEXT)
    if not field.sealed:
        return known
    exact = _EXACT if field.encrypted and field.exact else ()
    return tuple(one for one in known if one in (*exact, *_STATE))


def parse(text: str) -> Filter:
    """Return the filter that `Filter.to_text` gave; raises `BadFilter`."""
    name, _, rest = text.partition(":")
    operator, _, value = rest.partition(":")
    try:
        return Filter(name, Operator(operator), value)
    except ValueError:
        raise BadFilter(msg("'{text}' is not a filter such as status:is:active.", text=text)) from None


def condition(entity: Entity, table: sa.Table, filters: Iterable[Filter], zone: tzinfo = UTC) -> sa.ColumnElement[bool]:
    """Return the condition that all filters hold; raises `BadFilter`."""
    known = filterable(entity)
    parts = []
    for item in filters:
        field = known.get(item.field)
        if field is None:
            raise BadFilter(msg("There is no field '{name}' to filter by.", name=item.field))
        if item.operator not in operators(field):
            raise BadFilter(
                msg("'{operator}' does not fit the field '{name}'.", operator=item.operator, name=item.field)
            )
        try:
            parts.append(_MAKERS[item.operator](field, table.c[item.field], item, zone))
        except BadValue as error:
            raise BadFilter(msg("{field}: {problem}", field=item.field, problem=str(error.message))) from None
    return sa.and_(sa.true(), *parts)


def ascii_fold(text: str) -> str:
    """Return the text with A to Z made small, and nothing else."""
    return re.sub("[A-Z]", lambda m: m.group().lower(), text)


Column = sa.Column[Any]
Condition = sa.ColumnElement[bool]


def _typed(field: EntityField, text: str, zone: tzinfo) -> Any:
    value = text if field.kind is Kind.TEXT else from_text(field, text, zone)
    if value is None:
        raise BadValue(msg("Enter a value to compare with."))
    return value


def _compare(field: EntityField, column: Column, item: Filter, zone: tzinfo) -> Condition:
    value = _typed(field, item.value, zone)
    compare: dict[Operator, Callable[[], Condition]] = {
        Operator.IS: lambda: column == value,
        Operator.IS_NOT: lambda: sa.or_(column != value, column.is_(None)),
        Operator.LESS: lambda: column < value,
        Operator.AT_MOST: lambda: column <= value,
        Operator.MORE: lambda: column > value,
        Operator.AT_LEAST: lambda: column >= value,
    }
    return compare[item.operator]()


def _any_of(field: EntityField, column: Column, item: Filter, zone: tzinfo) -> Condition:
    parts = [part.strip() for part in re.split(r"[,，;；]", item.value)]
    return column.in_([_typed(field, part, zone) for part in parts if part])


def _like(column: Column, pattern: str) -> Condition:
    """Compare without the case of A to Z: lower() folds no other letters on SQLite, nor under the C collation."""
    return sa.func.lower(column).like(ascii_fold(pattern), escape="\\")


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _contains(_field: EntityField, column: Column, item: Filter, _zone: tzinfo) -> Condition:
    return _like(column, f"%{_escaped(item.value)}%")


def _starts(field: EntityField, column: Column, item: Filter, _zone: tzinfo) -> Condition:
    like = _like(column, f"{_escaped(item.value)}%")
    if not item.value or not field.has_index:
        return like
    return sa.and_(like, sa.or_(*(_range(column, start) for start in _spellings(item.value))))


def _spellings(prefix: str) -> list[str]:
    """Return the beginning in every case of its letters, as long as that is few texts; each is a range of an index."""
    found = [""]
    for letter in prefix:
        forms = sorted({letter.lower(), letter.upper()}) if letter.isascii() else [letter]
        if len(found) * len(forms) > MAX_RANGES:
            break
        found = [start + form for start in found for form in forms]
    return found


def _range(column: Column, start: str) -> Condition:
    after = start[:-1] + chr(ord(start[-1]) + 1) if ord(start[-1]) < 0xD7FF else start + "\U0010ffff"
    return sa.and_(column >= start, column < after)


def _on(field: EntityField, column: Column, item: Filter, zone: tzinfo) -> Condition:
    start = _typed(field, item.value, zone).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return sa.and_(column >= start, column < start + timedelta(days=1))


def _has(field: EntityField, column: Column, item: Filter, _zone: tzinfo) -> Condition:
    if item.value not in field.values:
        raise BadValue(msg("'{value}' is not one of the choices.", value=item.value))
    found = column.contains(f'"{item.value}"', autoescape=True)
    return found if item.operator is Operator.HAS else sa.or_(sa.not_(found), column.is_(None))


def _state(_field: EntityField, column: Column, item: Filter, _zone: tzinfo) -> Condition:
    text = isinstance(getattr(column.type, "impl", column.type), sa.String)
    if item.operator is Operator.EMPTY:
        return sa.or_(column.is_(None), column == "") if text else column.is_(None)
    return sa.and_(column.is_not(None), column != "") if text else column.is_not(None)


_MAKERS: Mapping[Operator, Callable[[EntityField, Column, Filter, tzinfo], Condition]] = {
    **dict.fromkeys(
        (Operator.IS, Operator.IS_NOT, Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST), _compare
    ),
    Operator.ANY_OF: _any_of,
    Operator.CONTAINS: _contains,
    Operator.STARTS: _starts,
    Operator.ON: _on,
    Operator.HAS: _has,
    Operator.HAS_NOT: _has,
    **dict.fromkeys(WITHOUT_VALUE, _state),
}
