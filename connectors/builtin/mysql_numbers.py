"""Numbers that AUTO_INCREMENT gives to many records of one statement.

They are certain for two kinds of statements, by what the manual promises of `innodb_autoinc_lock_mode`
(https://dev.mysql.com/doc/refman/8.4/en/innodb-auto-increment-handling.html): an `INSERT` of rows that stand in the
statement has numbers without gaps in any mode; a load has them in the modes 0 and 1, as it keeps all others from
getting any until it ends. A trigger may give other numbers, and it may be made at any time, so they are looked for
afterwards in either case.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin.database_types import Table

_ROWS, _BYTES = 400, 500_000
_HOW = sa.text("""
SELECT @@innodb_autoinc_lock_mode AS mode, @@auto_increment_increment AS step
FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name = :name AND engine = 'InnoDB' AND create_options NOT LIKE '%partitioned%'
AND NOT EXISTS (SELECT 1 FROM information_schema.triggers
  WHERE event_object_schema = DATABASE() AND event_object_table = :name AND event_manipulation = 'INSERT')
""")
_HELD = 1
"""The last mode in which a load keeps all others from getting numbers."""

Parameters = Callable[[pl.Series], Sequence[Any]]


@dataclass(frozen=True)
class How:
    """How a table gives numbers: how far they are apart, and whether those of a load are without gaps."""

    step: int
    loads: bool


def how(connection: sa.Connection, table: Table, key: str) -> How | None:
    """Tell how a table gives numbers to a key; None where those of many records are not certain."""
    column = table.by_name[key]
    if table.kind != "table" or table.key != (key,) or not column.field.generated or column.computed:
        return None
    row = connection.execute(_HOW, {"name": table.name}).first()
    return How(int(row.step), int(row.mode) <= _HELD) if row else None


def loaded(connection: sa.Connection, table: str, key: str, step: int, count: int) -> range | None:
    """Return the numbers of so many records that were loaded just now; None where they have others.

    Args:
        connection: Where they were loaded.
        table: The quoted name of the table.
        key: The quoted name of the key.
        step: How far numbers are apart.
        count: How many were loaded.
    """
    first = int(connection.exec_driver_sql("SELECT LAST_INSERT_ID()").scalar_one())
    numbers = range(first, first + count * step, step)
    return numbers if _there(connection, table, key, numbers) else None


def _there(connection: sa.Connection, table: str, key: str, numbers: range) -> bool:
    """Tell whether all of the numbers are in the table."""
    there = connection.exec_driver_sql(
        f"SELECT count(*) FROM {table} WHERE {key} BETWEEN %s AND %s AND ({key} - %s) %% %s = 0",  # noqa: S608 - quoted names
        (numbers[0], numbers[-1], numbers[0], numbers.step),
    )
    return bool(there.scalar_one() == len(numbers))


def inserted(
    connection: sa.Connection, table: str, key: str, records: pl.DataFrame, parameters: Parameters, step: int
) -> list[int] | None:
    """Insert records by statements of some hundred rows, and return their numbers; None where they have others."""
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(map(quote, records.columns))
    row = f"({', '.join(['%s'] * records.width)})"
    made: list[int] = []
    for part in slices(records):
        values = zip(*map(parameters, part.get_columns()), strict=True)
        done = connection.exec_driver_sql(
            f"INSERT INTO {table} ({names}) VALUES {', '.join([row] * part.height)}",  # noqa: S608 - quoted names
            tuple(itertools.chain.from_iterable(values)),
        )
        numbers = range(done.lastrowid, done.lastrowid + part.height * step, step)
        if not _there(connection, table, key, numbers):
            return None
        made += numbers
    return made


def slices(records: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield parts that stay far below the size of a packet."""
    width = max(1, int(records.estimated_size()) // max(1, records.height))
    return records.iter_slices(max(1, min(_ROWS, _BYTES // width)))
