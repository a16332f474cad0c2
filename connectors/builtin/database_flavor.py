"""What differs from one database to the next; readers and writers ask a flavor and know no database by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import polars as pl
import sqlalchemy as sa

from connectors.builtin.database_filter import ColumnTests
from connectors.builtin.database_queries import READ_ONLY, Query
from connectors.builtin.database_types import Column, Decoded, Table, decode
from connectors.errors import ConnectorError
from connectors.spi import ObjectInfo
from rules.text import Message

OWN_TABLE = "syncline_fence"
"""The one small table that Syncline keeps in a database it writes to."""


@dataclass(frozen=True)
class Refusal:
    """Why a database refuses one record, and the field where it tells."""

    message: Message
    field: str | None = None


@dataclass(frozen=True)
class Limits:
    """What no column of a database can hold."""

    endless_floats: bool = False
    """A float may be NaN or infinite."""
    zero_in_text: bool = True
    """A text may hold the character zero."""


@dataclass(frozen=True)
class Fetched:
    """What a query gave: typed columns, what says where the last row is, and all rows if some value is bad."""

    columns: tuple[Decoded, ...]
    height: int
    last: Sequence[Any] = ()
    rows: Sequence[Sequence[Any]] = ()


class RefusedError(Exception):
    """A record of a batch is refused by ourselves; the writer looks for it as for one the database refuses."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal.message))
        self.refusal = refusal


class Flavor(ABC):
    """The SQL, the catalogue and the errors of one kind of database."""

    row_values: ClassVar[bool] = True
    """`(a, b) > (x, y)` uses an index."""
    limits: ClassVar[Limits] = Limits()
    lookup: ClassVar[int] = 1000
    """So many keys are looked up by one statement."""
    driver_errors: ClassVar[tuple[type[Exception], ...]]
    tests: ClassVar[ColumnTests]
    """How columns are tested where the database leaves out records itself."""
    snapshot: ClassVar[str] = ""
    """The isolation level in which two statements see the same, if it has to be asked for."""

    @abstractmethod
    def objects(self, connection: sa.Connection, schema: str | None) -> list[ObjectInfo]:
        """Return tables and views, without the system's own and without `OWN_TABLE`, sorted by name."""

    @abstractmethod
    def table(self, connection: sa.Connection, schema: str | None, name: str) -> Table | None:
        """Return a table as the catalogue shows it, or None if there is none."""

    @abstractmethod
    def described(self, connection: sa.Connection, query: Query) -> tuple[Column, ...]:
        """Return the columns of an own query, with the types that the database gives them."""

    @abstractmethod
    def fault(self, error: BaseException, object_name: str | None) -> ConnectorError:
        """Return a driver's error in our words."""

    @abstractmethod
    def refusal(self, error: BaseException) -> Refusal | None:
        """Return why a record is refused, or None if the error is not about a record."""

    def wire(self, column: Column) -> sa.ColumnElement[Any]:
        """Return the expression that selects a column in the form that `decode` expects."""
        return sa.column(column.name)

    def order(self, column: Column) -> sa.ColumnElement[Any]:
        """Return the expression by which records are sorted and compared with a position."""
        return sa.column(column.name)

    @abstractmethod
    def plain(self, column: Column) -> sa.ColumnElement[Any]:
        """Return a text, never null and compared byte by byte, that differs where what is read differs."""

    @abstractmethod
    def sha256(self, text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the hexadecimal SHA-256 of what `plain` or this makes."""

    def parameter(self, column: Column, value: Any) -> sa.ColumnElement[Any]:  # noqa: ARG002 - others cast to its type
        """Return a wire value as a parameter that compares exactly with `order` of the column."""
        return sa.bindparam(None, value, type_=sa.types.NullType(), unique=True)

    def start(self, column: Column, since: Any) -> sa.ColumnElement[Any]:
        """Return the start of a cursor as a parameter that is not above any equal value."""
        return self.parameter(column, since)

    def nulls_first(self, order: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return an order that has nulls first, which most databases do by themselves."""
        return order

    def among(self, column: Column, values: pl.Series) -> sa.ColumnElement[bool]:
        """Return the condition that a column holds one of the values (a typed series without nulls)."""
        return sa.column(column.name).in_(many(self.parameters(column, values)))

    def parameters(self, column: Column, values: pl.Series) -> Sequence[Any]:
        """Return typed values as wire values for `parameter`."""
        raise NotImplementedError

    def decode(self, column: Column, values: Sequence[Any]) -> Decoded:
        """Return the values of a selected column as typed values."""
        return decode(column.field, values)

    def digest(self, of: Sequence[Column]) -> sa.ColumnElement[Any]:
        """Select a digest of columns, where the system makes any."""
        raise NotImplementedError

    def by_index(self, connection: sa.Connection) -> None:  # noqa: B027 - most databases find the index by themselves
        """Find the records of the next query by an index if there is one, whatever is known of the table."""

    def fetch(
        self, connection: sa.Connection, statement: sa.Select[Any], columns: Sequence[Column], places: Sequence[Column]
    ) -> Fetched:
        """Return what a query gives that selects columns, and behind them places, by `wire`."""
        del places
        return self.fetch_rows(connection, statement, columns)

    def fetch_rows(self, connection: sa.Connection, statement: sa.Select[Any], columns: Sequence[Column]) -> Fetched:
        """Return what a query gives with all its rows."""
        return self.fetched(connection.execute(statement).fetchall(), columns)

    def stream(
        self, connection: sa.Connection, statement: sa.Select[Any], size: int
    ) -> Generator[Sequence[Sequence[Any]]]:
        """Yield the rows of a long query in parts, while others write, ourselves included."""
        options = {"stream_results": True, "max_row_buffer": size}
        with connection.execute(statement, execution_options=options) as result:
            yield from iter(partial(result.fetchmany, size), [])

    def fetched(self, rows: Sequence[Sequence[Any]], columns: Sequence[Column]) -> Fetched:
        """Return the rows of a driver as typed columns."""
        lists = zip(*rows, strict=True) if rows else [()] * len(columns)
        typed = tuple(self.decode(column, values) for column, values in zip(columns, lists, strict=False))
        return Fetched(typed, len(rows), rows[-1][len(columns) :] if rows else (), rows)

    @abstractmethod
    def begin(self, connection: sa.Connection, timeout: float) -> None:
        """Prepare a transaction that writes: wait for locks at most `timeout` seconds."""

    def only_reads(self, connection: sa.Connection) -> None:
        """Let the next transaction change nothing, where the database has such a kind."""
        if only := READ_ONLY.get(connection.dialect.name):
            connection.exec_driver_sql(only)

    @abstractmethod
    def loader(self, connection: sa.Connection, source: sa.TableClause, table: Table) -> Loader:
        """Return what writes batches into a table."""


def many(values: Sequence[Any]) -> sa.BindParameter[Any]:
    """Return values for IN as one parameter, which costs far less than one each."""
    return sa.bindparam(None, list(values), type_=sa.types.NullType(), expanding=True, unique=True)


class Loader(ABC):
    """Writes batches into one table inside a transaction; a refused record fails the whole call."""

    each_first: bool = False
    """`create_each` costs no more than `create`, so it is tried first."""

    def __init__(self, connection: sa.Connection, source: sa.TableClause, table: Table) -> None:
        self.connection = connection
        self.source = source
        self.table = table

    @abstractmethod
    def create(self, records: pl.DataFrame) -> None:
        """Insert records."""

    def create_each(self, records: pl.DataFrame) -> Mapping[int, Refusal | None] | None:  # noqa: ARG002 - not all can
        """Insert what can be inserted and tell why the other rows are refused; None where there is no such way.

        A row with None failed for a reason that has nothing to do with the record.
        """
        return None

    def numbers(self, count: int, key: str) -> pl.Series | None:  # noqa: ARG002 - most databases have others beside us
        """Return the keys that the database would make for so many records, where nobody else can take them.

        None where that is not certain: then the database makes them.
        """
        return None

    @abstractmethod
    def create_with_keys(self, records: pl.DataFrame, key: str) -> Sequence[Any]:
        """Insert records and return the keys that the database made, in the order of the records."""

    @abstractmethod
    def update(self, records: pl.DataFrame, key: str) -> pl.Series:
        """Set the fields of `records` by key (no key twice) and return which records were there."""

    @abstractmethod
    def present(self, keys: pl.Series) -> pl.Series:
        """Return which keys (no key twice) are there, exactly and locked until the end of the transaction."""

    @abstractmethod
    def delete(self, keys: pl.Series) -> pl.Series:
        """Delete by key (no key twice) and return which records were there."""
