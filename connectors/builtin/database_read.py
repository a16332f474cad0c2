"""Reading a table page by page, by key.

Each page is a query of its own, `WHERE key > last ORDER BY key LIMIT n`, so nothing is held open between two pages, no
old versions have to be kept by the system, and a read can go on behind any page on another machine. It follows that a
read is no snapshot. What is committed meanwhile behind the place of reading is seen, before it is not; since keys are
unique and only ascend, a record is seen at most once, and again only if its sort value moved on: a new version of it.
A run that must not miss such a change uses a cursor with an overlap, and full scans are repeated anyway.

A read by cursor has two phases: records without a value by tie, then the others by value and tie; the key is appended
where tie and value leave an order open. An object without a key is read in one pass for each phase, see
`connectors.builtin.database_keyless`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin.database_filter import TableFilter
from connectors.builtin.database_flavor import Fetched, Flavor
from connectors.builtin.database_keyless import Place, begun, cells, sorted_by
from connectors.builtin.database_ranges import within
from connectors.builtin.database_types import Column, Table, convert, position_value, since_value, wire_value
from connectors.errors import Misconfigured, ObjectMissing, RecordRejected
from connectors.spi import Cursor, Digest, Page, Position, ReadRequest, Reject
from rules.predicate import Predicate
from rules.schema import Field, FieldType, Schema
from rules.text import Message, msg

BULK = 500
"""From so many records on, a page is asked for in the database's bulk form, which has a price of its own."""
_SHOWN, _SHOWN_RAW = 80, 2000

_NOTHING: sa.ColumnElement[bool] = sa.false()

Session = Callable[[], AbstractContextManager[sa.Connection]]


@dataclass(frozen=True)
class Phase:
    """A part of a read: which records, and the columns that sort them without ties."""

    condition: sa.ColumnElement[bool] | None
    order: tuple[Column, ...]
    filled: Column | None = None
    """A column that the condition keeps from being null."""

    @property
    def nullable(self) -> tuple[bool, ...]:
        """Tell for each sort column whether it may be null."""
        return tuple(column.field.nullable and column is not self.filled for column in self.order)


class Reader:
    """Reads some fields of one table."""

    def __init__(self, flavor: Flavor, source: sa.FromClause, table: Table, schema: Schema) -> None:
        self._flavor = flavor
        self._source = source
        self._table = table
        self._fields = schema.fields
        self._columns = tuple(self._column(field) for field in schema.fields)
        pairs = zip(schema.fields, self._columns, strict=True)
        # what is converted may be lost on its way, and then the row has to be shown
        self._same = all(f.type is c.field.type and f.dtype == c.field.dtype for f, c in pairs)
        plain = Schema(tuple(field for field in schema.fields if not isinstance(field, Digest)), schema.key)
        self._filter = TableFilter(flavor.tests, table, plain)

    def _column(self, field: Field) -> Column:
        if not isinstance(field, Digest):
            return column_of(self._table, field.name)
        of = [column_of(self._table, name) for name in field.of]
        return Column(field, "bigint", made=self._flavor.digest(of))

    def pages(self, session: Session, request: ReadRequest) -> Iterator[Page]:
        """Yield the pages behind `request.after`."""
        after = request.after or {}
        read = self._by_key if self._table.key else self._by_cells
        empty = True
        for page in read(session, request, after):
            empty = False
            yield page
        if empty:
            yield Page(self._empty(), dict(after))

    def lookup(
        self, session: Session, key: str, values: pl.Series, only: sa.ColumnElement[bool] | None = None
    ) -> pl.DataFrame:
        """Return the records whose key is among the values, compared exactly, and which meet a condition."""
        found, rejects = self.by_keys(session, key, values, only)
        if rejects:
            raise RecordRejected(rejects[0].message, field=rejects[0].field, object_name=self._table.name)
        return found

    def by_keys(
        self, session: Session, key: str, values: pl.Series, only: sa.ColumnElement[bool] | None = None
    ) -> tuple[pl.DataFrame, list[Reject]]:
        """Return the records whose key is among the values, as `lookup` does, and those that cannot be read."""
        column = column_of(self._table, key)
        typed = values.cast(column.field.dtype, strict=False)
        wanted = typed.filter(typed.cast(values.dtype, strict=False) == values).unique(maintain_order=True)
        found, bad = [self._empty()], list[Reject]()
        if wanted.len() > self._flavor.lookup and self._are_none(session, column, wanted):
            return found[0], bad
        for start in range(0, wanted.len(), self._flavor.lookup):
            some = wanted.slice(start, self._flavor.lookup)
            if self._are_none(session, column, some):
                continue
            with session() as connection:
                statement = self._select(()).where(self._flavor.among(column, some))
                statement = statement if only is None else statement.where(only)
                records, rejects = self._frame(self._fetch(connection, statement, (), some.len()))
            bad += rejects
            # a database may compare texts without regard to case or trailing spaces
            found.append(records.filter(pl.col(key).is_in(some.implode())) if key in records.columns else records)
        return pl.concat(found), bad

    def _are_none(self, session: Session, column: Column, numbers: pl.Series) -> bool:
        """Tell whether no record has a key from the lowest to the highest of these, as while a first load goes on."""
        if self._table.key != (column.name,) or numbers.len() < BULK or column.field.type is not FieldType.INTEGER:
            return False
        lowest, highest = (self._flavor.parameter(column, number) for number in (numbers.min(), numbers.max()))
        within = self._flavor.order(column).between(lowest, highest)
        any_ = sa.select(sa.literal(1)).select_from(self._source).where(within).limit(1)
        with session() as connection:
            self._flavor.by_index(connection)
            return connection.execute(any_).first() is None

    def only(self, schema: Schema) -> Reader:
        """Return the reader of other fields of the table."""
        return Reader(self._flavor, self._source, self._table, schema)

    def _by_key(self, session: Session, request: ReadRequest, after: Position) -> Iterator[Page]:
        phases = self._phases(request.cursor)
        behind: list[Any] = [wire_value(value) for value in after.get("behind", ())]
        for number in range(int(after.get("phase", 0)), len(phases)):
            phase, full = phases[number], True
            while full:
                with session() as connection:
                    found, left_out = self._fetched(connection, phase, behind, request)
                full = found.height == request.page_size
                behind = list(found.last) if found.height else behind
                if found.height or left_out:
                    position = {"phase": number, "behind": [position_value(value) for value in behind]}
                    if not full and request.filter is not None:  # all that was left out to the end is counted by now
                        position = {"phase": number + 1, "behind": []}
                    yield replace(self._as_page(found, position), left_out=left_out)
            behind = []

    def _fetched(
        self, connection: sa.Connection, phase: Phase, behind: Sequence[Any], request: ReadRequest
    ) -> tuple[Fetched, int]:
        """Return the rows of a page, and how many records the filter left out up to its end: those there are but these.

        Both statements see the same moment.
        """
        statement, size = self._page(phase, behind, request.page_size), request.page_size
        bounds = [] if request.within is None else within(self._flavor, self._table, request.within)
        statement = statement.where(*bounds)
        if request.filter is None:
            return self._fetch(connection, statement, phase.order, size), 0
        if self._flavor.snapshot:
            connection = connection.execution_options(isolation_level=self._flavor.snapshot)
        wanted = statement.where(self._filter.sent(request.filter))
        found = self._fetch(connection, wanted, phase.order, size)
        counted = sa.select(sa.func.count()).select_from(self._source).where(*bounds)
        if behind:
            counted = counted.where(self._behind(phase, behind))
        if found.height == size:
            (column,), value = phase.order, found.last[-1]
            counted = counted.where(self._flavor.order(column) <= self._flavor.parameter(column, value))
        return found, connection.execute(counted).scalar_one() - found.height

    def _fetch(
        self, connection: sa.Connection, statement: sa.Select[Any], places: Sequence[Column], most: int
    ) -> Fetched:
        if self._same and most >= BULK:
            if self._table.kind == "table":
                self._flavor.by_index(connection)
            return self._flavor.fetch(connection, statement, self._columns, places)
        return self._flavor.fetch_rows(connection, statement, self._columns)

    def filterable(self, request: ReadRequest) -> Predicate | None:
        """Return what of the filter the database does itself: where records are read by the one key they have."""
        if request.filter is None or request.cursor is not None or len(self._table.key) != 1:
            return None
        return self._filter.narrowed(request.filter) if self._table.key == request.schema.key else None

    def left_out(self, session: Session, request: ReadRequest, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records with one of the keys that the filter leaves out."""
        assert request.filter is not None  # noqa: S101 - there is nothing left out without
        return self.lookup(session, key, values, self._filter.not_sent(request.filter))

    def _phases(self, cursor: Cursor | None) -> list[Phase]:
        key = tuple(column_of(self._table, name) for name in self._table.key) or self._cells(cursor)
        if cursor is None:
            return [Phase(None, key)]
        field, tie = column_of(self._table, cursor.field), column_of(self._table, cursor.tie)
        value = self._flavor.order(field)
        order = tuple(dict.fromkeys((tie, *key))) if self._table.key else key
        phases = [Phase(value.is_(None), order)] if field.field.nullable else []
        return [*phases, Phase(self._since(field, cursor), tuple(dict.fromkeys((field, *order))), field)]

    def _since(self, column: Column, cursor: Cursor) -> sa.ColumnElement[bool]:
        try:
            since = since_value(column.field, cursor.since)
        except ValueError as error:
            raise Misconfigured(
                msg(
                    "'{value}' is no {type}, so '{field}' of {object} cannot be read from there.",
                    value=str(cursor.since),
                    type=column.field.type.value,
                    field=column.name,
                    object=self._table.name,
                )
            ) from error
        value = self._flavor.order(column)
        return value.is_not(None) if since is None else value >= self._flavor.start(column, since)

    def _page(self, phase: Phase, behind: Sequence[Any], size: int) -> sa.Select[Any]:
        statement = self._select(phase.order).limit(size)
        if phase.condition is not None:
            statement = statement.where(phase.condition)
        if behind:
            statement = statement.where(self._behind(phase, behind))
        pairs = zip(self._orders(phase), phase.nullable, strict=True)
        return statement.order_by(*(self._flavor.nulls_first(o) if nullable else o for o, nullable in pairs))

    def _behind(self, phase: Phase, values: Sequence[Any]) -> sa.ColumnElement[bool]:
        """Return the condition that a record sorts behind `values`, with nulls first."""
        orders = self._orders(phase)
        given = [self._flavor.parameter(*pair) for pair in zip(phase.order, values, strict=True)]
        if len(orders) > 1 and self._flavor.row_values and not any(phase.nullable):
            return sa.tuple_(*orders) > sa.tuple_(*given)
        condition = _NOTHING
        for order, parameter, value in zip(reversed(orders), reversed(given), reversed(values), strict=True):
            more = order.is_not(None) if value is None else order > parameter
            equal = order.is_(None) if value is None else order == parameter
            condition = more if condition is _NOTHING else sa.or_(more, sa.and_(equal, condition))
        # said again for the first column alone, because that is what lets an index be used
        return condition if len(orders) == 1 or values[0] is None else sa.and_(orders[0] >= given[0], condition)

    def _by_cells(self, session: Session, request: ReadRequest, after: Position) -> Iterator[Page]:
        phases, width = self._phases(request.cursor), len(self._columns)
        place, order = begun(after, phases[-1].order, self._table.name), sorted_by(phases[-1].order)
        for number in range(int(after.get("phase", 0)), len(phases)):
            phase, repeated = phases[number], place.given
            made = sum(column.made is not None for column in phase.order)
            statement = self._from(phase, place.values)
            with (
                session() as connection,
                closing(self._flavor.stream(connection, statement, request.page_size)) as read,
            ):
                for rows in read:
                    known = place.leading([row[-made:] for row in rows], repeated)
                    repeated = repeated - known if known == len(rows) else 0
                    if known < len(rows):
                        place = place.moved([row[width:] for row in rows[known:]], made)
                        found = self._flavor.fetched(rows[known:], self._columns)
                        yield self._as_page(found, {"phase": number, "sorted": order, **place.to_json()})
            place = Place()

    def _from(self, phase: Phase, values: Sequence[Any]) -> sa.Select[Any]:
        """Return the query of all rows from a place on, those at the place among them."""
        orders, statement = self._orders(phase), self._select(phase.order)
        if phase.condition is not None:
            statement = statement.where(phase.condition)
        if values:
            given = [self._flavor.parameter(*pair) for pair in zip(phase.order, values, strict=True)]
            statement = statement.where(sa.tuple_(*orders) >= sa.tuple_(*given))
        return statement.order_by(*orders)

    def _cells(self, cursor: Cursor | None) -> tuple[Column, ...]:
        """Return what tells apart all records that are read as different ones: those of the tie first."""
        of = [name for field in self._fields for name in (field.of if isinstance(field, Digest) else (field.name,))]
        names = dict.fromkeys(of if cursor is None else (cursor.tie, *of))
        return cells([column_of(self._table, name) for name in names], self._flavor)

    def _orders(self, phase: Phase) -> list[sa.ColumnElement[Any]]:
        return [self._flavor.order(column) if column.made is None else column.made for column in phase.order]

    def _select(self, order: Sequence[Column]) -> sa.Select[Any]:
        fields = (self._wire(column).label(f"f{i}") for i, column in enumerate(self._columns))
        places = (self._wire(column).label(f"p{i}") for i, column in enumerate(order))
        return sa.select(*fields, *places).select_from(self._source)

    def _wire(self, column: Column) -> sa.ColumnElement[Any]:
        return self._flavor.wire(column) if column.made is None else column.made

    def _as_page(self, found: Fetched, position: Position) -> Page:
        records, rejects = self._frame(found)
        return Page(records, position, tuple(rejects))

    def _empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema={field.name: field.dtype for field in self._fields})

    def _frame(self, found: Fetched) -> tuple[pl.DataFrame, list[Reject]]:
        series, bad = [], dict[int, int]()
        for number, (field, column) in enumerate(zip(self._fields, self._columns, strict=True)):
            done = found.columns[number]
            # JSON that comes from JSON is in its one form already
            done = done if column.field.type is field.type is FieldType.JSON else convert(done, field)
            series.append(done.values.alias(field.name))
            if done.bad is not None:
                bad.update((row, number) for row in done.bad.arg_true().to_list() if row not in bad)
        records = pl.DataFrame(series)
        if not bad:
            return records, []
        kept = pl.Series([row not in bad for row in range(found.height)], dtype=pl.Boolean)
        return records.filter(kept), [self._reject(found.rows[row], bad[row]) for row in sorted(bad)]

    def _reject(self, row: Sequence[Any], number: int) -> Reject:
        names = [field.name for field in self._fields]
        values = dict(zip(names, row, strict=False))
        places = [f"{name} {values[name]}" for name in self._table.key if name in values]
        raw = json.dumps(values, ensure_ascii=False, default=_shown)
        field = self._fields[number]
        return Reject(", ".join(places), raw[:_SHOWN_RAW], unfit(field, row[number]), field.name)


def column_of(table: Table, name: str) -> Column:
    """Return a column of a table; raises `ObjectMissing` with the names of both."""
    if name not in table.by_name:
        raise ObjectMissing(
            msg("'{object}' has no field '{field}' (any more).", object=table.name, field=name),
            msg("Discover the fields again and adapt the rule."),
            object_name=table.name,
        )
    return table.by_name[name]


def unfit(field: Field, value: Any) -> Message:
    """Return the sentence for a value that a field cannot hold exactly."""
    return msg(
        "The value {value} of '{field}' cannot be carried over exactly as {type}.",
        field=field.name,
        value=_shown(value)[:_SHOWN],
        type=field.type.value,
    )


def _shown(value: Any) -> str:
    return f"0x{bytes(value).hex()}" if isinstance(value, (bytes, bytearray, memoryview)) else str(value)
