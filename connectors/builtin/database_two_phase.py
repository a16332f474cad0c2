"""Two-phase commit in a database: its own words for it differ, what is done around them does not.

The connection of a prepared transaction is closed at once and never goes back to a pool. The fence, which is written in
the same transaction, is what tells a transaction that was committed from one that was rolled back when a database says
that it knows none of this id.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

import sqlalchemy as sa

from connectors.builtin.database import WRITES, Database
from connectors.errors import Misconfigured
from connectors.spi import Fence, WriteResult
from connectors.two_phase import InDoubt, TwoPhase
from rules.schema import Change, Schema
from rules.text import Message, msg

_NO_PLACE = msg("Syncline may not keep its small table there, so it could not tell what was committed.")
_LET = msg("Allow it in the connection's settings, and let the user create the table.")


class Branches(ABC):
    """How one kind of database prepares transactions; a global id has no quotes in it."""

    def begin(self, connection: sa.Connection, gid: str, timeout: float) -> None:  # noqa: B027 - not all need it
        """Begin a transaction that will be prepared."""

    @abstractmethod
    def prepare(self, connection: sa.Connection, gid: str) -> None:
        """Prepare it; raises `Retriable` where the database has undone it instead."""

    @abstractmethod
    def end(self, connection: sa.Connection, gid: str, *, commit: bool) -> bool:
        """Commit or roll back a prepared transaction, outside of any; False: the database knows none of this id."""

    @abstractmethod
    def found(self, connection: sa.Connection, prefix: str) -> list[InDoubt]:
        """Return the prepared transactions of this database."""

    @abstractmethod
    def unfit(self, connection: sa.Connection) -> Message | None:
        """Return why the database cannot take part."""


class TwoPhaseDatabase(Database, TwoPhase):
    """A database that can keep a transaction ready until it is decided about elsewhere."""

    branches: ClassVar[Branches]

    def write_prepared(
        self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence, gid: str
    ) -> WriteResult:
        """Write in a transaction, and prepare that instead of committing it."""
        del schema  # the database knows its own types
        table = self._written_table(name)
        if not self._fences.usable(self.session):
            raise Misconfigured(_NO_PLACE, _LET)
        with self.faults(name), self._apart() as connection:
            connection.execution_options(**{WRITES: True})
            connection.begin()
            self.branches.begin(connection, gid, self.context.timeout)
            self.flavor.begin(connection, self.context.timeout)
            self._fences.claim(connection, fence)
            result = self._written(connection, table, changes)
            self.branches.prepare(connection, gid)
        return result

    def commit_prepared(self, gid: str) -> bool:
        """Commit what was prepared."""
        return self._end(gid, commit=True)

    def rollback_prepared(self, gid: str) -> bool:
        """Roll back what was prepared."""
        return self._end(gid, commit=False)

    def in_doubt(self, prefix: str) -> list[InDoubt]:
        """Return what is prepared in this database."""
        with self.session() as connection:
            return self.branches.found(connection, prefix)

    def unfit(self) -> Message | None:
        """Return why this database cannot take part."""
        with self.session() as connection:
            problem = self.branches.unfit(connection)
        if problem is None and not self._fences.usable(self.session):
            return msg("{problem} {remedy}", problem=_NO_PLACE, remedy=_LET)
        return problem

    def close(self) -> None:
        """Close all connections."""
        if "_alone" in self.__dict__:
            self.__dict__.pop("_alone").dispose()
        super().close()

    def _end(self, gid: str, *, commit: bool) -> bool:
        with self.faults(None), self._apart() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            return self.branches.end(connection, gid, commit=commit)

    @contextlib.contextmanager
    def _apart(self) -> Iterator[sa.Connection]:
        """Yield a connection that nobody has had and nobody gets; what it holds is lost with it, unless prepared."""
        connection = self._alone.connect()
        try:
            yield connection
        finally:
            connection.invalidate()
            connection.close()

    @cached_property
    def _alone(self) -> sa.Engine:
        engine = sa.create_engine(
            self.url, creator=self.open, poolclass=sa.NullPool, hide_parameters=True, **self.engine_options()
        )
        self.prepare(engine)
        return engine
