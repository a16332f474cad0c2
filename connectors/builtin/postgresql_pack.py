"""Typed columns as PostgreSQL's binary COPY format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary".

A row is the number of its fields and, for each, a length (-1: null) and that many bytes. The pieces are made a column
at a time and joined row by row, so no value becomes a Python object. Only what is certain to arrive unchanged is
packed: `packable` says no to any other type of column and to values outside a type's range, which then go as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from connectors.builtin.database_types import Column, Table

HEAD, TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
"""What comes before the first row and behind the last."""

EPOCH_DAYS, EPOCH_MICROS = 10_957, 946_684_800_000_000
"""1 January 2000, from which PostgreSQL counts, since 1970."""
GROUP = 10_000
"""The base of the digits of a `numeric`."""
NEGATIVE = 0x4000

_ROWS = 10_000
_NULL = 0xFFFF_FFFF
_DIGITS = 4
_MOST_SCALE = 18  # a fraction fits into 64 bits
_MOST_WHOLE = 10**18
_JSONB_VERSION = 1

Array = np.ndarray[Any, Any]

_INTEGERS: Mapping[str, str] = {"bigint": ">i8", "integer": ">i4", "smallint": ">i2"}
_TEXTS = {"text", "character varying", "character", "json"}
_FIRST: Mapping[str, Any] = {"date": date(1, 1, 1), "timestamp": datetime(1, 1, 1)}  # noqa: DTZ001 - compared in UTC
_LAST: Mapping[str, Any] = {"date": date(9999, 12, 31), "timestamp": datetime(9999, 12, 31, 23, 59, 59)}  # noqa: DTZ001


def packable(records: pl.DataFrame, table: Table) -> bool:
    """Tell whether records can be packed exactly for a table (whose own types they have)."""
    return all(_fits(values, table.by_name[values.name]) for values in records)


def packed(records: pl.DataFrame, table: Table) -> Iterator[memoryview]:
    """Yield records in the binary format, some thousand rows at a time, without head and tail."""
    for part in records.iter_slices(_ROWS):
        pieces = [_constant(np.full(part.height, part.width, ">i2"))]
        for values in part:
            pieces += _pieces(values, table.by_name[values.name])
        joined = pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))
        offsets = np.frombuffer(joined.buffers()[1], np.int64)
        yield memoryview(joined.buffers()[2])[: offsets[part.height]]


def _fits(values: pl.Series, column: Column) -> bool:
    native = column.native
    if native in _PLAIN:
        return bool(values.dtype == _PLAIN[native])
    if native in _INTEGERS:
        limits = np.iinfo(_INTEGERS[native])
        return values.dtype == pl.Int64 and _between(values, limits.min, limits.max)
    if native == "numeric":
        return _decimal_fits(values)
    if native == "uuid":
        return bool(values.str.contains(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$").all())
    return _time_fits(values, native)


def _decimal_fits(values: pl.Series) -> bool:
    kind = values.dtype
    return isinstance(kind, pl.Decimal) and kind.scale <= _MOST_SCALE and _between(values, -_MOST_WHOLE, _MOST_WHOLE)


def _time_fits(values: pl.Series, native: str) -> bool:
    if native == "date":
        return values.dtype == pl.Date and _between(values, _FIRST["date"], _LAST["date"])
    if native not in _STAMPS or not isinstance(values.dtype, pl.Datetime) or values.dtype.time_unit != "us":
        return False
    wall = values.dt.replace_time_zone(None)
    zoned = values.dtype.time_zone == "UTC"
    return zoned is _STAMPS[native] and _between(wall, _FIRST["timestamp"], _LAST["timestamp"])


def _between(values: pl.Series, first: Any, last: Any) -> bool:
    low, high = values.min(), values.max()
    return low is None or bool(first <= low and high <= last)


def _pieces(values: pl.Series, column: Column) -> list[pa.Array]:
    if column.native == "numeric":
        return [_numeric(values)]
    if column.native == "uuid":
        return _lengthy(values.str.replace_all("-", "", literal=True).str.decode("hex"))
    if column.native in _FIXED:
        kind, numbers = _FIXED[column.native]
        return [_fixed(numbers(values), kind, _nulls(values))]
    return _lengthy(values, versioned=column.native == "jsonb")


def _nulls(values: pl.Series) -> Array | None:
    return values.is_null().to_numpy() if values.null_count() else None


def _lengthy(values: pl.Series, *, versioned: bool = False) -> list[pa.Array]:
    """Return the lengths and the bytes of texts or bytes; a `jsonb` begins with the number of its form."""
    sizes = values.str.len_bytes() if values.dtype == pl.String else values.bin.size()
    body = values.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_binary())
    body = pc.fill_null(body, b"") if body.null_count else body
    if not versioned:
        return [_constant(sizes.fill_null(_NULL).to_numpy().astype(">u4")), body]
    head = np.empty(values.len(), dtype=[("size", ">u4"), ("version", "u1")])
    head["size"], head["version"] = sizes.fill_null(0).to_numpy() + 1, _JSONB_VERSION
    return [_cut(head, 4, _nulls(values)), body]


def _fixed(numbers: Array, kind: str, nulls: Array | None) -> pa.Array:
    """Return numbers of one size with their lengths before them."""
    cells = np.empty(len(numbers), dtype=[("size", ">u4"), ("value", kind)])
    cells["size"], cells["value"] = np.dtype(kind).itemsize, numbers
    return _cut(cells, 4, nulls)


def _numeric(values: pl.Series) -> pa.Array:
    """Return decimals as digits of base 10,000; leading and trailing zeros are PostgreSQL's to strip."""
    scale: int = values.dtype.scale  # type: ignore[attr-defined]
    number, power = pl.col(values.name).to_physical().fill_null(0), 10**scale
    parts = values.to_frame().select(
        fraction=(number.abs() % power).cast(pl.Int64),
        whole=(number.abs() // power).cast(pl.Int64),
        negative=number < 0,
    )
    fraction, whole = parts["fraction"].to_numpy(), parts["whole"].to_numpy()
    digits: list[Array] = []
    short = scale % _DIGITS
    if short:
        digits.append(fraction % 10**short * 10 ** (_DIGITS - short))
        fraction = fraction // 10**short
    for _ in range(scale // _DIGITS):
        digits.append(fraction % GROUP)
        fraction = fraction // GROUP
    behind = len(digits)
    while whole.any():
        digits.append(whole % GROUP)
        whole = whole // GROUP
    shape = [("size", ">u4"), ("count", ">i2"), ("weight", ">i2"), ("sign", ">u2"), ("scale", ">i2")]
    cells = np.empty(values.len(), dtype=[*shape, ("digits", ">i2", (len(digits),))])
    cells["size"], cells["count"] = 8 + 2 * len(digits), len(digits)
    cells["weight"], cells["scale"] = len(digits) - behind - 1, scale
    cells["sign"] = np.where(parts["negative"].to_numpy(), NEGATIVE, 0)
    for place, digit in enumerate(reversed(digits)):
        cells["digits"][:, place] = digit
    return _cut(cells, 4, _nulls(values))


def _cut(cells: Array, kept: int, nulls: Array | None) -> pa.Array:
    """Return cells as bytes; of those that are null only the length, -1, is kept."""
    if nulls is None:
        return _constant(cells)
    width = cells.dtype.itemsize
    cells["size"][nulls] = _NULL
    wanted = np.ones((len(cells), width), dtype=bool)
    wanted[nulls, kept:] = False
    flat = cells.view(np.uint8).reshape(-1, width)[wanted]
    return _binary(np.cumsum(np.where(nulls, kept, width), dtype=np.int64), flat)


def _constant(cells: Array) -> pa.Array:
    return _binary(np.arange(1, len(cells) + 1, dtype=np.int64) * cells.dtype.itemsize, cells)


def _binary(ends: Array, data: Array) -> pa.Array:
    offsets = np.concatenate((np.zeros(1, np.int64), ends))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(ends), buffers, null_count=0)


def _filled(values: pl.Series) -> Array:
    return values.to_physical().fill_null(0).to_numpy()


_PLAIN: Mapping[str, Any] = {
    **dict.fromkeys((*_TEXTS, "jsonb"), pl.String),
    "double precision": pl.Float64,
    "boolean": pl.Boolean,
    "bytea": pl.Binary,
    "time without time zone": pl.Time,
}
_STAMPS = {"timestamp without time zone": False, "timestamp with time zone": True}
_FIXED: Mapping[str, tuple[str, Callable[[pl.Series], Array]]] = {
    **{native: (kind, _filled) for native, kind in _INTEGERS.items()},
    "double precision": (">f8", _filled),
    "boolean": ("u1", lambda values: _filled(values.cast(pl.UInt8))),
    "date": (">i4", lambda values: _filled(values) - EPOCH_DAYS),
    "time without time zone": (">i8", lambda values: _filled(values) // 1000),
    **dict.fromkeys(_STAMPS, (">i8", lambda values: _filled(values) - EPOCH_MICROS)),
}
