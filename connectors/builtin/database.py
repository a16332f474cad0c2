"""The connector of a database: sessions, discovery, reading, writing and fences over SQLAlchemy Core."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import polars as pl
import sqlalchemy as sa

from connectors.builtin.database_fence import FenceTable
from connectors.builtin.database_flavor import Flavor
from connectors.builtin.database_idle import KEPT, key_of
from connectors.builtin.database_queries import QUERY, Query, queries
from connectors.builtin.database_ranges import cuts
from connectors.builtin.database_read import Reader
from connectors.builtin.database_types import Table
from connectors.builtin.database_write import Writer
from connectors.errors import Misconfigured, ObjectMissing
from connectors.ranges import Cuts
from connectors.spi import Connector, Fence, ObjectInfo, Page, ReadRequest, WriteResult
from rules.predicate import Predicate
from rules.schema import Change, Schema
from rules.text import msg

WRITES = "syncline_writes"
"""The option of a connection whose transaction writes."""


class Database(Connector):
    """A database; what differs between databases is in the flavor and in how a connection is opened."""

    flavor: ClassVar[Flavor]
    kept: ClassVar[bool] = False
    """Whether a connection may stay open for whoever opens the same database next."""
    url: ClassVar[str]
    """The SQLAlchemy dialect and driver; settings and secrets never become part of a URL."""

    @abstractmethod
    def open(self) -> Any:
        """Return a new connection of the driver."""

    @property
    def namespace(self) -> str | None:
        """Return the schema in which the objects are, or None for the database's only one."""
        return None

    def objects(self) -> list[ObjectInfo]:
        """Return the tables and views that may be read, sorted by name."""
        with self.session() as connection:
            found = self.flavor.objects(connection, self.namespace)
        own = [ObjectInfo(name, QUERY, writable=False) for name in self._queries]
        return sorted((*(info for info in found if info.name not in self._queries), *own), key=lambda info: info.name)

    def schema(self, name: str) -> Schema:
        """Return the fields of a table or view; raises `ObjectMissing`."""
        self._tables.pop(name, None)
        return self._table(name).schema

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield pages; `connectors.builtin.database_read` says what is promised while others write.

        A cursor's `since` is the Python value or its text: ISO form for dates and times, digits for numbers.
        """
        yield from self._reader(request).pages(lambda: self.session(request.object), request)

    def filterable(self, request: ReadRequest) -> Predicate | None:
        """Return what of the request's filter the database does itself."""
        return self._reader(request).filterable(request)

    def left_out(self, request: ReadRequest, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records that the request's filter leaves out and whose `key` field is among `values`."""
        return self._reader(request).left_out(lambda: self.session(request.object), request, key, values)

    def cuts(self, name: str, key: str, every: int) -> Cuts:
        """Return where a table can be cut by its one key, as the database counts its records."""
        table = self._table(name)
        return cuts(self.flavor, lambda: self.session(name), table, self._source(table), (key, every))

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records whose `key` field is among `values`, compared exactly."""
        table = self._table(name)
        reader = Reader(self.flavor, self._source(table), table, schema)
        return reader.lookup(lambda: self.session(name), key, values)

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:  # noqa: ARG002 - the database knows its own types
        """Write in one transaction; without a place for fences (see `applied`) the fence is not kept."""
        table = self._written_table(name)
        fenced = fence if fence is not None and self._fences.usable(self.session) else None
        with self.transaction(name) as connection:
            if fenced is not None:
                self._fences.claim(connection, fenced)
            return self._written(connection, table, changes)

    def _written_table(self, name: str) -> Table:
        table = self._table(name)
        if table.kind == QUERY:
            raise Misconfigured(msg("'{object}' is an own query, so it can only be read.", object=name))
        return table

    def _written(self, connection: sa.Connection, table: Table, changes: Sequence[Change]) -> WriteResult:
        writer = Writer(self.flavor, connection, self._stored(table), table)
        keys = tuple(writer.write(index, change) for index, change in enumerate(changes))
        return WriteResult(writer.failures, keys)

    def applied(self, fence: Fence) -> bool | None:
        """Tell whether a write is durable; None where Syncline may keep no table in the database."""
        if not self._fences.usable(self.session):
            return None
        with self.session() as connection:
            return self._fences.applied(connection, fence)

    def arrived(self, fence: Fence) -> bool | None:
        """Tell whether a write is durable, and let no lower token make it so afterwards; see `FenceTable.take`."""
        if self._fences.usable(self.session):
            with self.transaction() as connection:
                self._fences.take(connection, fence)
        return self.applied(fence)

    def close(self) -> None:
        """Close all connections, or leave one to whoever comes next."""
        if "_engine" in self.__dict__:
            engine: sa.Engine = self.__dict__.pop("_engine")
            if self.kept:
                KEPT.give(key_of(type(self), self.settings, self.context), engine)
            else:
                engine.dispose()

    @contextlib.contextmanager
    def session(self, object_name: str | None = None) -> Iterator[sa.Connection]:
        """Yield a connection; its errors are those of `faults`."""
        with self.faults(object_name), self._engine.connect() as connection:
            if object_name in self._queries:
                self.flavor.only_reads(connection)
            yield connection

    @contextlib.contextmanager
    def faults(self, object_name: str | None) -> Iterator[None]:
        """Let errors of the driver become errors of `connectors.errors`."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise self.flavor.fault(error.orig or error, object_name) from error.orig
        except self.flavor.driver_errors as error:
            raise self.flavor.fault(error, object_name) from error

    @contextlib.contextmanager
    def transaction(self, object_name: str | None = None) -> Iterator[sa.Connection]:
        """Yield a connection in a transaction that writes; it is committed unless an error leaves the block."""
        with self.session(object_name) as connection:
            connection.execution_options(**{WRITES: True})
            with connection.begin():
                self.flavor.begin(connection, self.context.timeout)
                yield connection

    @cached_property
    def _engine(self) -> sa.Engine:
        if self.kept and (known := KEPT.take(key_of(type(self), self.settings, self.context))):
            return known
        engine = sa.create_engine(
            self.url, creator=self.open, poolclass=sa.QueuePool, pool_size=1, max_overflow=4, hide_parameters=True,
            **self.engine_options(),
        )  # fmt: skip
        self.prepare(engine)
        return engine

    def engine_options(self) -> dict[str, Any]:
        """Return further options for the engine."""
        return {}

    def prepare(self, engine: sa.Engine) -> None:
        """Set the engine up before its first use."""

    @cached_property
    def _tables(self) -> dict[str, Table]:
        return {}

    @cached_property
    def _queries(self) -> dict[str, Query]:
        return queries(self.settings)

    @cached_property
    def _fences(self) -> FenceTable:
        return FenceTable(self.namespace, allowed=bool(self.settings.get("own_table", True)))

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            with self.session(name) as connection:
                found = self._found(connection, name)
            if found is None or found.name != name:  # by another spelling it would escape what is said of it by name
                raise ObjectMissing(
                    msg("There is no table or view '{object}' (any more).", object=name),
                    msg("Discover the objects again, or ask for the permission to read it."),
                    object_name=name,
                )
            self._tables[name] = found
        return self._tables[name]

    def _reader(self, request: ReadRequest) -> Reader:
        table = self._table(request.object)
        return Reader(self.flavor, self._source(table), table, request.schema)

    def _found(self, connection: sa.Connection, name: str) -> Table | None:
        query = self._queries.get(name)
        if query is None:
            return self.flavor.table(connection, self.namespace, name)
        return query.table(self.flavor.described(connection, query))

    def _source(self, table: Table) -> sa.FromClause:
        if table.kind == QUERY:
            return self._queries[table.name].source(table.columns)
        return self._stored(table)

    def _stored(self, table: Table) -> sa.TableClause:
        columns: list[sa.ColumnClause[Any]] = [sa.column(column.name) for column in table.columns]
        return sa.table(table.name, *columns, schema=self.namespace)
