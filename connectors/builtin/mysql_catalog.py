"""What the information schema of MySQL and MariaDB tells about tables and columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pymysql
import sqlalchemy as sa
from pymysql.constants import FIELD_TYPE, FLAG

from connectors.builtin.database_flavor import OWN_TABLE
from connectors.builtin.database_queries import Query
from connectors.builtin.database_types import Column, Table
from connectors.spi import ObjectInfo
from rules.schema import Field, FieldType

_OBJECTS = sa.text("""
SELECT t.table_name AS name, t.table_type AS kind, t.table_comment AS label, t.table_rows AS records,
       v.is_updatable AS updatable, e.transactions AS transactions
FROM information_schema.tables t
LEFT JOIN information_schema.engines e ON e.engine = t.engine
LEFT JOIN information_schema.views v ON v.table_schema = t.table_schema AND v.table_name = t.table_name
WHERE t.table_schema = DATABASE() AND t.table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')
  AND t.table_name <> :own
""")

_COLUMNS = sa.text("""
SELECT c.column_name AS name, c.data_type AS data_type, c.column_type AS column_type, c.is_nullable AS nullable,
       c.column_default AS standard, c.extra AS extra, c.character_maximum_length AS length,
       c.numeric_precision AS digits, c.numeric_scale AS scale, c.datetime_precision AS fraction,
       c.column_comment AS label, t.table_name AS called, t.table_type AS kind,
       e.engine AS engine, e.transactions AS transactions
FROM information_schema.columns c
JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
LEFT JOIN information_schema.engines e ON e.engine = t.engine
WHERE c.table_schema = DATABASE() AND c.table_name = :name
ORDER BY c.ordinal_position
""")

_KEYS = sa.text("""
SELECT index_name AS name, GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR '\\n') AS names
FROM information_schema.statistics
WHERE table_schema = DATABASE() AND table_name = :name AND non_unique = 0
GROUP BY index_name
HAVING MAX(nullable = 'YES') = 0 AND MAX(sub_part IS NOT NULL) = 0 AND MAX(column_name IS NULL) = 0
ORDER BY index_name <> 'PRIMARY', COUNT(*), index_name
""")

# MariaDB's JSON is a long text with a check
_JSON_CHECKS = sa.text("""
SELECT check_clause AS clause FROM information_schema.check_constraints
WHERE constraint_schema = DATABASE() AND table_name = :name AND check_clause LIKE 'json_valid(%'
""")
_JSON_CHECK = re.compile(r"json_valid\(`(.+)`\)")

_TYPES: Mapping[str, FieldType] = {
    "tinyint": FieldType.INTEGER,
    "smallint": FieldType.INTEGER,
    "mediumint": FieldType.INTEGER,
    "int": FieldType.INTEGER,
    "bigint": FieldType.INTEGER,
    "year": FieldType.INTEGER,
    "bit": FieldType.INTEGER,
    "decimal": FieldType.DECIMAL,
    "float": FieldType.FLOAT,
    "double": FieldType.FLOAT,
    "date": FieldType.DATE,
    "time": FieldType.TIME,
    "datetime": FieldType.LOCAL_DATETIME,
    "timestamp": FieldType.DATETIME,
    "json": FieldType.JSON,
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), FieldType.BINARY),
}
_CODES: Mapping[int, str] = {
    FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint",
    FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint",
    FIELD_TYPE.YEAR: "year",
    FIELD_TYPE.BIT: "bit",
    FIELD_TYPE.NEWDECIMAL: "decimal",
    FIELD_TYPE.FLOAT: "float",
    FIELD_TYPE.DOUBLE: "double",
    FIELD_TYPE.DATE: "date",
    FIELD_TYPE.TIME: "time",
    FIELD_TYPE.DATETIME: "datetime",
    FIELD_TYPE.TIMESTAMP: "timestamp",
    FIELD_TYPE.JSON: "json",
    FIELD_TYPE.BLOB: "text",
    FIELD_TYPE.VAR_STRING: "varchar",
    FIELD_TYPE.STRING: "char",
    FIELD_TYPE.GEOMETRY: "geometry",
}
"""The types of results."""
_BINARY, _MICROS = 63, 6
_BYTES = {"text": "blob", "varchar": "varbinary", "char": "binary"}
_BOOLEANS = {"tinyint(1)", "bit(1)"}
_LIMITED = {"char", "varchar", "binary", "varbinary"}


def objects(connection: sa.Connection) -> list[ObjectInfo]:
    """Return the tables and views of the database."""
    rows = connection.execute(_OBJECTS, {"own": OWN_TABLE})
    found = [
        ObjectInfo(r.name, "view", "", None, r.updatable == "YES")
        if r.kind == "VIEW"
        else ObjectInfo(r.name, "table", _text(r.label), r.records, r.transactions == "YES")
        for r in rows
    ]
    return sorted(found, key=lambda info: info.name)


def table(connection: sa.Connection, name: str) -> Table | None:
    """Return a table or view."""
    rows = connection.execute(_COLUMNS, {"name": name}).fetchall()
    if not rows:
        return None
    json = _json_columns(connection, name)
    columns = tuple(_column(row, json=row.name in json) for row in rows)
    key = connection.execute(_KEYS, {"name": name}).first()
    kind = "view" if rows[0].kind == "VIEW" else "table"
    unsafe = "" if rows[0].transactions in {"YES", None} else _text(rows[0].engine)
    return Table(_text(rows[0].called), columns, tuple(key.names.split("\n")) if key else (), kind, unsafe=unsafe)


def described(connection: sa.Connection, query: Query) -> tuple[Column, ...]:
    """Return the columns of a query by what the server says of its result."""
    driver: pymysql.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    with driver.cursor() as cursor:
        cursor.execute(f"{query.wrapped()} LIMIT 0")
        fields = [] if cursor._result is None else cursor._result.fields  # noqa: SLF001
    return tuple(_column(_as_row(field), json=field.type_code == FIELD_TYPE.JSON) for field in fields)


def _as_row(field: Any) -> Any:
    """Return a field of a result as the catalogue would show it; MariaDB's JSON is a long text there."""
    native = _CODES.get(field.type_code, "text")
    if field.charsetnr == _BINARY and native in _BYTES:
        native = _BYTES[native]
    if field.flags & (FLAG.ENUM | FLAG.SET):
        native = "varchar"
    signs = (1 if field.scale else 0) + (0 if field.flags & FLAG.UNSIGNED else 1)
    fraction = field.scale if field.scale <= _MICROS else 0
    return SimpleNamespace(
        name=field.name, data_type=native, extra="", standard=None, nullable="YES", length=None, label="",
        column_type=f"{native}({field.length})", digits=field.length - signs, scale=field.scale, fraction=fraction,
    )  # fmt: skip


def _json_columns(connection: sa.Connection, name: str) -> set[str]:
    if not getattr(connection.dialect, "is_mariadb", False):
        return set()
    clauses = (_JSON_CHECK.fullmatch(row.clause) for row in connection.execute(_JSON_CHECKS, {"name": name}))
    return {clause[1] for clause in clauses if clause}


def _column(row: Any, *, json: bool) -> Column:
    native = _text(row.data_type).lower()
    kind = FieldType.JSON if json else _TYPES.get(native, FieldType.TEXT)
    if _text(row.column_type).lower() in _BOOLEANS:
        kind = FieldType.BOOLEAN
    extra = _text(row.extra).lower()
    serial = "auto_increment" in extra
    standard = None if row.standard is None else _text(row.standard)
    field = Field(
        row.name, kind, nullable=row.nullable == "YES", length=row.length if native in _LIMITED else None,
        precision=row.digits if kind is FieldType.DECIMAL else None, scale=_scale(row, kind),
        generated=serial or " generated" in extra, label=_text(row.label),
        has_default=serial or (standard is not None and standard.upper() != "NULL"),
    )  # fmt: skip
    return Column(field, native, cast=_text(row.column_type), computed=" generated" in extra)


def _scale(row: Any, kind: FieldType) -> int | None:
    if kind is FieldType.DECIMAL:
        return int(row.scale)
    if kind in {FieldType.TIME, FieldType.DATETIME, FieldType.LOCAL_DATETIME}:
        return int(row.fraction or 0)
    return None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
