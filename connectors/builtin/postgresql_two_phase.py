"""PREPARE TRANSACTION and what belongs to it."""

from __future__ import annotations

import psycopg
import sqlalchemy as sa

from connectors.builtin.database_two_phase import Branches
from connectors.builtin.postgresql_write import TEMPORARY
from connectors.errors import Unavailable
from connectors.two_phase import InDoubt
from rules.text import Message, msg

_UNKNOWN, _DONE = "42704", "PREPARE TRANSACTION"
_OFF = msg(
    "PostgreSQL keeps no prepared transactions: its setting 'max_prepared_transactions' is 0. Set it to at least the "
    "number of workers and start PostgreSQL again."
)
_UNDONE = msg("PostgreSQL has rolled the transaction back instead of preparing it; it can be tried again.")
_FOUND = sa.text(
    "SELECT p.gid, p.prepared, array(SELECT DISTINCT c.relname::text"
    " FROM pg_locks own JOIN pg_locks l ON l.virtualtransaction = own.virtualtransaction AND l.pid IS NULL"
    " JOIN pg_class c ON c.oid = l.relation"
    " WHERE own.locktype = 'transactionid' AND own.transactionid = p.transaction AND own.granted AND own.pid IS NULL"
    " AND c.relkind IN ('r', 'p') ORDER BY 1)"
    " FROM pg_prepared_xacts p WHERE p.database = current_database() AND starts_with(p.gid, :prefix)"
    " ORDER BY p.prepared"
)


class PostgreSQLBranches(Branches):
    """Prepared transactions of PostgreSQL."""

    def begin(self, connection: sa.Connection, gid: str, timeout: float) -> None:  # noqa: ARG002 - named at its end
        """Use no temporary tables: a transaction that has touched one cannot be prepared."""
        connection.info[TEMPORARY] = False

    def prepare(self, connection: sa.Connection, gid: str) -> None:
        """Prepare; a transaction that has failed answers with ROLLBACK and no error at all."""
        driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        if driver.execute(f"PREPARE TRANSACTION '{gid}'".encode()).statusmessage != _DONE:
            raise Unavailable(_UNDONE)

    def end(self, connection: sa.Connection, gid: str, *, commit: bool) -> bool:
        """Commit or roll back by name."""
        try:
            connection.exec_driver_sql(f"{'COMMIT' if commit else 'ROLLBACK'} PREPARED '{gid}'")
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _UNKNOWN:
                return False
            raise
        return True

    def found(self, connection: sa.Connection, prefix: str) -> list[InDoubt]:
        """Return what the catalogue shows, with the tables that are locked."""
        rows = connection.execute(_FOUND, {"prefix": prefix})
        return [InDoubt(gid, since, tuple(locks)) for gid, since, locks in rows]

    def unfit(self, connection: sa.Connection) -> Message | None:
        """Tell of a server that keeps none."""
        kept = connection.exec_driver_sql("SELECT current_setting('max_prepared_transactions')::int").scalar()
        return None if kept else _OFF
