"""Values as any driver of Python's database interface (PEP 249) gives and takes them, and typed columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from connectors.builtin.database_types import Column, Decoded, decode, truths
from rules.schema import Field, FieldType

_MIDNIGHT = dt.datetime(1, 1, 1)  # noqa: DTZ001 - only its time counts


def text_of(value: Any) -> Any:
    """Return a driver's value as one that JSON can hold: decimals, dates and times as texts, others as they are."""
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else str(value)
    if isinstance(value, dt.datetime):
        stamp = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return stamp.isoformat(sep=" ", timespec="microseconds")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def value_of(column: Column, told: Any) -> Any:
    """Return what `text_of` was given, as the column's type says."""
    kind = column.field.type
    if told is None or not isinstance(told, str) or kind not in _READ:
        return told
    return _READ[kind](told)


def decoded(column: Column, values: Sequence[Any]) -> Decoded:
    """Return what a driver gave for a column as typed values; what is of another kind is bad."""
    field = column.field
    if field.type is FieldType.BOOLEAN:
        numbers = [int(value) if isinstance(value, (bool, int)) else value for value in values]
        return truths(column.name, decode(Field(column.name, FieldType.INTEGER), numbers))
    read = _WIRE.get(field.type, text_of)
    return decode(field, [None if value is None else read(value) for value in values])


def _bytes(value: Any) -> Any:
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


def _same(value: Any) -> Any:
    return value


def _date(value: Any) -> Any:
    whole = isinstance(value, dt.datetime) and value.time() == dt.time()
    return value.date().isoformat() if whole else text_of(value)


def _time(value: Any) -> Any:
    if isinstance(value, dt.timedelta) and dt.timedelta() <= value < dt.timedelta(days=1):
        return (_MIDNIGHT + value).time().isoformat()
    return text_of(value)


def _text(value: Any) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return repr(value) if number else text_of(value)


def _local(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=None)


def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


_WIRE: Mapping[FieldType, Callable[[Any], Any]] = {
    FieldType.BINARY: _bytes,
    FieldType.INTEGER: _integer,
    FieldType.FLOAT: _same,
    FieldType.DATE: _date,
    FieldType.TIME: _time,
    FieldType.TEXT: _text,
    FieldType.DECIMAL: _text,
}
_READ: Mapping[FieldType, Any] = {
    FieldType.DECIMAL: Decimal,
    FieldType.DATE: dt.date.fromisoformat,
    FieldType.TIME: dt.time.fromisoformat,
    FieldType.LOCAL_DATETIME: _local,
    FieldType.DATETIME: _instant,
}
