"""Paging by key: a page starts behind the last record of the one before, so that no page costs more than another.

Records are ordered by one column and then by a tie that is unique. Empty values come first, ascending, on every
database: they and the others are two segments, each of which is a plain range of an index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True)
class Mark:
    """Where a page ended: the value (None: among the empty ones) and tie of its last record."""

    value: Any
    tie: Any


@dataclass(frozen=True)
class Order:
    """By which column records are ordered, and by which unique one where values are equal."""

    column: sa.ColumnElement[Any]
    tie: sa.ColumnElement[Any]
    nullable: bool
    descending: bool = False

    @property
    def plain(self) -> bool:
        """Tell whether the column is its own tie."""
        return self.column is self.tie

    def reversed(self) -> Order:
        """Return the opposite order."""
        return Order(self.column, self.tie, self.nullable, not self.descending)


def fetch(
    tx: sa.Connection, query: sa.Select[Any], order: Order, after: Mark | None, limit: int
) -> list[Sequence[Any]]:
    """Return up to `limit` rows of `query` behind `after`, in order."""
    rows: list[Sequence[Any]] = []
    for segment in _segments(query, order, after):
        rows += tx.execute(segment.limit(limit - len(rows))).all()
        if len(rows) >= limit:
            break
    return rows


def _segments(query: sa.Select[Any], order: Order, after: Mark | None) -> Iterator[sa.Select[Any]]:
    if order.plain:
        yield _behind(query, [order.tie], [after.tie] if after else None, order)
        return
    empties = _empties(query, order, after) if order.nullable else None
    if not order.descending and empties is not None:
        yield empties
    if not (order.descending and after and after.value is None):
        filled = query.where(order.column.is_not(None)) if order.nullable else query
        start = [after.value, after.tie] if after and after.value is not None else None
        yield _behind(filled, [order.column, order.tie], start, order)
    if order.descending and empties is not None:
        yield empties


def _empties(query: sa.Select[Any], order: Order, after: Mark | None) -> sa.Select[Any] | None:
    if after and after.value is not None and not order.descending:
        return None
    start = [after.tie] if after and after.value is None else None
    return _behind(query.where(order.column.is_(None)), [order.tie], start, order)


def _behind(
    query: sa.Select[Any], columns: list[sa.ColumnElement[Any]], start: list[Any] | None, order: Order
) -> sa.Select[Any]:
    if start is not None:
        bounds = [sa.literal(value, column.type) for value, column in zip(start, columns, strict=True)]
        here, there = (columns[0], bounds[0]) if len(columns) == 1 else (sa.tuple_(*columns), sa.tuple_(*bounds))
        query = query.where(here < there if order.descending else here > there)
    return query.order_by(*(c.desc() if order.descending else c.asc() for c in columns))
