"""Values of databases as typed columns: from the wire, to the wire, and what a column of a table is.

Numbers, booleans and bytes come from a driver as Python values; decimals, dates, times and JSON come as text and are
parsed a column at a time. What cannot be represented exactly is marked bad instead of being rounded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

import polars as pl

from connectors.casting import canonical_all
from rules.schema import FREE_SCALE, Field, FieldType, Schema

_PRECISION = 38
_DATE, _TIME, _STAMP = "%Y-%m-%d", "%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"
_WRITE_TIME, _WRITE_STAMP = "%H:%M:%S%.6f", "%Y-%m-%d %H:%M:%S%.6f"
_UTC = "+00:00"
_ZONED = r"[+-]\d\d(?::?\d\d)?$"


@dataclass(frozen=True)
class Column:
    """A column of a table: its field, the name of its own type, and the type without length for casts.

    `computed` columns are always filled in by the database and must not be written at all. Of what is no column of the
    table, but made of its columns, `made` is the expression.
    """

    field: Field
    native: str
    cast: str = ""
    computed: bool = False
    made: Any = dataclass_field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Return the field's name."""
        return self.field.name


@dataclass(frozen=True)
class Table:
    """A table or view as the catalogue of the database shows it."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    kind: str = "table"
    bulk: bool = True
    """The database's bulk loading may be used."""
    unsafe: str = ""
    """The name of a storage engine without transactions, which is not written to."""

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """Return the columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def schema(self) -> Schema:
        """Return the fields and the key."""
        return Schema(tuple(column.field for column in self.columns), self.key)


@dataclass(frozen=True)
class Decoded:
    """A typed column and a mask of the values that could not be represented (None: all could)."""

    values: pl.Series
    bad: pl.Series | None = None


def decode(field: Field, values: Sequence[Any]) -> Decoded:
    """Return what a driver gave for a column as a column of the field's type."""
    try:
        raw = pl.Series(field.name, values, dtype=_wire_type(field), strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        return _one_by_one(field, values)
    return parse(raw, field)


def convert(values: Decoded, field: Field) -> Decoded:
    """Return a typed column with the type that a caller asked for, where the system's own type is another one."""
    if values.values.dtype == field.dtype and field.type is not FieldType.JSON:
        return values
    text = to_text(values.values)
    done = parse(text if _wire_type(field) == pl.String else text.cast(_wire_type(field), strict=False), field)
    lost = done.values.is_null() & values.values.is_not_null()
    return Decoded(done.values, lost | values.bad if values.bad is not None else lost)


def parse(raw: pl.Series, field: Field) -> Decoded:
    """Return a column of wire values as typed values; texts are parsed."""
    parser = _PARSERS.get(field.type)
    if parser is None:
        return Decoded(raw)
    typed = parser(raw, field)
    lost = typed.null_count() - raw.null_count()
    return Decoded(typed, typed.is_null() & raw.is_not_null() if lost else None)


def truths(name: str, numbers: Decoded) -> Decoded:
    """Return numbers as booleans; what is neither 0 nor 1 is bad."""
    values = numbers.values
    fine = values.is_in([0, 1]).fill_null(value=True)
    typed = pl.select(pl.when(fine).then(values == 1)).to_series().alias(name)
    bad = ~fine if numbers.bad is None else ~fine | numbers.bad
    return Decoded(typed, bad if bad.any() else None)


def to_text(values: pl.Series) -> pl.Series:
    """Return a typed column as texts that every database understands; date-times in ISO form, instants in UTC."""
    kind = values.dtype
    if isinstance(kind, pl.Datetime):
        values = values if kind.time_zone in {None, "UTC"} else values.dt.convert_time_zone("UTC")
        return values.dt.replace_time_zone(None).dt.to_string(_WRITE_STAMP)
    if kind == pl.Time:
        return values.dt.to_string(_WRITE_TIME)
    if kind == pl.Binary:
        return values.bin.encode("hex")
    return values.cast(pl.String)


def to_wire(values: pl.Series) -> pl.Series:
    """Return a typed column as values that drivers take: numbers, booleans and bytes as they are, the rest as text."""
    return to_text(values) if values.dtype.is_temporal() or values.dtype.is_decimal() else values


def since_value(field: Field, value: Any) -> Any:
    """Return a cursor's start as a wire value.

    Args:
        field: The cursor's field.
        value: The Python value, or its text: ISO form for dates and times (an instant without zone is UTC), digits for
            numbers.

    Raises:
        ValueError: It is no value of the field's type.
    """
    if value is None or isinstance(value, bool):
        return value
    reader = _SINCE.get(field.type)
    try:
        return reader(value) if reader else value
    except (InvalidOperation, TypeError) as error:
        raise ValueError(str(value)) from error


def position_value(value: Any) -> Any:
    """Return a wire value as a JSON value; `wire_value` reads it."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"hex": bytes(value).hex()}
    return {"float": repr(value)} if isinstance(value, float) else value


def wire_value(value: Any) -> Any:
    """Return the wire value that `position_value` gave."""
    if isinstance(value, Mapping):
        return bytes.fromhex(value["hex"]) if "hex" in value else float(value["float"])
    return value


def _wire_type(field: Field) -> pl.DataType:
    return pl.String() if field.type in _PARSERS else field.dtype


def _one_by_one(field: Field, values: Sequence[Any]) -> Decoded:
    """Find the values that are of another kind or too large, which one check of the whole column cannot tell."""
    kept: list[Any] = []
    bad: list[bool] = []
    for value in values:
        try:
            pl.Series([value], dtype=_wire_type(field), strict=True)
        except (TypeError, OverflowError, pl.exceptions.PolarsError):
            kept.append(None)
            bad.append(True)
        else:
            kept.append(value)
            bad.append(False)
    done = parse(pl.Series(field.name, kept, dtype=_wire_type(field)), field)
    mask = pl.Series(bad, dtype=pl.Boolean)
    return Decoded(done.values, mask if done.bad is None else mask | done.bad)


def _decimal(raw: pl.Series, field: Field) -> pl.Series:
    # casting cuts off digits that do not fit, so a text with more digits behind the point has to be found first
    scale = FREE_SCALE if field.scale is None else field.scale
    exact = raw.str.contains(rf"^[+-]?\d+(?:\.\d{{0,{scale}}}0*)?$")
    if not exact.all():
        raw = pl.Series(raw.name, [_plain(text, scale) for text in raw], dtype=pl.String)
    return raw.cast(pl.Decimal(_PRECISION, scale), strict=False)


def _plain(text: str | None, scale: int) -> str | None:
    try:
        number = Decimal(text) if text is not None else None
    except InvalidOperation:
        return None
    if number is None or not number.is_finite():
        return None
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - finite
    places = -exponent - (len(digits) - len("".join(map(str, digits)).rstrip("0"))) if any(digits) else 0
    if places > scale or number.adjusted() > _PRECISION:
        return None
    return f"{number:f}" if exponent > -4 * _PRECISION else "0"


def _date(raw: pl.Series, _: Field) -> pl.Series:
    return raw.str.to_date(_DATE, strict=False)


def _time(raw: pl.Series, _: Field) -> pl.Series:
    return raw.str.to_time(_TIME, strict=False)


def _local(raw: pl.Series, _: Field) -> pl.Series:
    return raw.str.replace("T", " ", literal=True).str.to_datetime(_STAMP, strict=False, time_unit="us")


def _instant(raw: pl.Series, field: Field) -> pl.Series:
    if raw.str.ends_with(_UTC).all():  # the usual form, told without a look for others
        return _local(raw.str.strip_suffix(_UTC), field).dt.replace_time_zone("UTC")
    text = raw.str.replace("T", " ", literal=True).str.replace("Z", "", literal=True)
    zone = text.str.extract(f"({_ZONED})")
    # sessions run in UTC, so zones other than +00 only come from values that a system keeps as text
    plain = text.str.replace(r"\+00(?::?00)?$", "")
    if zone.is_in(["+00", "+00:00", "+0000"]).all():
        return plain.str.to_datetime(_STAMP, strict=False, time_unit="us").dt.replace_time_zone("UTC")
    padded = pl.select(pl.when(zone.is_null()).then(plain + "+00:00").otherwise(text)).to_series()
    return padded.str.to_datetime(f"{_STAMP}%#z", strict=False, time_unit="us", time_zone="UTC").alias(raw.name)


def _json(raw: pl.Series, _: Field) -> pl.Series:
    return canonical_all(raw)


_PARSERS: Mapping[FieldType, Callable[[pl.Series, Field], pl.Series]] = {
    FieldType.DECIMAL: _decimal,
    FieldType.DATE: _date,
    FieldType.TIME: _time,
    FieldType.DATETIME: _instant,
    FieldType.LOCAL_DATETIME: _local,
    FieldType.JSON: _json,
}


def _since_instant(value: Any) -> str:
    stamp = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
    return (stamp.astimezone(dt.UTC) if stamp.tzinfo else stamp).strftime(_stamp_format(stamp))


def _since_local(value: Any) -> str:
    stamp = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
    return stamp.replace(tzinfo=None).strftime(_stamp_format(stamp))


def _stamp_format(stamp: dt.datetime) -> str:
    # %Y does not pad years below 1000 everywhere
    return f"{stamp.year:04d}-%m-%d %H:%M:%S.%f"


def _since_date(value: Any) -> str:
    return (value if isinstance(value, dt.date) else dt.date.fromisoformat(value)).isoformat()


def _since_time(value: Any) -> str:
    return (value if isinstance(value, dt.time) else dt.time.fromisoformat(value)).strftime("%H:%M:%S.%f")


def _since_decimal(value: Any) -> str:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(str(value))
    return f"{number:f}"


_SINCE: Mapping[FieldType, Callable[[Any], Any]] = {
    FieldType.TEXT: str,
    FieldType.JSON: str,
    FieldType.INTEGER: int,
    FieldType.FLOAT: float,
    FieldType.DECIMAL: _since_decimal,
    FieldType.DATE: _since_date,
    FieldType.TIME: _since_time,
    FieldType.DATETIME: _since_instant,
    FieldType.LOCAL_DATETIME: _since_local,
}
