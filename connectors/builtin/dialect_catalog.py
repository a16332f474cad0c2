"""What a database tells of its tables through SQLAlchemy's inspector: columns, keys, comments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_flavor import OWN_TABLE
from connectors.builtin.database_queries import Query
from connectors.builtin.database_types import Column, Table
from connectors.spi import ObjectInfo
from rules.schema import Field, FieldType

MOST_SCALE = 38
_ODD = 100
"""A number of digits behind the point with which drivers say that there is none."""
_LONG = 18
"""A whole number of so many digits fits into 64 bits."""
_SERIAL = (True, "always")

# the first that a type is one of
_KINDS: Sequence[tuple[type[sa.types.TypeEngine[Any]], FieldType]] = (
    (sa.Boolean, FieldType.BOOLEAN),
    (sa.Integer, FieldType.INTEGER),
    (sa.Float, FieldType.FLOAT),
    (sa.Numeric, FieldType.DECIMAL),
    (sa.DateTime, FieldType.LOCAL_DATETIME),
    (sa.Date, FieldType.DATE),
    (sa.Time, FieldType.TIME),
    (sa.JSON, FieldType.JSON),
    (sa.LargeBinary, FieldType.BINARY),
    (sa.types._Binary, FieldType.BINARY),  # noqa: SLF001 - the public name of BINARY and VARBINARY's base is missing
    (sa.String, FieldType.TEXT),
)

_PYTHON: Mapping[type, FieldType] = {
    bool: FieldType.BOOLEAN,
    int: FieldType.INTEGER,
    float: FieldType.FLOAT,
    Decimal: FieldType.DECIMAL,
    dt.datetime: FieldType.LOCAL_DATETIME,
    dt.date: FieldType.DATE,
    dt.time: FieldType.TIME,
    bytes: FieldType.BINARY,
}
_SAMPLE = 200


def objects(connection: sa.Connection, schema: str | None) -> list[ObjectInfo]:
    """Return tables and views; views cannot be written."""
    found = sa.inspect(connection)
    tables = [ObjectInfo(name) for name in found.get_table_names(schema) if name.lower() != OWN_TABLE]
    views = [ObjectInfo(name, "view", writable=False) for name in found.get_view_names(schema)]
    return sorted((*tables, *views), key=lambda info: info.name)


def table(
    connection: sa.Connection, schema: str | None, name: str, kinds: Mapping[str, FieldType] | None = None
) -> Table | None:
    """Return a table or view; `kinds` are types that a dialect has beside those of SQLAlchemy, by their names."""
    inspector = sa.inspect(connection)
    try:
        found = inspector.get_columns(name, schema)
    except sa.exc.NoSuchTableError:
        return None
    if not found or name not in {*inspector.get_table_names(schema), *inspector.get_view_names(schema)}:
        return None
    told = _told(connection, schema, name)
    columns = tuple(column(one, told.get(one["name"]), kinds or {}) for one in found)
    view = name in inspector.get_view_names(schema)
    needed = {one.name for one in columns if not one.field.nullable}
    key = tuple(inspector.get_pk_constraint(name, schema).get("constrained_columns") or ())
    return Table(name, columns, key or _unique(inspector, schema, name, needed), "view" if view else "table")


def described(connection: sa.Connection, query: Query) -> tuple[Column, ...]:
    """Return the columns of a query by what the driver says of its result, else by its first records."""
    result = connection.exec_driver_sql(query.wrapped().replace("%", "%%") if _percent(connection) else query.wrapped())
    rows = result.fetchmany(_SAMPLE)
    told = list(result.cursor.description or ()) if result.cursor is not None else []
    result.close()
    names = list(result.keys())
    return tuple(_of_result(names[i], tuple(row), [found[i] for found in rows]) for i, row in enumerate(told))


def _percent(connection: sa.Connection) -> bool:
    """Tell whether the driver takes a percent sign for the beginning of a parameter."""
    return connection.dialect.paramstyle in ("format", "pyformat")


def _of_result(name: str, told: tuple[Any, ...], values: Sequence[Any]) -> Column:
    kinds = [told[1]] if isinstance(told[1], type) else [type(value) for value in values if value is not None]
    kind = next((_PYTHON[one] for one in kinds if one in _PYTHON), FieldType.TEXT)
    numbers = _digits(None, told) if kind is FieldType.DECIMAL else {}
    return Column(Field(name, kind, **numbers), kind.value)


def kind_of(native: sa.types.TypeEngine[Any], kinds: Mapping[str, FieldType]) -> FieldType:
    """Return the field type of a column's own type; what is unknown is read as text."""
    name = native.__class__.__name__.upper()
    if name in kinds:
        return kinds[name]
    if isinstance(native, sa.Numeric) and isinstance(native, sa.Integer):  # Oracle's NUMBER is what its digits say
        whole = native.scale == 0 and 0 < (native.precision or 0) <= _LONG
        return FieldType.INTEGER if whole else FieldType.DECIMAL
    found = next((kind for base, kind in _KINDS if isinstance(native, base)), FieldType.TEXT)
    if found is FieldType.LOCAL_DATETIME and getattr(native, "timezone", False):
        return FieldType.DATETIME
    return found


def _told(connection: sa.Connection, schema: str | None, name: str) -> dict[str, tuple[Any, ...]]:
    """Return what the driver tells of the columns: some dialects leave out how many digits a number has."""
    nothing = sa.select(sa.text("*")).select_from(sa.table(name, schema=schema)).where(sa.literal_column("1 = 0"))
    result = connection.execute(nothing)
    described = result.cursor.description if result.cursor is not None else ()
    normal = connection.dialect.normalize_name if connection.dialect.requires_name_normalize else str
    found = {str(normal(row[0])): tuple(row) for row in described or ()}
    result.close()
    return found


def column(found: Any, told: tuple[Any, ...] | None, kinds: Mapping[str, FieldType]) -> Column:
    """Return a column as the inspector shows it; `told` is what the driver says of it."""
    native = found["type"]
    kind = kind_of(native, kinds)
    computed = found.get("computed") is not None
    serial = _serial(found)
    numbers: dict[str, Any] = {}
    if kind is FieldType.DECIMAL:
        numbers = _digits(native, told)
        kind = FieldType.TEXT if (numbers.get("scale") or 0) > MOST_SCALE else kind
    elif kind in (FieldType.TEXT, FieldType.BINARY):
        numbers = {"length": getattr(native, "length", None)}
    elif kind in (FieldType.TIME, FieldType.LOCAL_DATETIME, FieldType.DATETIME):
        numbers = {"scale": _fraction(native)}
    field = Field(
        found["name"], kind, nullable=bool(found.get("nullable", True)), generated=serial or computed,
        has_default=serial or found.get("default") is not None, label=found.get("comment") or "", **numbers,
    )  # fmt: skip
    return Column(field, native.__class__.__name__.lower(), computed=computed)


def _serial(found: Any) -> bool:
    """Tell whether the database gives a value out itself where none is given."""
    return found.get("identity") is not None or found.get("autoincrement") in _SERIAL


def _digits(native: Any, told: tuple[Any, ...] | None) -> dict[str, Any]:
    precision, scale = getattr(native, "precision", None), getattr(native, "scale", None)
    if precision is None and told is not None and isinstance(told[4], int) and isinstance(told[5], int):
        precision, scale = told[4] or None, abs(told[5])
    if precision is None or abs(scale or 0) > _ODD:
        return {}
    return {"precision": int(precision), "scale": int(scale or 0)}


def _fraction(native: Any) -> int | None:
    """Return how many digits of a second a column keeps, where its type says so."""
    told = (getattr(native, name, None) for name in ("fsp", "precision"))
    return next((digits for digits in told if isinstance(digits, int)), None)


def _unique(inspector: sa.Inspector, schema: str | None, name: str, needed: set[str]) -> tuple[str, ...]:
    """Return the fields of a unique constraint that are never empty, the shortest."""
    try:
        found = inspector.get_unique_constraints(name, schema)
    except (NotImplementedError, sa.exc.SQLAlchemyError):
        return ()
    names = [tuple(str(column) for column in one["column_names"]) for one in found]
    return next((one for one in sorted(names, key=len) if one and needed.issuperset(one)), ())
