"""What PostgreSQL's catalogue tells about tables and columns, in one query each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import psycopg
import sqlalchemy as sa

from connectors.builtin.database_flavor import OWN_TABLE
from connectors.builtin.database_queries import Query
from connectors.builtin.database_types import Column, Table
from connectors.errors import Forbidden, Misconfigured
from connectors.spi import ObjectInfo
from rules.schema import Field, FieldType
from rules.text import msg

_SCHEMA = sa.text("""
SELECT has_schema_privilege(oid, 'USAGE') AS usable FROM pg_catalog.pg_namespace WHERE nspname = :schema
""")

_OBJECTS = sa.text("""
SELECT c.relname AS name, c.relkind::text AS kind, coalesce(obj_description(c.oid, 'pg_class'), '') AS label,
       CASE WHEN c.relkind IN ('r', 'm') AND c.reltuples >= 0 THEN c.reltuples::bigint END AS records,
       pg_relation_is_updatable(c.oid, true) & 8 = 8 AND has_table_privilege(c.oid, 'INSERT') AS writable
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND c.relname <> :own
  AND has_any_column_privilege(c.oid, 'SELECT')
""")

_TABLE = sa.text("""
SELECT c.oid, c.relkind::text AS kind, c.relkind IN ('r', 'p') AND NOT row_security_active(c.oid) AS bulk
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
""")

# domains are followed down to the type they stand for; its modifier (length, precision) comes from the domain
_COLUMNS = sa.text("""
WITH RECURSIVE base AS (
  SELECT a.attnum, a.atttypid AS typid, a.atttypmod AS typmod, a.attnotnull AS needed, a.atthasdef AS has_default
  FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT b.attnum, t.typbasetype, t.typtypmod, b.needed OR t.typnotnull, b.has_default OR t.typdefault IS NOT NULL
  FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.typid
  WHERE t.typtype = 'd'
)
SELECT a.attname AS name, format_type(b.typid, b.typmod) AS native, format_type(b.typid, -1) AS "cast",
       t.typcategory::text AS category, NOT b.needed AS nullable, b.has_default,
       a.attgenerated <> '' OR a.attidentity = 'a' AS always,
       a.attidentity = 'd' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false) AS serial,
       coalesce(col_description(a.attrelid, a.attnum), '') AS label
FROM pg_catalog.pg_attribute a
JOIN base b ON b.attnum = a.attnum JOIN pg_catalog.pg_type t ON t.oid = b.typid AND t.typtype <> 'd'
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = :oid AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
ORDER BY a.attnum
""")

_DESCRIBED = sa.text("""
SELECT format_type(d.type, d.modifier) AS native, format_type(d.type, -1) AS "cast", t.typcategory::text AS category,
       true AS nullable, false AS has_default, false AS always, false AS serial, '' AS label
FROM unnest(CAST(:types AS oid[]), CAST(:modifiers AS integer[])) WITH ORDINALITY AS d(type, modifier, place)
JOIN pg_catalog.pg_type t ON t.oid = d.type ORDER BY d.place
""")

_KEY = sa.text("""
SELECT array_agg(a.attname ORDER BY k.place)::text[] AS names
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = :oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
  AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary, i.indnkeyatts HAVING bool_and(a.attnotnull)
ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
""")

MONEY = "money"
_MONEY_SCALE = 2

_TYPES: Mapping[str, FieldType] = {
    "smallint": FieldType.INTEGER,
    "integer": FieldType.INTEGER,
    "bigint": FieldType.INTEGER,
    "oid": FieldType.INTEGER,
    "numeric": FieldType.DECIMAL,
    MONEY: FieldType.DECIMAL,
    "real": FieldType.FLOAT,
    "double precision": FieldType.FLOAT,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "time without time zone": FieldType.TIME,
    "timestamp without time zone": FieldType.LOCAL_DATETIME,
    "timestamp with time zone": FieldType.DATETIME,
    "bytea": FieldType.BINARY,
    "json": FieldType.JSON,
    "jsonb": FieldType.JSON,
}
_MODIFIER = re.compile(r"\((-?\d+)(?:,(-?\d+))?\)")
_CHARACTERS = {"character varying", "character"}
_KINDS = {"v": "view", "m": "view"}
MOST_SCALE = 38


def objects(connection: sa.Connection, schema: str) -> list[ObjectInfo]:
    """Return the tables and views of a schema that may be read."""
    usable = connection.execute(_SCHEMA, {"schema": schema}).scalar()
    if usable is None:
        raise Misconfigured(msg("The database has no schema '{schema}'.", schema=schema))
    if not usable:
        raise Forbidden(msg("The database user may not use the schema '{schema}'.", schema=schema))
    rows = connection.execute(_OBJECTS, {"schema": schema, "own": OWN_TABLE})
    found = [ObjectInfo(r.name, _KINDS.get(r.kind, "table"), r.label, r.records, bool(r.writable)) for r in rows]
    return sorted(found, key=lambda info: info.name)


def table(connection: sa.Connection, schema: str, name: str) -> Table | None:
    """Return a table or view with the columns that may be read."""
    found = connection.execute(_TABLE, {"schema": schema, "name": name}).first()
    if found is None:
        return None
    columns = tuple(_column(row) for row in connection.execute(_COLUMNS, {"oid": found.oid}))
    if not columns:
        return None
    names = {column.name for column in columns}
    keys = [tuple(row.names) for row in connection.execute(_KEY, {"oid": found.oid}) if names.issuperset(row.names)]
    # what an amount of money looks like depends on the server's language, so it is written through numbers
    bulk = found.bulk and not any(column.native == MONEY for column in columns)
    return Table(name, columns, keys[0] if keys else (), _KINDS.get(found.kind, "table"), bulk)


def described(connection: sa.Connection, query: Query) -> tuple[Column, ...]:
    """Return the columns of a query by what the server says of its result."""
    driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    with driver.cursor() as cursor:
        cursor.execute(f"{query.wrapped()} LIMIT 0".encode())
        result = cursor.pgresult
        assert result is not None  # noqa: S101 - a SELECT has one
        numbers = range(result.nfields)
        names = [(result.fname(number) or b"").decode() for number in numbers]
        types = {"types": [result.ftype(i) for i in numbers], "modifiers": [result.fmod(i) for i in numbers]}
    rows = connection.execute(_DESCRIBED, types)
    return tuple(_column(SimpleNamespace(name=name, **row._mapping)) for name, row in zip(names, rows, strict=True))  # noqa: SLF001


def _column(row: Any) -> Column:
    base = _MODIFIER.sub("", row.native)
    modifiers = _MODIFIER.search(row.native)
    first, second = (int(part) if part else None for part in modifiers.groups()) if modifiers else (None, None)
    kind = FieldType.JSON if row.category == "A" else _TYPES.get(base, FieldType.TEXT)
    numbers: dict[str, Any] = {}
    if base == MONEY:
        numbers = {"scale": _MONEY_SCALE}
    elif kind is FieldType.DECIMAL and first is not None:
        numbers = {"precision": first, "scale": max(second or 0, 0)}
        kind = kind if numbers["scale"] <= MOST_SCALE else FieldType.TEXT
    elif kind in {FieldType.TIME, FieldType.DATETIME, FieldType.LOCAL_DATETIME}:
        numbers = {"scale": first}
    elif base in _CHARACTERS:
        numbers = {"length": first}
    field = Field(
        row.name, kind, nullable=row.nullable, generated=row.always or row.serial,
        has_default=row.has_default or row.serial, label=row.label, **numbers,
    )  # fmt: skip
    return Column(field, base, row.cast, computed=row.always)
