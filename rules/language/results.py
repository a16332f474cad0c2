"""From the runtime's values back to a column of the wanted type."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import polars as pl

from rules.language.jsontext import write_json
from rules.schema import FREE_SCALE, Field, FieldType
from rules.text import Message, msg

PRECISION = 38
_CONTEXT = Context(prec=400)
_INT64 = 2**63


class Misfit(ValueError):
    """A value is not of the type that its expression promised; `message` says what it is."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def _wrong(value: object, wanted: FieldType) -> Misfit:
    return Misfit(msg("The result is {value}, but {type} is needed.", value=shown(value), type=wanted.value))


def shown(value: object) -> str:
    """Return a value as a message quotes it: short, text in quotes."""
    text = f"'{value}'" if isinstance(value, str) else "empty" if value is None else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _exactly(kind: type, wanted: FieldType) -> Callable[[Any], Any]:
    def take(value: Any) -> Any:
        if type(value) is not kind:
            raise _wrong(value, wanted)
        return value

    return take


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is not float or not value.is_integer() or not -_INT64 <= value < _INT64:
        raise _wrong(value, FieldType.INTEGER)
    return int(value)


def _float(value: Any) -> float:
    if type(value) not in (int, float):
        raise _wrong(value, FieldType.FLOAT)
    return float(value)


def _moment(wanted: FieldType) -> Callable[[Any], datetime]:
    check = _exactly(datetime, wanted)

    def take(value: Any) -> datetime:
        moment: datetime = check(value).astimezone(UTC)
        return moment if wanted is FieldType.DATETIME else moment.replace(tzinfo=None)

    return take


def _date(value: Any) -> date:
    return _moment(FieldType.DATE)(value).date()


def decimals(scale: int, room: int) -> Callable[[Any], Decimal]:
    """Return what rounds a number, by its shortest text, half-even to a scale; exact values pass as they are.

    `room` is the scale of the column that takes the values.
    """
    step = Decimal(1).scaleb(-scale)

    def take(value: Any) -> Decimal:
        if type(value) in (Decimal, int):
            return _bounded(Decimal(value), room)
        if type(value) is not float:
            raise _wrong(value, FieldType.DECIMAL)
        if not math.isfinite(value):
            raise Misfit(msg("The result is too large or not a number."))
        return _bounded(Decimal(repr(value)).quantize(step, ROUND_HALF_EVEN, _CONTEXT), room)

    return take


def _bounded(value: Decimal, scale: int) -> Decimal:
    if value and value.adjusted() >= PRECISION - scale:
        raise Misfit(
            msg("The result {value} is too large for a decimal with {scale} decimals.", value=str(value), scale=scale)
        )
    return value


def _binary(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray)):
        raise _wrong(value, FieldType.BINARY)
    return bytes(value)


def _json(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    try:
        return write_json(value)
    except (TypeError, ValueError):
        raise _wrong(value, FieldType.JSON) from None


_TAKERS: dict[FieldType, Callable[[Any], Any]] = {
    FieldType.TEXT: _exactly(str, FieldType.TEXT),
    FieldType.BOOLEAN: _exactly(bool, FieldType.BOOLEAN),
    FieldType.INTEGER: _integer,
    FieldType.FLOAT: _float,
    FieldType.DATE: _date,
    FieldType.DATETIME: _moment(FieldType.DATETIME),
    FieldType.LOCAL_DATETIME: _moment(FieldType.LOCAL_DATETIME),
    FieldType.BINARY: _binary,
    FieldType.JSON: _json,
}


def taker(field: Field, column: Field) -> Callable[[Any], Any]:
    """Return what turns one value of the runtime, meant for a field, into a value of a column; raises `Misfit`."""
    if isinstance(column.dtype, pl.Decimal):
        return decimals(FREE_SCALE if field.scale is None else field.scale, column.dtype.scale)
    return _TAKERS[field.type]


def widest_scale(target: int | None, sources: Iterable[int | None]) -> int:
    """Return the scale that holds rounded results and the stored values they may be mixed with."""
    scales = [FREE_SCALE if scale is None else scale for scale in (target, *sources)]
    return max(scales)
