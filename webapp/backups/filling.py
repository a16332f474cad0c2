"""An empty database becomes an installation: tables made, rows put in, sequences moved, all in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pyarrow as pa
import sqlalchemy as sa

from webapp.access.models import FAB_METADATA
from webapp.backups import rows, tables
from webapp.backups.rows import Digest
from webapp.backups.tables import Stored
from webapp.entities import ddl, storage
from webapp.entities.models import entity as entity_table
from webapp.extensions import ForPeople
from webapp.migrations import services as migrations

Source = Callable[[Stored], Iterable[pa.RecordBatch]]
"""Gives the batches of a table, with the columns of `rows.schema`."""
Tell = Callable[[str, int], None]
"""Is told of a table that is there, and how many rows it has."""


class NotEmpty(ForPeople):
    """The database that was to be filled holds something."""


class Refused(ForPeople):
    """The database takes something that is to be put into it otherwise, or not at all."""


def require_empty(tx: sa.Connection, what: str) -> None:
    """Refuse a database that has tables; raises `NotEmpty`."""
    found = sorted(sa.inspect(tx).get_table_names())
    if found:
        shown = ", ".join(found[:3]) + (" ..." if len(found) > 3 else "")
        raise NotEmpty(
            f"{what} is not empty: it has {len(found)} tables ({shown}). Nothing was changed. "
            "Name an empty database, or drop what is in this one if nobody needs it."
        )


def fill(tx: sa.Connection, source: Source, last_ids: Mapping[str, int], tell: Tell) -> dict[str, Digest]:
    """Make all tables in an empty database and put rows in; return what each is read back as.

    Args:
        tx: the one transaction in which all of it happens.
        source: gives the rows.
        last_ids: table -> the highest id that was given out, where its sequence may be ahead of its rows.
        tell: is told of each table.

    Raises:
        Refused: a value does not fit into this kind of database, or was not read back as it was written.
    """
    migrations.lock(tx)
    FAB_METADATA.create_all(tx)
    migrations.upgrade(tx)
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    found: dict[str, Digest] = {}
    with _without_references(tx):
        for stored in tables.rooms():
            found[stored.name] = _table(tx, stored, source, tell)
        entities = storage.every(tx)
        for entity in entities:
            ddl.create(tx, entity, references=False)
        for stored in tables.of_entities(tx):
            found[stored.name] = _table(tx, stored, source, tell)
    for entity in entities:
        ddl.refer(tx, entity)
    pass_over(tx, last_ids)
    return found


def pass_over(tx: sa.Connection, last: Mapping[str, int]) -> None:
    """Give out no id up to these, table by table, nor one that a row has."""
    _count(tx, last)
    _move_sequences(tx, last)


def _table(tx: sa.Connection, stored: Stored, source: Source, tell: Tell) -> Digest:
    written = Digest()
    try:
        for batch in source(stored):
            rows.write(tx, stored, batch)
            written.add(stored, batch)
    except (sa.exc.DBAPIError, psycopg.Error) as error:  # COPY goes past SQLAlchemy
        why = str(getattr(error, "orig", error)).strip().split("\n", 1)[0]
        raise Refused(f"The database refuses rows of the table {stored.name} ({why}). Nothing was changed.") from None
    there = rows.digest(tx, stored)
    if (there.rows, there.value) != (written.rows, written.value):
        raise Refused(
            f"The table {stored.name} was not read back as it was written ({written.rows} rows against {there.rows}). "
            "Nothing was changed."
        )
    tell(stored.name, there.rows)
    return there


@contextmanager
def _without_references(tx: sa.Connection) -> Iterator[None]:
    """Take foreign keys away while rows come in, and have the database check all of them at the end (PostgreSQL)."""
    if tx.dialect.name == "sqlite":
        yield
        return
    query = sa.text(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
    )
    found = [(table, _quoted(tx, name), definition) for table, name, definition in tx.execute(query)]
    for table, name, _ in found:
        tx.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    yield
    for table, name, definition in found:
        tx.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


def last_ids(tx: sa.Connection) -> dict[str, int]:
    """Return the highest id that each table has given out, whether its row is still there or not."""
    entities = tx.execute(sa.select(entity_table.c.name, entity_table.c.last_id)).all()
    found = {f"e_{name}": int(last or 0) for name, last in entities}
    if tx.dialect.name == "sqlite":
        return found | {name: int(last) for name, last in tx.execute(sa.text("SELECT name, seq FROM sqlite_sequence"))}
    for stored in (*tables.rooms(), *tables.of_entities(tx)):
        sequence = _sequence(tx, stored.table)
        if sequence:
            last = tx.scalar(sa.text("SELECT pg_sequence_last_value(to_regclass(:name))"), {"name": sequence})
            if last:
                found[stored.name] = max(int(last), found.get(stored.name, 0))
    return found


def _pass_over(tx: sa.Connection, last: Mapping[str, int]) -> None:
    """Let SQLite give no id of these tables again."""
    for stored in tables.rooms():
        if stored.table.dialect_options["sqlite"]["autoincrement"] and stored.name in last:
            mine = {"name": stored.name, "last": last[stored.name]}
            moved = tx.execute(sa.text("UPDATE sqlite_sequence SET seq = max(seq, :last) WHERE name = :name"), mine)
            if not moved.rowcount:
                tx.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), mine)


def _count(tx: sa.Connection, last: Mapping[str, int]) -> None:
    """Note how many records each entity has and their highest id, which SQLite keeps in its row, and other last ids."""
    if tx.dialect.name != "sqlite":
        return
    _pass_over(tx, last)
    for stored in tables.of_entities(tx):
        records, highest = tx.execute(sa.select(sa.func.count(), sa.func.max(stored.table.c.id))).one()
        values = {"records": records, "last_id": max(highest or 0, last.get(stored.name, 0))}
        tx.execute(sa.update(entity_table).where(entity_table.c.name == stored.name[2:]).values(values))


def _move_sequences(tx: sa.Connection, last: Mapping[str, int]) -> None:
    """Let ids go on behind those that were given out (PostgreSQL)."""
    if tx.dialect.name != "postgresql":
        return
    for stored in (*tables.rooms(), *tables.of_entities(tx)):
        sequence = _sequence(tx, stored.table)
        if sequence:
            highest = tx.scalar(sa.select(sa.func.max(stored.table.c.id))) or 0
            highest = max(highest, last.get(stored.name, 0))
            if highest:
                tx.execute(sa.text("SELECT setval(to_regclass(:name), :last)"), {"name": sequence, "last": highest})


def _sequence(tx: sa.Connection, table: sa.Table) -> str | None:
    """Return the sequence of a table's ids."""
    column = table.c.get("id")
    if column is None:
        return None
    if isinstance(column.default, sa.Sequence):
        return str(column.default.name)
    query = sa.text("SELECT pg_get_serial_sequence(:table, 'id')")
    found: str | None = tx.scalar(query, {"table": _quoted(tx, table.name)})
    return found


def _quoted(tx: sa.Connection, name: str) -> str:
    return tx.dialect.identifier_preparer.quote(name)
