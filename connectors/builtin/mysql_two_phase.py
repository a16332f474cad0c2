"""XA transactions of MySQL and MariaDB.

A prepared transaction belongs to the connection that has prepared it until that is gone; until then others are told
XAER_NOTA, as they are of one that does not exist. So it is looked up in XA RECOVER what the answer means.
"""

from __future__ import annotations

import time

import pymysql
import sqlalchemy as sa

from connectors.builtin.database_two_phase import Branches
from connectors.errors import Unavailable
from connectors.two_phase import InDoubt
from rules.text import Message, msg

_UNKNOWN, _REFUSED = 1397, (1227, 1401)
_MARIADB, _MYSQL = (10, 5), (8, 0)
_PATIENCE, _PAUSE = 5.0, 0.02
"""Seconds to wait for the server to notice that the connection that has prepared is gone."""
_FORMAT = 0x53594E43
_OLD = msg(
    "This server forgets prepared transactions when a connection ends; MariaDB 10.5 or MySQL 8.0 and later keep them."
)
_MAY_NOT = msg("The database user may not list prepared transactions. Grant it XA_RECOVER_ADMIN.")
_HELD = msg("The connection that has prepared the transaction is still open; it can be tried again.")


def _xid(gid: str) -> str:
    """Return the name of a transaction: what the branches have in common, and the branch."""
    whole, _, branch = gid.rpartition(":")
    return f"'{whole}','{branch}',{_FORMAT}"


class MySQLBranches(Branches):
    """XA transactions."""

    def begin(self, connection: sa.Connection, gid: str, timeout: float) -> None:
        """Begin; the server lets go of a connection of which it hears nothing any more."""
        connection.exec_driver_sql(f"SET SESSION wait_timeout = {max(1, round(2 * timeout))}")
        connection.exec_driver_sql(f"XA START {_xid(gid)}")

    def prepare(self, connection: sa.Connection, gid: str) -> None:
        """End the work and prepare it."""
        connection.exec_driver_sql(f"XA END {_xid(gid)}")
        connection.exec_driver_sql(f"XA PREPARE {_xid(gid)}")

    def end(self, connection: sa.Connection, gid: str, *, commit: bool) -> bool:
        """Commit or roll back, once the connection that has prepared is gone."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                connection.exec_driver_sql(f"XA {'COMMIT' if commit else 'ROLLBACK'} {_xid(gid)}")
            except sa.exc.DBAPIError as error:
                if _number(error) != _UNKNOWN:
                    raise
            else:
                return True
            if not any(found.gid == gid for found in self.found(connection, gid)):
                return False
            if time.monotonic() > until:
                raise Unavailable(_HELD)
            time.sleep(_PAUSE)

    def found(self, connection: sa.Connection, prefix: str) -> list[InDoubt]:
        """Return what XA RECOVER lists; it tells neither since when nor what is locked."""
        rows = connection.exec_driver_sql("XA RECOVER").all()
        names = [_joined(bytes(data), length) for number, length, _, data in rows if number == _FORMAT]
        return [InDoubt(name) for name in sorted(names) if name.startswith(prefix)]

    def unfit(self, connection: sa.Connection) -> Message | None:
        """Tell of servers that do not keep what is prepared, and of users who may not see it."""
        needed = _MARIADB if getattr(connection.dialect, "is_mariadb", False) else _MYSQL
        if (connection.dialect.server_version_info or ())[:2] < needed:
            return _OLD
        try:
            connection.exec_driver_sql("XA RECOVER")
        except sa.exc.DBAPIError as error:
            if _number(error) in _REFUSED:
                return _MAY_NOT
            raise
        return None


def _joined(data: bytes, length: int) -> str:
    text = data.decode(errors="replace")
    return f"{text[:length]}:{text[length:]}"


def _number(error: sa.exc.DBAPIError) -> int | None:
    return error.orig.args[0] if isinstance(error.orig, pymysql.Error) and error.orig.args else None
