"""Records as the file of a `LOAD DATA LOCAL INFILE`, which is the fastest way into MySQL and MariaDB.

The server treats such a load like `INSERT IGNORE`: it warns, changes values and leaves rows out instead of refusing.
So a load counts only if there was no warning at all and each row was inserted.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping

import polars as pl

from connectors.builtin.database_types import Column, Table, to_wire
from rules.schema import FieldType

_STATEMENT = (
    "LOAD DATA LOCAL INFILE 'syncline' INTO TABLE {table} CHARACTER SET utf8mb4"
    " FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' ({places}){sets}"
)
NO_LOADS = {1148, 3948, 4166}
"""The server's numbers for a load that it does not allow."""
_NULL = "NULL"
"""Without quotes it is no text."""
GEOMETRIES = {
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection",
}  # fmt: skip
_FIRST_STAMP, _LAST_STAMP = 1_000_000, (2**31 - 1) * 1_000_000
_SIZES = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_MOST_SINGLE = 3.4e38
_MOST_INTEGER = 2**63 - 1
_MEMBER = re.compile(r"'((?:[^']|'')*)'")


def loadable(records: pl.DataFrame, table: Table) -> bool:
    """Tell whether all columns of the records can be loaded from texts."""
    return bool(records.width) and not any(table.by_name[name].native in GEOMETRIES for name in records.columns)


def statement(names: list[str], columns: list[Column], table: str, quote: Callable[[str], str]) -> str:
    """Return the statement that loads columns into a table.

    Args:
        names: The columns' names there.
        columns: What they are.
        table: The quoted name of the table.
        quote: Quotes a name.
    """
    places, sets = [], []
    for number, (name, column) in enumerate(zip(names, columns, strict=True)):
        made = _MADE.get(_form(column))
        places.append(quote(name) if made is None else f"@v{number}")
        if made is not None:
            sets.append(f"{quote(name)} = {made.format(f'@v{number}')}")
    return _STATEMENT.format(table=table, places=", ".join(places), sets=f" SET {', '.join(sets)}" if sets else "")


def content(records: pl.DataFrame, columns: list[Column]) -> memoryview:
    """Return the file's content."""
    texts = [_texts(values, column) for values, column in zip(records.get_columns(), columns, strict=True)]
    written = io.BytesIO()
    pl.DataFrame([text.alias(str(number)) for number, text in enumerate(texts)]).write_csv(
        written, include_header=False, quote_style="non_numeric", null_value=_NULL
    )
    return written.getbuffer()


def doubtful(records: pl.DataFrame, table: Table) -> pl.Series:
    """Return which records hold a value that the server probably does not take, so that the others load at once."""
    found = pl.repeat(value=False, n=records.height, dtype=pl.Boolean, eager=True)
    for values in records.get_columns():
        test = _TESTS.get(table.by_name[values.name].native)
        mask = test(values, table.by_name[values.name]) if test else None
        if mask is not None:
            found |= mask.fill_null(value=False)
    return found


def _form(column: Column) -> str:
    return "bit" if column.native == "bit" else column.field.type.value


_MADE: Mapping[str, str] = {"bit": "CAST({} AS UNSIGNED)", FieldType.BINARY.value: "UNHEX({})"}


def _texts(values: pl.Series, column: Column) -> pl.Series:
    if values.dtype == pl.Boolean:
        return values.cast(pl.Int8)
    if values.dtype == pl.Binary:
        return values.bin.encode("hex")
    if values.dtype.is_decimal() and column.field.scale is not None:
        return values.cast(pl.Decimal(38, column.field.scale))
    return to_wire(values) if values.dtype.is_temporal() else values


def _integers(values: pl.Series, column: Column) -> pl.Series | None:
    bits, unsigned = _SIZES[column.native], "unsigned" in column.cast
    first, last = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not values.dtype.is_integer():
        return None
    return (values < first) | (values > last) if last <= _MOST_INTEGER else values < first


def _stamps(values: pl.Series, _: Column) -> pl.Series:
    since = values.cast(pl.Int64)
    return (since < _FIRST_STAMP) | (since > _LAST_STAMP)


def _members(values: pl.Series, column: Column) -> pl.Series:
    members = [member.replace("''", "'") for member in _MEMBER.findall(column.cast)]
    return ~values.is_in(members)


def _singles(values: pl.Series, _: Column) -> pl.Series:
    return values.abs() > _MOST_SINGLE


_TESTS: Mapping[str, Callable[[pl.Series, Column], pl.Series | None]] = {
    **dict.fromkeys(_SIZES, _integers),
    "timestamp": _stamps,
    "enum": _members,
    "float": _singles,
}
