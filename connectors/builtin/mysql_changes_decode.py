"""Which records the events of a binary log name: MariaDB's, and MySQL's, whose transactions have other names."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pymysql
from pymysqlreplication.event import GtidEvent, MariadbGtidEvent, QueryEvent
from pymysqlreplication.gtid import Gtid, GtidSet
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from connectors.builtin.database_changes import Keys
from connectors.builtin.mysql_changes_rows import RowKeys
from connectors.builtin.mysql_changes_stream import UNREADABLE, Wanted, check_readable, stream
from connectors.changes import Mark
from connectors.errors import Misconfigured
from rules.text import msg

ROWS = (DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent)
_PREPARED = re.compile(r"\s*XA\s+END\b", re.IGNORECASE)
_BY_STATEMENT = r"(INSERT|UPDATE|DELETE|REPLACE|LOAD)"


class Decoder:
    """Collects the keys of one table from MariaDB's log."""

    begins: ClassVar[type] = MariadbGtidEvent
    """The event with which a transaction begins."""
    mariadb: ClassVar[bool] = True

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
        self._limit(at, until)
        begun, tables = False, (self._table,)
        number, kinds = zlib.crc32(reader.encode()), (*ROWS, QueryEvent, self.begins)
        wanted = Wanted(at["gtid"], self._schema, tables, kinds, number, self.mariadb)
        with contextlib.closing(stream(connect, wanted)) as read:
            for event in _events(read):
                if isinstance(event, self.begins):
                    place = {"file": read.log_file, "pos": int(read.log_pos)}
                    if begun and self._keys.committed({"gtid": self._behind(), **place}):
                        return False
                    begun, self._named = True, False
                    if self._is_later(event, place):
                        return True
                    self._pass(event)
                elif self._take(event):
                    return False
        return True

    def _limit(self, at: Mark, until: Mark) -> None:
        self._end = (number_of(until["file"]), int(until["pos"]))
        self._seen = {gtid.split("-")[0]: gtid for gtid in at["gtid"].split(",") if gtid}

    def _behind(self) -> str:
        """Return the place behind the transactions that were passed."""
        return ",".join(self._seen[domain] for domain in sorted(self._seen))

    def _is_later(self, _event: Any, place: Mark) -> bool:
        """Tell whether a transaction belongs to a later read."""
        return (number_of(place["file"]), int(place["pos"])) > self._end

    def _pass(self, event: Any) -> None:
        """Take note of a transaction that belongs to this read."""
        self._seen[str(event.domain_id)] = event.gtid

    def _take(self, event: Any) -> bool:
        """Take the keys of an event; return whether the window is full."""
        if isinstance(event, UNREADABLE):
            check_readable(event)
            return False
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


class MySQLDecoder(Decoder):
    """Collects the keys of one table from MySQL's log, whose places are sets of transactions.

    Transactions become visible in the order of the log, so those that had been executed at a moment are its beginning.
    """

    begins = GtidEvent
    mariadb = False

    def _limit(self, at: Mark, until: Mark) -> None:
        self._passed, self._until = GtidSet(at["gtid"]), GtidSet(until["gtid"])

    def _behind(self) -> str:
        return str(self._passed)

    def _is_later(self, event: Any, _place: Mark) -> bool:
        return Gtid(event.gtid) not in self._until

    def _pass(self, event: Any) -> None:
        self._passed.merge_gtid(Gtid(event.gtid))


def _events(read: Any) -> Iterator[Any]:
    """Yield events until the end of the log."""
    while (event := read.fetchone()) is not None:
        yield event


def gtids(text: str) -> dict[str, int]:
    """Return the last number of each domain of a position."""
    parts = (gtid.strip().split("-") for gtid in text.split(",") if gtid.strip())
    return {domain: int(number) for domain, _, number in parts}


def number_of(file: str) -> int:
    """Return the number of a file of the log; they are counted on."""
    return int(file.rpartition(".")[2])
