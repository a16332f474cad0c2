"""Which record meets plain tests. Pure.

A value that is not of its field's type, or a field that is not there, is no answer: such a record is not chosen.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from rules.predicate import Compare, Empty, Every, Has, Place, Predicate, Some, Within, fields_of
from rules.schema import FieldType
from webapp.policies.certain import compare

Types = Mapping[str, FieldType]


class NoAnswer(ValueError):
    """A value is not of its field's type."""


def meets(predicate: Predicate, record: Mapping[str, Any], types: Types) -> bool:
    """Tell whether a record is chosen; values may be as JSON holds them."""
    try:
        values = {name: value_of(record[name], types[name]) for name in fields_of(predicate)}
    except (KeyError, NoAnswer):
        return False
    return _holds(predicate, values)


def value_of(value: Any, type_: FieldType) -> Any:
    """Return a value in the form that tests compare; raises `NoAnswer` where it is none of the type."""
    if value is None:
        return None
    try:
        found = _READERS[type_](value)
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        raise NoAnswer from None
    return found


def _number(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise NoAnswer
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise NoAnswer
    return number


def _whole(value: Any) -> int:
    number = _number(value)
    if number != number.to_integral_value():
        raise NoAnswer
    return int(number)


def _float(value: Any) -> float:
    if isinstance(value, bool) or math.isnan(float(value)):
        raise NoAnswer
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise NoAnswer
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NoAnswer
    return value


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        raise NoAnswer
    return value if isinstance(value, date) else date.fromisoformat(value)


def _instant(value: Any) -> datetime:
    found = _wall_clock(value)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def _wall_clock(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


_READERS: Mapping[FieldType, Callable[[Any], Any]] = {
    FieldType.TEXT: _text,
    FieldType.INTEGER: _whole,
    FieldType.DECIMAL: _number,
    FieldType.FLOAT: _float,
    FieldType.BOOLEAN: _truth,
    FieldType.DATE: _day,
    FieldType.DATETIME: _instant,
    FieldType.LOCAL_DATETIME: lambda value: _wall_clock(value).replace(tzinfo=None),
}


def _holds(predicate: Predicate, values: Mapping[str, Any]) -> bool:
    match predicate:
        case Every(parts=parts):
            return all(_holds(part, values) for part in parts)
        case Some(parts=parts):
            return any(_holds(part, values) for part in parts)
        case Empty(field=field, is_empty=is_empty):
            return (values[field] is None) is is_empty
    value = values[predicate.field]
    return predicate.empty if value is None else _answers(predicate, value)


def _answers(predicate: Compare | Within | Has, value: Any) -> bool:
    match predicate:
        case Compare(test=test, value=wanted):
            return compare(test, value, wanted)
        case Within(values=wanted, inside=inside):
            return (value in wanted) is inside
        case Has(place=place, text=text, there=there):
            return _LOOKED[place](value, text) is there


_LOOKED: Mapping[Place, Callable[[str, str], bool]] = {
    Place.START: str.startswith,
    Place.END: str.endswith,
    Place.ANYWHERE: operator.contains,
}
