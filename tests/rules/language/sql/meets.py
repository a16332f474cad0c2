"""What a predicate means, record by record: the plain reading that databases are held against."""

from __future__ import annotations

import datetime as dt
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from rules.predicate import Compare, Empty, Every, Has, Place, Predicate, Some, Test, Within

_TESTS: Mapping[Test, Callable[[Any, Any], bool]] = {
    Test.EQUAL: operator.eq,
    Test.DIFFERENT: operator.ne,
    Test.LESS: operator.lt,
    Test.AT_MOST: operator.le,
    Test.MORE: operator.gt,
    Test.AT_LEAST: operator.ge,
}
_PLACES: Mapping[Place, Callable[[str, str], bool]] = {
    Place.START: str.startswith,
    Place.END: str.endswith,
    Place.ANYWHERE: str.__contains__,
}


def sent(predicate: Predicate, batch: pl.DataFrame) -> list[bool]:
    """Return which records meet a predicate."""
    return [meets(predicate, row) for row in batch.iter_rows(named=True)]


def meets(predicate: Predicate, row: Mapping[str, Any]) -> bool:
    """Tell whether a record meets a predicate."""
    match predicate:
        case Every(parts=parts):
            return all(meets(part, row) for part in parts)
        case Some(parts=parts):
            return any(meets(part, row) for part in parts)
        case Empty(field=field, is_empty=is_empty):
            return (row[field] is None) == is_empty
        case _:
            value = row[predicate.field]
            return predicate.empty if value is None else _fits(predicate, value)


def _fits(test: Compare | Within | Has, value: Any) -> bool:
    if (isinstance(value, float) and math.isnan(value)) or (isinstance(value, str) and "\x00" in value):
        return True
    value = value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
    match test:
        case Compare(value=other):
            return _TESTS[test.test](value, other)
        case Within(values=values, inside=inside):
            return (value in values) == inside
        case Has(place=place, text=text, there=there):
            return _PLACES[place](value, text) == there
