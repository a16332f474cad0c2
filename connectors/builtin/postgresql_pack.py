"""Typed columns as PostgreSQL's binary COPY format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary".

A row is the number of its fields and, for each, a length (-1: null) and that many bytes. The pieces are made a column
at a time and joined row by row, so no value becomes a Python object. Only what is certain to arrive unchanged is
packed: `packable` says no to any other type of column and to values outside a type's range, which then go as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
JSONB_VERSION = 1

_ROWS, _BYTES = 25_000, 16 * 2**20
_NULL = 0xFFFF_FFFF
_LENGTH = 4
_DIGITS = 4
_SAME = 64
"""Texts of one length, if it is no longer, are packed as numbers are."""
_MOST_SCALE = 18  # a fraction fits into 64 bits
_MOST_WHOLE = 10**18

Array = np.ndarray[Any, Any]

_INTEGERS: Mapping[str, str] = {"bigint": ">i8", "integer": ">i4", "smallint": ">i2"}
_TEXTS = {"text", "character varying", "character", "json"}
_FIRST: Mapping[str, Any] = {"date": date(1, 1, 1), "timestamp": datetime(1, 1, 1)}  # noqa: DTZ001 - compared in UTC
_LAST: Mapping[str, Any] = {"date": date(9999, 12, 31), "timestamp": datetime(9999, 12, 31, 23, 59, 59)}  # noqa: DTZ001


def packable(records: pl.DataFrame, table: Table) -> bool:
    """Tell whether records can be packed exactly for a table (whose own types they have)."""
    return all(_fits(values, table.by_name[values.name]) for values in records)


def packed(records: pl.DataFrame, table: Table) -> Iterator[memoryview]:
    """Yield records in the binary format, some megabytes at a time, without head and tail."""
    width = records.estimated_size() // max(1, records.height)
    for part in records.iter_slices(int(min(_ROWS, _BYTES // (width + 1) + 1))):
        pieces, block = list[pa.Array](), [_Cell(np.full((part.height, 1), part.width, ">i2").view(np.uint8))]
        for values in part:
            cell, body = _field(values, table.by_name[values.name])
            block.append(cell)
            if body is not None:
                pieces += _joined(block), body
                block = []
        pieces += [_joined(block)] if block else []
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


@dataclass(frozen=True)
class _Cell:
    """Bytes of all rows, as many for each; of a null only the first four, its length, are kept."""

    bytes: Array
    nulls: Array | None = None


def _field(values: pl.Series, column: Column) -> tuple[_Cell, pa.Array | None]:
    """Return a field with its length: all of it in cells of one size, or only what stands before bytes that differ."""
    if column.native == "numeric":
        return _numeric(values), None
    if column.native == "uuid":
        return _lengthy(values.str.replace_all("-", "", literal=True).str.decode("hex"))
    if column.native in _FIXED:
        kind, numbers = _FIXED[column.native]
        return _fixed(numbers(values), kind, _nulls(values)), None
    return _lengthy(values, versioned=column.native == "jsonb")


def _nulls(values: pl.Series) -> Array | None:
    return values.is_null().to_numpy() if values.null_count() else None


def _lengthy(values: pl.Series, *, versioned: bool = False) -> tuple[_Cell, pa.Array | None]:
    """Return the lengths of texts or bytes, and them; a `jsonb` begins with the number of its form."""
    body = values.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_binary())
    body = pc.fill_null(body, b"") if body.null_count else body
    ends = np.frombuffer(body.buffers()[1], np.int64)[body.offset : body.offset + len(body) + 1]
    sizes, nulls = np.diff(ends), _nulls(values)
    size = int(sizes.max(initial=0))
    if 0 < size <= _SAME and not versioned and (sizes if nulls is None else sizes[~nulls]).min() == size:
        cells = np.zeros(len(sizes), dtype=[("size", ">u4"), ("value", f"V{size}")])
        cells["size"] = size
        cells["value"][... if nulls is None else ~nulls] = np.frombuffer(body.buffers()[2], np.uint8)[
            ends[0] : ends[-1]
        ].view(f"V{size}")
        return _cell(cells, nulls), None
    head = np.empty(len(sizes), dtype=[("size", ">u4"), ("version", "u1")][: 1 + versioned])
    head["size"] = sizes + versioned
    if versioned:
        head["version"] = JSONB_VERSION
    return _cell(head, nulls), body


def _fixed(numbers: Array, kind: str, nulls: Array | None) -> _Cell:
    """Return numbers of one size with their lengths before them."""
    cells = np.empty(len(numbers), dtype=[("size", ">u4"), ("value", kind)])
    cells["size"], cells["value"] = np.dtype(kind).itemsize, numbers
    return _cell(cells, nulls)


def _numeric(values: pl.Series) -> _Cell:
    """Return decimals as digits of base 10,000; leading and trailing zeros are PostgreSQL's to strip."""
    scale: int = values.dtype.scale  # type: ignore[attr-defined]
    digits, negative = _groups(values, scale)
    shape = [("size", ">u4"), ("count", ">i2"), ("weight", ">i2"), ("sign", ">u2"), ("scale", ">i2")]
    cells = np.empty(values.len(), dtype=[*shape, ("digits", ">i2", (len(digits),))])
    cells["size"], cells["count"] = 8 + 2 * len(digits), len(digits)
    cells["weight"], cells["scale"] = len(digits) + scale // -_DIGITS - 1, scale
    cells["sign"] = np.where(negative, NEGATIVE, 0)
    for place, digit in enumerate(reversed(digits)):
        cells["digits"][:, place] = digit
    return _cell(cells, _nulls(values))


def _groups(values: pl.Series, scale: int) -> tuple[list[Array], Array]:
    """Return the groups of four digits, the last one first, and which numbers are negative."""
    behind = -(scale // -_DIGITS)
    number, power = pl.col(values.name).to_physical().fill_null(0), 10**scale
    more, physical = 10 ** (behind * _DIGITS - scale), values.to_physical().fill_null(0)
    if _between(physical, -_MOST_WHOLE // more, _MOST_WHOLE // more):
        units = physical.cast(pl.Int64).to_numpy()
        return _split(np.abs(units) * more, behind), units < 0
    parts = values.to_frame().select(
        fraction=(number.abs() % power).cast(pl.Int64),
        whole=(number.abs() // power).cast(pl.Int64),
        negative=number < 0,
    )
    fraction, short = parts["fraction"].to_numpy(), scale % _DIGITS
    digits: list[Array] = []
    if short:
        digits.append(fraction % 10**short * 10 ** (_DIGITS - short))
        fraction = fraction // 10**short
    return digits + _split(fraction, scale // _DIGITS) + _split(parts["whole"].to_numpy(), 0), parts[
        "negative"
    ].to_numpy()


def _split(rest: Array, least: int) -> list[Array]:
    """Return the digits of numbers, the last one first, and at least so many."""
    digits: list[Array] = []
    while len(digits) < least or rest.any():
        higher = rest // GROUP
        digits.append(rest - higher * GROUP)
        rest = higher
    return digits


def _cell(cells: Array, nulls: Array | None) -> _Cell:
    if nulls is not None:
        cells["size"][nulls] = _NULL
    return _Cell(cells.view(np.uint8).reshape(len(cells), -1), nulls)


def _joined(block: Sequence[_Cell]) -> pa.Array:
    """Return cells that stand side by side as bytes; of those that are null only the length, -1, is kept."""
    cells = np.concatenate([cell.bytes for cell in block], axis=1)
    height, width = cells.shape
    sizes, wanted, start = np.full(height, width, np.int64), None, 0
    for cell in block:
        size = cell.bytes.shape[1]
        if cell.nulls is not None and size > _LENGTH:
            wanted = np.ones(cells.shape, dtype=bool) if wanted is None else wanted
            wanted[cell.nulls, start + _LENGTH : start + size] = False
            sizes -= np.where(cell.nulls, size - _LENGTH, 0)
        start += size
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(cells if wanted is None else cells[wanted])]
    return pa.Array.from_buffers(pa.large_binary(), height, buffers, null_count=0)


def _filled(values: pl.Series) -> Array:
    physical = values.to_physical()
    return (physical.fill_null(0) if physical.null_count() else physical).to_numpy()


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
