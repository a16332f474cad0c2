"""Hearing from MariaDB which tables are changed: one stream of its binary log, which says only that something was."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Generator, Sequence
from typing import Any

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.event import HeartbeatLogEvent, QueryEvent
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from connectors.errors import Unavailable
from rules.text import msg

_ROWS = (DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent)


def changed(
    connect: Callable[[], pymysql.Connection[Any]], schema: str, tables: Sequence[str], gtid: str, pause: float
) -> Generator[frozenset[str]]:
    """Yield which tables were changed behind a place, and nothing where the server is silent for `pause` seconds."""
    opened = 0

    def once(**settings: Any) -> pymysql.Connection[Any]:
        """Connect for the stream and for its settings; whoever listens has to know that a stream has broken off."""
        nonlocal opened
        opened += 1
        if opened > 2:
            raise Unavailable(msg("The database does not go on sending its log of changes."))
        connection = connect()
        connection.cursorclass = settings.get("cursorclass", connection.cursorclass)
        return connection

    stream: Any = BinLogStreamReader(
        connection_settings={}, server_id=secrets.randbits(30) | 1 << 31, is_mariadb=True, auto_position=gtid,
        only_events=[*_ROWS, QueryEvent, HeartbeatLogEvent], only_schemas=[schema], only_tables=list(tables),
        pymysql_wrapper=once, enable_logging=False, blocking=True, slave_heartbeat=pause,
    )  # fmt: skip
    with contextlib.closing(stream):
        while (event := stream.fetchone()) is not None:
            if isinstance(event, QueryEvent):
                # a statement without rows may have emptied a table, which the reader of its log finds out
                words = event.query.lstrip()[:8].upper()
                yield frozenset(tables) if words.startswith(("TRUNCATE", "ALTER")) else frozenset()
            else:
                yield frozenset((event.table,)) if isinstance(event, _ROWS) else frozenset()
