"""What SQLite tells about tables and columns: declared types are free words, read by SQLite's own rules of affinity."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_flavor import OWN_TABLE
from connectors.builtin.database_queries import Query
from connectors.builtin.database_types import Column, Table
from connectors.spi import ObjectInfo
from rules.schema import Field, FieldType

_OBJECTS = sa.text("""
SELECT name, type AS kind FROM sqlite_master
WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> :own ORDER BY name
""")
_OBJECT = sa.text("SELECT type AS kind, sql FROM sqlite_master WHERE type IN ('table', 'view') AND name = :name")
_COLUMNS = sa.text("""
SELECT name, type AS native, "notnull" AS needed, dflt_value AS standard, pk, hidden FROM pragma_table_xinfo(:name)
WHERE hidden <> 1 ORDER BY cid
""")
_KEYS = sa.text("""
SELECT i.name AS unique_index, c.name AS field, count(*) OVER (PARTITION BY i.name) AS width
FROM pragma_index_list(:name) i, pragma_index_info(i.name) c
WHERE i."unique" = 1 AND i.partial = 0 AND i.origin <> 'pk' ORDER BY width, i.seq, c.seqno
""")

_VIEW, _SAMPLE = "syncline query", 200
NUMERIC, TEXT, BLOB, REAL, INTEGER = "numeric", "text", "blob", "real", "integer"
_MODIFIER = re.compile(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_AUTOINCREMENT = re.compile(r"\bAUTOINCREMENT\b", re.IGNORECASE)

# first word found in the declared type
_WORDS: Sequence[tuple[str, FieldType]] = (
    ("BOOL", FieldType.BOOLEAN),
    ("TIMESTAMPTZ", FieldType.DATETIME),
    ("WITH TIME ZONE", FieldType.DATETIME),
    ("DATETIME", FieldType.LOCAL_DATETIME),
    ("TIMESTAMP", FieldType.LOCAL_DATETIME),
    ("DATE", FieldType.DATE),
    ("TIME", FieldType.TIME),
    ("JSON", FieldType.JSON),
    ("DEC", FieldType.DECIMAL),
    ("NUMERIC", FieldType.DECIMAL),
    ("NUMBER", FieldType.DECIMAL),
    ("MONEY", FieldType.DECIMAL),
)
_VALUES = {
    int: (FieldType.INTEGER, INTEGER),
    float: (FieldType.FLOAT, REAL),
    bytes: (FieldType.BINARY, BLOB),
}
_AFFINITIES = {INTEGER: FieldType.INTEGER, REAL: FieldType.FLOAT, BLOB: FieldType.BINARY}


def objects(connection: sa.Connection) -> list[ObjectInfo]:
    """Return tables and views; views cannot be written."""
    rows = connection.execute(_OBJECTS, {"own": OWN_TABLE})
    found = [ObjectInfo(row.name, row.kind, writable=row.kind == "table") for row in rows]
    return sorted(found, key=lambda info: info.name)


def table(connection: sa.Connection, name: str) -> Table | None:
    """Return a table or view."""
    found = connection.execute(_OBJECT, {"name": name}).first()
    if found is None:
        return None
    rows = connection.execute(_COLUMNS, {"name": name}).fetchall()
    primary = tuple(row.name for row in sorted(rows, key=lambda row: row.pk) if row.pk)
    # only a single key declared as exactly INTEGER is the row's number, which SQLite gives out itself
    numbered = len(primary) == 1 and any(row.pk and row.native.upper() == "INTEGER" for row in rows)
    serial = numbered and bool(_AUTOINCREMENT.search(found.sql or ""))
    columns = tuple(_column(row, primary, numbered=numbered, serial=serial) for row in rows)
    needed = {column.name for column in columns if not column.field.nullable}
    return Table(name, columns, primary or _unique(connection, name, needed), found.kind)


def described(connection: sa.Connection, query: Query) -> tuple[Column, ...]:
    """Return the columns of a query, which is a view of this connection for as long as that takes.

    What is calculated has no declared type; then the first records tell.
    """
    sample = connection.exec_driver_sql(f"{query.wrapped()} LIMIT {_SAMPLE}").fetchall()
    connection.exec_driver_sql(f'CREATE TEMP VIEW "{_VIEW}" AS {query.sql}')
    rows = connection.execute(_COLUMNS, {"name": _VIEW}).fetchall()
    connection.exec_driver_sql(f'DROP VIEW temp."{_VIEW}"')
    columns = [_column(row, (), numbered=False, serial=False) for row in rows]
    told = [{type(found[i]) for found in sample if found[i] is not None} for i in range(len(columns))]
    pairs = zip(rows, columns, told, strict=True)
    return tuple(column if row.native else _seen(column, kinds) for row, column, kinds in pairs)


def _seen(column: Column, kinds: set[type]) -> Column:
    """Return a column without a declared type as its values are, where they are all of one type."""
    found = _VALUES.get(kinds.pop()) if len(kinds) == 1 else None
    return column if found is None else Column(replace(column.field, type=found[0]), found[1])


def affinity(declared: str) -> str:
    """Return the affinity of a declared type: https://www.sqlite.org/datatype3.html, section 3.1."""
    text = declared.upper()
    if "INT" in text:
        return INTEGER
    if any(word in text for word in ("CHAR", "CLOB", "TEXT")):
        return TEXT
    if not text or "BLOB" in text:
        return BLOB
    return REAL if any(word in text for word in ("REAL", "FLOA", "DOUB")) else NUMERIC


def _unique(connection: sa.Connection, name: str, needed: set[str]) -> tuple[str, ...]:
    indexes: dict[str, list[str]] = {}
    for row in connection.execute(_KEYS, {"name": name}):
        indexes.setdefault(row.unique_index, []).append(row.field)
    fitting = (tuple(columns) for columns in indexes.values() if needed.issuperset(columns))
    return next(fitting, ())


def _column(row: sa.Row[Any], primary: tuple[str, ...], *, numbered: bool, serial: bool) -> Column:
    declared = row.native or ""
    modifiers = _MODIFIER.search(declared)
    first, second = (int(part) if part else None for part in modifiers.groups()) if modifiers else (None, None)
    kind = _kind(declared)
    is_number = numbered and row.name in primary
    decimal = kind is FieldType.DECIMAL and first is not None
    field = Field(
        row.name, kind, nullable=not (row.needed or is_number), length=first if kind is FieldType.TEXT else None,
        precision=first if decimal else None, scale=(second or 0) if decimal else None,
        generated=row.hidden in {2, 3} or (is_number and serial),
        has_default=row.standard is not None or is_number,
    )  # fmt: skip
    return Column(field, affinity(declared), computed=row.hidden in {2, 3})


def _kind(declared: str) -> FieldType:
    text = declared.upper()
    kind = _AFFINITIES.get(affinity(declared))
    if affinity(declared) == TEXT:
        return FieldType.TEXT
    for word, found in _WORDS:
        if word in text and kind is None:
            return found
    # a column without a type may hold anything, most often text
    return kind if kind is not None and text else FieldType.TEXT
