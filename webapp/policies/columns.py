"""Which records of a batch meet plain tests: as `webapp.policies.choosing` says of each of them. Pure."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from rules.predicate import Compare, Constant, Empty, Every, Has, Place, Predicate, Some, Test, Within, fields_of
from rules.schema import Field, FieldType
from webapp.policies.certain import always, compare, stepped
from webapp.policies.choosing import Types, meets

_DIGITS = 38


def chosen(predicate: Predicate, frame: pl.DataFrame, types: Types) -> pl.Series:
    """Return for each record of a batch whether it is chosen."""
    names = sorted(fields_of(predicate))
    if not names or any(name not in frame.columns or not _usual(frame.schema[name], types[name]) for name in names):
        found = [meets(predicate, record, types) for record in frame.select(_there(names, frame)).to_dicts()]
        return pl.Series("chosen", found if names else [meets(predicate, {}, types)] * frame.height, dtype=pl.Boolean)
    plain = frame.select(_plain(name, types[name]) for name in names)
    answers = plain.select(_Columns(plain.schema).expression(predicate).alias("chosen"))["chosen"]
    odd = [_strange(frame[name]) for name in names if types[name] is FieldType.FLOAT]
    return functools.reduce(lambda sure, strange: sure & ~strange, odd, answers.fill_null(value=False))


def _there(names: list[str], frame: pl.DataFrame) -> list[str]:
    return [name for name in names if name in frame.columns]


def _usual(dtype: pl.DataType, type_: FieldType) -> bool:
    if type_ is FieldType.DECIMAL:
        return isinstance(dtype, pl.Decimal)
    if type_ in (FieldType.DATETIME, FieldType.LOCAL_DATETIME):
        return isinstance(dtype, pl.Datetime)
    return dtype == Field("", type_).dtype


def _plain(name: str, type_: FieldType) -> pl.Expr:
    """Return a column as tests compare it: moments without their zone, in UTC."""
    if type_ is FieldType.DATETIME:
        # a column without a zone is in UTC already
        return pl.col(name).dt.replace_time_zone(None).dt.cast_time_unit("us")
    return pl.col(name)


def _strange(column: pl.Series) -> pl.Series:
    return column.is_nan().fill_null(value=False)


class _Columns:
    """Makes expressions over columns of known types."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema

    def expression(self, predicate: Predicate) -> pl.Expr:
        """Return the tests as an expression."""
        match predicate:
            case Every(parts=parts):
                return functools.reduce(operator.and_, map(self.expression, parts), pl.lit(value=True))
            case Some(parts=parts):
                return functools.reduce(operator.or_, map(self.expression, parts), pl.lit(value=False))
            case Empty(field=field, is_empty=is_empty):
                return pl.col(field).is_null() if is_empty else pl.col(field).is_not_null()
            case Compare():
                return self._compared(predicate)
            case Within(field=field, values=values, inside=inside):
                found = functools.reduce(operator.or_, (self._equal(field, value) for value in values))
                found = found if inside else ~found
            case Has(field=field, place=place, text=text, there=there):
                found = _LOOKED[place](pl.col(field), text)
                found = found if there else ~found
        return found.fill_null(value=predicate.empty)

    def _equal(self, field: str, value: Constant) -> pl.Expr:
        return self.expression(Compare(field, Test.EQUAL, value)).fill_null(value=False)

    def _compared(self, predicate: Compare) -> pl.Expr:
        dtype, value = self._schema[predicate.field], predicate.value
        test = predicate.test
        if isinstance(dtype, pl.Decimal) and isinstance(value, Decimal):
            stepping = stepped(test, value, dtype.scale)
            if isinstance(stepping, bool) or abs(stepping[1]) >= Decimal(10) ** (_DIGITS - dtype.scale):
                holds = stepping if isinstance(stepping, bool) else compare(test, Decimal(0), value)
                return self.expression(always(predicate.field, holds=holds, empty=predicate.empty))
            test, value = stepping
            dtype = pl.Decimal(_DIGITS, dtype.scale)
        found: pl.Expr = compare(test, pl.col(predicate.field), pl.lit(value, dtype=dtype))  # type: ignore[assignment]
        return found.fill_null(value=predicate.empty)


_LOOKED: Mapping[Place, Callable[[pl.Expr, str], pl.Expr]] = {
    Place.START: lambda column, text: column.str.starts_with(text),
    Place.END: lambda column, text: column.str.ends_with(text),
    Place.ANYWHERE: lambda column, text: column.str.contains(text, literal=True),
}
