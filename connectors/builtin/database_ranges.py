"""Ranges of a table by its key: where it can be cut, and what lies between two cuts.

The database sorts and compares in both, by the expression that pages are sorted by, so that each record lies in one
range, whatever its collation takes for smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_flavor import Flavor
from connectors.builtin.database_types import Column, Table
from connectors.ranges import Cuts, KeyRange
from rules.schema import FieldType

CUT = (FieldType.INTEGER, FieldType.TEXT)
"""The types of keys that a table can be cut by: their values are the same in JSON."""

Session = Callable[[], AbstractContextManager[sa.Connection]]


def within(flavor: Flavor, table: Table, wanted: KeyRange) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that a record lies in a range."""
    column = table.by_name[wanted.key]
    order, conditions = flavor.order(column), []
    if wanted.start is not None:
        conditions.append(order >= flavor.parameter(column, wanted.start))
    if wanted.end is not None:
        conditions.append(order < flavor.parameter(column, wanted.end))
    return conditions


def cuts(flavor: Flavor, session: Session, table: Table, source: sa.FromClause, wanted: tuple[str, int]) -> Cuts:
    """Return the keys by which a table falls into ranges of so many records; nothing where it cannot be cut.

    Each is found by the index of the key, from the one before it on: all in all it is gone through once.
    """
    key, every = wanted
    column, found = table.by_name.get(key), list[Any]()
    if column is None or table.key != (key,) or not _sorts(table, column):
        return found
    with session() as connection:
        while True:
            cut = connection.execute(_next(flavor, source, column, (found[-1:], every))).scalar()
            if cut is None:
                return found
            found.append(cut)


def _sorts(table: Table, column: Column) -> bool:
    return table.kind == "table" and column.field.type in CUT and not column.field.nullable


def _next(flavor: Flavor, source: sa.FromClause, column: Column, place: tuple[list[Any], int]) -> sa.Select[Any]:
    behind, every = place
    order = flavor.order(column)
    statement = sa.select(flavor.wire(column)).select_from(source).order_by(order).offset(every).limit(1)
    return statement.where(*(order >= flavor.parameter(column, cut) for cut in behind))
