"""Which records the events of MariaDB's binary log name, read by the library python-mysql-replication."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.event import MariadbGtidEvent, QueryEvent
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from connectors.builtin.database_changes import Keys
from connectors.builtin.mysql_changes_rows import RowKeys
from connectors.changes import Mark
from connectors.errors import Misconfigured, Unavailable
from rules.text import msg

_EVENTS = (DeleteRowsEvent, MariadbGtidEvent, QueryEvent, UpdateRowsEvent, WriteRowsEvent)
_PREPARED = re.compile(r"\s*XA\s+END\b", re.IGNORECASE)
_BY_STATEMENT = r"(INSERT|UPDATE|DELETE|REPLACE|LOAD)"


class Decoder:
    """Collects the keys of one table."""

    def __init__(self, schema: str, table: str, key: str, keys: Keys) -> None:
        self._schema, self._table, self._key, self._keys = schema, table, key, keys
        name = rf"`?{re.escape(table)}`?(?![\w`])"
        flags = re.IGNORECASE | re.DOTALL
        own = rf"(IF\s+(NOT\s+)?EXISTS\s+)?(`?{re.escape(schema)}`?\s*\.\s*)?{name}"
        self._emptied = re.compile(rf"\s*TRUNCATE\s+(TABLE\s+)?{own}|\s*ALTER\s+TABLE\s+{own}.*\bPARTITION\b", flags)
        self._replaced = re.compile(
            rf"\s*(CREATE|DROP|RENAME)\b[^(]*?\bTABLES?\s+(\S+\s*,\s*)*?{own}|\s*RENAME\b.*\bTO\s+{own}"
            rf"|\s*ALTER\s+TABLE\s+{own}.*\bRENAME\s+(TO\b|AS\b|`)"
            rf"|\s*{_BY_STATEMENT}\b([^(]*?(\b(INTO|FROM|TABLE|IGNORE|LOW_PRIORITY)|,))?\s+{own}", flags,
        )  # fmt: skip
        self._seen: dict[str, str] = {}
        self._known: tuple[Any, RowKeys] | None = None
        self._named = False

    def collect(self, connect: Callable[[], pymysql.Connection[Any]], at: Mark, until: Mark, reader: str) -> bool:
        """Take keys until the window is full; return whether the end of the read is reached."""
        end = (number_of(until["file"]), int(until["pos"]))
        self._seen = {gtid.split("-")[0]: gtid for gtid in at["gtid"].split(",") if gtid}
        begun = False
        with contextlib.closing(_stream(connect, self._schema, self._table, at["gtid"], reader)) as stream:
            for event in _events(stream):
                if isinstance(event, MariadbGtidEvent):
                    if begun and self._keys.committed(self._place(stream)):
                        return False
                    begun, self._named = True, False
                    if (number_of(stream.log_file), int(stream.log_pos)) > end:
                        return True
                    self._seen[str(event.domain_id)] = event.gtid
                elif self._take(event):
                    return False
        return True

    def _place(self, stream: Any) -> Mark:
        gtid = ",".join(self._seen[domain] for domain in sorted(self._seen))
        return {"gtid": gtid, "file": stream.log_file, "pos": int(stream.log_pos)}

    def _take(self, event: Any) -> bool:
        """Take the keys of an event; return whether the window is full."""
        if isinstance(event, QueryEvent):
            self._statement(event)
            return False
        self._named = True
        rows, data = self._rows(event), event.packet.read(event.event_size - event.packet.read_bytes)
        if isinstance(event, UpdateRowsEvent):
            for old, new in rows.of(data, (event.columns_present_bitmap, event.columns_present_bitmap2)):
                self._keys.changed_to(old, old if new is None else new)
        else:
            gone = isinstance(event, DeleteRowsEvent)
            for (key,) in rows.of(data, (event.columns_present_bitmap,)):
                self._keys.changed(key, gone=gone)
        return self._keys.full

    def _rows(self, event: Any) -> RowKeys:
        """Return what knows the rows of an event; columns are told once for many events."""
        if self._known is None or self._known[0] is not event.columns:
            self._known = event.columns, RowKeys(event.columns, self._key, self._table)
        return self._known[1]

    def _statement(self, event: Any) -> None:
        """Take note of a statement; one that changes records or the table in a way that is not told is an error."""
        if event.schema.decode(errors="replace") != self._schema and self._schema not in event.query:
            return
        if self._named and _PREPARED.match(event.query):
            raise Misconfigured(
                msg(
                    "Records of '{object}' were changed by a distributed transaction (XA), and the log does not tell"
                    " when it can be seen. Let the log be read anew, which compares all: syncline logs drop RULE",
                    object=self._table,
                ),
                object_name=self._table,
            )
        if self._emptied.match(event.query):
            self._keys.emptied_all()
        elif self._replaced.match(event.query):
            raise Misconfigured(
                msg(
                    "'{object}' was replaced, or changed by a statement whose records the log does not name:"
                    " {statement} Let the log be read anew, which compares all records: syncline logs drop RULE",
                    object=self._table, statement=event.query[:200],
                ),
                object_name=self._table,
            )  # fmt: skip


def _stream(connect: Callable[[], pymysql.Connection[Any]], schema: str, table: str, gtid: str, reader: str) -> Any:
    opened = 0

    def once(**settings: Any) -> pymysql.Connection[Any]:
        """Connect for the stream and for its settings; a stream that breaks off must not begin again by itself."""
        nonlocal opened
        opened += 1
        if opened > 2:
            raise Unavailable(msg("The database does not go on sending its log of changes."))
        connection = connect()
        connection.cursorclass = settings.get("cursorclass", connection.cursorclass)
        return connection

    return BinLogStreamReader(
        connection_settings={}, server_id=zlib.crc32(reader.encode()) | 1 << 31, is_mariadb=True,
        auto_position=gtid, only_events=_EVENTS, only_schemas=[schema], only_tables=[table], pymysql_wrapper=once,
        enable_logging=False,
    )  # fmt: skip


def _events(stream: Any) -> Iterator[Any]:
    """Yield events until the end of the log."""
    while (event := stream.fetchone()) is not None:
        yield event


def gtids(text: str) -> dict[str, int]:
    """Return the last number of each domain of a position."""
    parts = (gtid.strip().split("-") for gtid in text.split(",") if gtid.strip())
    return {domain: int(number) for domain, _, number in parts}


def number_of(file: str) -> int:
    """Return the number of a file of the log; they are counted on."""
    return int(file.rpartition(".")[2])
