"""Many rows in few statements: COPY on PostgreSQL, prepared statements with bound tuples on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from webapp.entities import sealed
from webapp.extensions import to_json

COPY_FROM = 200
"""From this many rows on, a copy stream beats single statements."""

Columns = Mapping[str, Sequence[Any]]
"""Column name -> values, all of one length."""


def insert(tx: sa.Connection, table: sa.Table, columns: Columns) -> None:
    """Insert rows given by columns; every column of `table` that is left out takes its default."""
    if not columns or not len(next(iter(columns.values()))):
        return
    table, columns = sealed.stored(tx, table, columns)
    names = list(columns)
    if tx.dialect.name == "postgresql":
        _copy(tx, table.name, names, zip(*(_plain(table, n, columns[n]) for n in names), strict=True))
        return
    places = ", ".join("?" * len(names))
    statement = f"INSERT INTO {_quoted(tx, table.name)} ({_list(tx, names)}) VALUES ({places})"  # noqa: S608 - names are ours and quoted
    tx.exec_driver_sql(statement, list(_bound(tx, table, columns)))


def update(tx: sa.Connection, table: sa.Table, columns: Columns) -> None:
    """Set the given columns of the rows whose `id` is given."""
    if set(columns) <= {"id"} or not len(columns["id"]):
        return
    table, columns = sealed.stored(tx, table, columns)
    names = [n for n in columns if n != "id"]
    ordered = {**{n: columns[n] for n in names}, "id": columns["id"]}
    as_text = any(isinstance(table.c[n].type, sa.JSON) for n in names)
    if tx.dialect.name == "postgresql" and (as_text or len(columns["id"]) >= COPY_FROM):
        _update_from_copy(tx, table, ordered)
        return
    if tx.dialect.name == "postgresql":
        statement = (
            sa.update(table)
            .where(table.c.id == sa.bindparam("b_id"))
            .values({n: sa.bindparam(f"b_{n}") for n in names})
        )
        rows = zip(*ordered.values(), strict=True)
        tx.execute(statement, [{f"b_{n}": v for n, v in zip(ordered, row, strict=True)} for row in rows])
        return
    assignments = ", ".join(f"{_quoted(tx, n)} = ?" for n in names)
    text = f"UPDATE {_quoted(tx, table.name)} SET {assignments} WHERE id = ?"  # noqa: S608 - names are ours and quoted
    tx.exec_driver_sql(text, list(_bound(tx, table, ordered)))


def delete(tx: sa.Connection, table: sa.Table, ids: Sequence[int]) -> None:
    """Delete the rows of these ids."""
    tx.execute(sa.delete(table).where(among(tx, table.c.id, ids)))


def among(tx: sa.Connection, column: sa.ColumnElement[Any], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Return the condition that `column` is one of `values`, with one bound value however many there are."""
    if isinstance(column.type, sealed.Sealed):
        return sealed.among(tx, column, values, among)
    if tx.dialect.name == "postgresql":
        return column == sa.any_(sa.bindparam(None, list(values), type_=postgresql.ARRAY(column.type)))
    processor = column.type.dialect_impl(tx.dialect).bind_processor(tx.dialect)
    stored = [processor(v) for v in values] if processor else list(values)
    each = sa.func.json_each(sa.bindparam(None, to_json(stored), type_=sa.Text())).table_valued("value")
    return sa.type_coerce(column, sa.types.NullType()).in_(sa.select(each.c.value))


def _update_from_copy(tx: sa.Connection, table: sa.Table, columns: Columns) -> None:
    names = list(columns)
    fields = ", ".join(f"{_quoted(tx, n)} {table.c[n].type.compile(tx.dialect)}" for n in names)
    tx.exec_driver_sql(f"CREATE TEMPORARY TABLE _bulk ({fields}) ON COMMIT DROP")
    _copy(tx, "_bulk", names, zip(*(_plain(table, n, columns[n]) for n in names), strict=True))
    assignments = ", ".join(f"{_quoted(tx, n)} = b.{_quoted(tx, n)}" for n in names if n != "id")
    tx.exec_driver_sql(f"UPDATE {_quoted(tx, table.name)} t SET {assignments} FROM _bulk b WHERE t.id = b.id")  # noqa: S608
    tx.exec_driver_sql("DROP TABLE _bulk")


def _copy(tx: sa.Connection, table: str, names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    tx.exec_driver_sql("SELECT 1")  # the transaction begins with the first statement that goes through SQLAlchemy
    driver: Any = tx.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {_quoted(tx, table)} ({_list(tx, names)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _plain(table: sa.Table, name: str, values: Sequence[Any]) -> Sequence[Any]:
    """JSON columns travel as text."""
    if isinstance(table.c[name].type, sa.JSON):
        return [v if v is None or isinstance(v, str) else to_json(v) for v in values]
    return values


def _bound(tx: sa.Connection, table: sa.Table, columns: Columns) -> Iterable[tuple[Any, ...]]:
    prepared = []
    for name, values in columns.items():
        if isinstance(table.c[name].type, sa.JSON):
            prepared.append(_plain(table, name, values))
            continue
        process = table.c[name].type.dialect_impl(tx.dialect).bind_processor(tx.dialect)
        prepared.append([process(v) for v in values] if process else values)
    return zip(*prepared, strict=True)


def _quoted(tx: sa.Connection, name: str) -> str:
    return tx.dialect.identifier_preparer.quote(name)


def _list(tx: sa.Connection, names: Sequence[str]) -> str:
    return ", ".join(_quoted(tx, n) for n in names)
