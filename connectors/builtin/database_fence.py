"""The fence: one row a scope in a small table beside the data, written in the same transaction.

The token keeps a worker that was paused and replaced from writing; run and chunk tell, after a crash, what is durable.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from connectors.builtin.database_flavor import OWN_TABLE
from connectors.errors import Fatal, Fenced, Forbidden
from connectors.spi import Fence

# scopes are compared byte by byte everywhere
_SCOPE = sa.String(200).with_variant(mysql.VARCHAR(200, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")


class FenceTable:
    """The fences of one database; `allowed` is what the connection's setting says.

    With `portable` the table is made by nothing but standard SQL.
    """

    def __init__(self, schema: str | None, *, allowed: bool, portable: bool = False) -> None:
        self._portable = portable
        self._usable: bool | None = None if allowed else False
        self._table = sa.Table(
            OWN_TABLE,
            sa.MetaData(schema=schema),
            sa.Column("scope", _SCOPE, primary_key=True),
            sa.Column("token", sa.BigInteger, nullable=False),
            sa.Column("run", sa.BigInteger, nullable=False),
            sa.Column("chunk", sa.BigInteger, nullable=False),
            mysql_engine="InnoDB",
        )

    def usable(self, session: Callable[[], AbstractContextManager[sa.Connection]]) -> bool:
        """Tell whether the table is there, after trying to create it once."""
        if self._usable is None:
            self._usable = self._exists(session) or self._create(session)
        return self._usable

    def claim(self, connection: sa.Connection, fence: Fence) -> None:
        """Note the fence; raises `Fenced` if the scope has seen a higher token."""
        if not self._move(connection, fence, {"run": fence.run, "chunk": fence.chunk}):
            raise Fenced

    def take(self, connection: sa.Connection, fence: Fence) -> None:
        """Let no lower token write in the scope from now on, once the transaction that one may have open has ended."""
        self._move(connection, fence, {})

    def _move(self, connection: sa.Connection, fence: Fence, values: dict[str, int]) -> bool:
        table, token = self._table, {"token": fence.token}
        # looked at first without a lock: an update that finds no row locks the gap in MySQL, and two of them deadlock
        seen = connection.execute(sa.select(table.c.token).where(table.c.scope == fence.scope)).scalar()
        if seen is None and self._first(connection, fence.scope, {"run": 0, "chunk": 0, **token, **values}):
            return True
        move = sa.update(table).where(table.c.scope == fence.scope, table.c.token <= fence.token)
        return bool(connection.execute(move.values({**token, **values})).rowcount)

    def _first(self, connection: sa.Connection, scope: str, values: dict[str, int]) -> bool:
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(self._table).values(scope=scope, **values))
        except sa.exc.IntegrityError:
            return False
        return True

    def applied(self, connection: sa.Connection, fence: Fence) -> bool:
        """Tell whether the chunk of the fence, or a later one of its run, is durable."""
        table = self._table
        statement = sa.select(table.c.run, table.c.chunk).where(table.c.scope == fence.scope)
        row = connection.execute(statement).first()
        return row is not None and row.run == fence.run and row.chunk >= fence.chunk

    def _exists(self, session: Callable[[], AbstractContextManager[sa.Connection]]) -> bool:
        try:
            with session() as connection:
                return sa.inspect(connection).has_table(OWN_TABLE, schema=self._table.schema)
        except Forbidden:
            return False

    def _create(self, session: Callable[[], AbstractContextManager[sa.Connection]]) -> bool:
        try:
            with session() as connection:
                connection.execute(sa.schema.CreateTable(self._table, if_not_exists=not self._portable))
                connection.commit()
        except Fatal:
            # two workers that create it at once, or no permission
            return self._exists(session)
        return True
