"""The stream of a binary log, as the server sends it to a replica, read by the library python-mysql-replication."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.event import NotImplementedEvent
from pymysqlreplication.row_event import PartialUpdateRowsEvent

from connectors.errors import Misconfigured, Unavailable
from rules.text import msg

UNREADABLE = (NotImplementedEvent, PartialUpdateRowsEvent)
"""Events of MySQL that may hold changes which are not told."""
_ANONYMOUS, _PARTIAL, _COMPRESSED, _TAGGED = 34, 39, 40, 42
_MEANINGS = {
    _ANONYMOUS: "gtid_mode",
    _PARTIAL: "binlog_row_value_options",
    _COMPRESSED: "binlog_transaction_compression",
    _TAGGED: "GTID tags",
}


@dataclass(frozen=True)
class Wanted:
    """What of a log is asked for: what is behind `gtid`, of some tables of a schema, by kinds of events."""

    gtid: str
    schema: str
    tables: Sequence[str]
    events: Sequence[type]
    server_id: int
    mariadb: bool = True


def stream(connect: Callable[[], pymysql.Connection[Any]], wanted: Wanted, **more: Any) -> Any:
    """Return a stream of events that ends with an error where it breaks off, and does not begin again by itself."""
    opened = 0

    def once(**settings: Any) -> pymysql.Connection[Any]:
        """Connect for the stream and for its settings."""
        nonlocal opened
        opened += 1
        if opened > 2:
            raise Unavailable(msg("The database does not go on sending its log of changes."))
        connection = connect()
        connection.cursorclass = settings.get("cursorclass", connection.cursorclass)
        return connection

    events = [*wanted.events, *(() if wanted.mariadb else UNREADABLE)]
    return BinLogStreamReader(
        connection_settings={}, server_id=wanted.server_id | 1 << 31, is_mariadb=wanted.mariadb,
        auto_position=wanted.gtid, only_events=events, filter_non_implemented_events=wanted.mariadb,
        only_schemas=[wanted.schema], only_tables=list(wanted.tables), pymysql_wrapper=once, enable_logging=False,
        **more,
    )  # fmt: skip


def check_readable(event: Any) -> None:
    """Refuse an event that may hold changes which are not told; raises `Misconfigured`."""
    kind = event.packet.event_type
    if kind in _MEANINGS:
        raise Misconfigured(
            msg("The log holds changes in a form that cannot be read ({setting}).", setting=_MEANINGS[kind]),
            msg("Have an administrator switch it off, and let the log be read anew: syncline logs drop RULE"),
        )
