"""The log of changes of MariaDB and MySQL: the binary log in its row form, by global transaction ids (GTIDs).

The server keeps its log by its own rules (`binlog_expire_logs_seconds`), for nobody in particular. What is read ends
where a consistent snapshot stood in the log, so that all that it tells of can be seen.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import polars as pl
import pymysql

from connectors.builtin import mysql_changes_checks as checks
from connectors.builtin.database import Database
from connectors.builtin.database_changes import WINDOW, Keys, Window, WindowLog
from connectors.builtin.mysql_changes_decode import Decoder, MySQLDecoder, gtids, number_of
from connectors.changes import LogState, Mark
from connectors.errors import Misconfigured
from connectors.spi import Capture
from rules.text import Message, msg

_ENDS = msg("The connection leads to a server whose log ends before the place up to which it was read.")
_THROWN_AWAY = msg(
    "The server has thrown away a part of its log that this rule had not read. Run the rule more often, or have"
    " an administrator raise binlog_expire_logs_seconds."
)
_STATE = """SELECT GTID_SUBSET(%s, @@GLOBAL.gtid_executed), GTID_SUBSET(@@GLOBAL.gtid_purged, %s),
GTID_SUBSET(@@GLOBAL.gtid_executed, %s), UNIX_TIMESTAMP(NOW(6))"""
_VERSION, _RENAMED = re.compile(r"\d+"), (8, 2)
_START = 4
"""The place of the first event in a file of the log."""


class MariaDBLog(WindowLog):
    """The log of one table for one reader."""

    decoder: ClassVar[type[Decoder]] = Decoder

    def __init__(
        self, database: Database, table: str, capture: Capture, connect: Callable[[], pymysql.Connection[Any]]
    ) -> None:
        self._database = database
        self._table = table
        self._capture = capture
        self._connect = connect

    def missing(self) -> list[Message]:
        """Return what keeps the log from being read, each with what to do about it."""
        with self._database.session(self._table) as connection:
            return checks.missing(connection, self._table, self._capture.key)

    def keep(self) -> Message | None:
        """See that the log can be read; the server keeps it for everybody."""
        for message in self.missing():
            raise Misconfigured(message, object_name=self._table)
        return None

    def state(self, since: Mark) -> LogState:
        """Return how the log stands."""
        with self._database.session() as connection:
            files = [(str(row[0]), int(row[1])) for row in connection.exec_driver_sql("SHOW BINARY LOGS")]
            oldest = connection.exec_driver_sql("SELECT BINLOG_GTID_POS(%s, %s)", (files[0][0], _START)).scalar_one()
            now, end = connection.exec_driver_sql("SELECT UNIX_TIMESTAMP(NOW(6)), @@GLOBAL.gtid_binlog_pos").one()
        lost = _lost(gtids(since["gtid"]), gtids(oldest or ""), gtids(end))
        if lost is not None:
            return LogState(lost)
        return _state(since, files, float(now) if gtids(end) != gtids(since["gtid"]) else None)

    def drop(self) -> Message | None:
        """Do nothing: nothing was made."""
        return None

    def start(self) -> Mark:
        """Return the end of the log: all up to there can be seen."""
        return self.end()

    def end(self) -> Mark:
        """Return where a consistent snapshot stands in the log."""
        with self._database.session() as connection:
            connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            rows = connection.exec_driver_sql("SHOW STATUS LIKE 'binlog_snapshot_%%'").fetchall()
            found = {str(name).lower(): value for name, value in rows}
            file, place = found["binlog_snapshot_file"], int(found["binlog_snapshot_position"])
            gtid = connection.exec_driver_sql("SELECT BINLOG_GTID_POS(%s, %s)", (file, place)).scalar_one()
        return {"gtid": gtid or "", "file": file, "pos": place, "time": round(time.time(), 3)}

    def confirm(self, since: Mark) -> None:
        """Do nothing: the server does not keep its log for us."""

    def window(self, at: Mark, until: Mark) -> Window:
        """Return the keys of a window; the stream lives as long as that takes."""
        keys = Keys(at, WINDOW)
        decoder = self.decoder(self._database.settings["database"], self._table, self._capture.key, keys)
        try:
            last = decoder.collect(self._connect, at, until, self._capture.name)
        except self._database.flavor.driver_errors as error:
            raise self._database.flavor.fault(error, self._table) from error
        behind = {**until, "skip": 0} if last else keys.end
        texts = pl.Series(list(keys.found), dtype=pl.String)
        return Window(texts, keys.gone, behind, last, keys.emptied)

    def settle(self, window: Window) -> None:
        """Do nothing: the end of the read was chosen so that all can be seen."""


class MySQLLog(MariaDBLog):
    """The log of one table for one reader: the transactions that a server has executed, as a set."""

    decoder = MySQLDecoder

    def state(self, since: Mark) -> LogState:
        """Return how the log stands."""
        with self._database.session() as connection:
            files = [(str(row[0]), int(row[1])) for row in connection.exec_driver_sql("SHOW BINARY LOGS")]
            known, purged, same, now = connection.exec_driver_sql(_STATE, (since["gtid"],) * 3).one()
        if not known:
            return LogState(_ENDS)
        if not purged:
            return LogState(_THROWN_AWAY)
        return _state(since, files, None if same else float(now))

    def end(self) -> Mark:
        """Return the transactions that were executed: all can see them."""
        with self._database.session() as connection:
            # read first: what is executed in between is behind it, though before the place
            gtid = connection.exec_driver_sql("SELECT @@GLOBAL.gtid_executed").scalar_one()
            version = tuple(
                map(int, _VERSION.findall(str(connection.exec_driver_sql("SELECT VERSION()").scalar_one())))
            )
            status = "SHOW BINARY LOG STATUS" if version >= _RENAMED else "SHOW MASTER STATUS"
            file, place, *_ = connection.exec_driver_sql(status).one()
        return {"gtid": "".join(str(gtid).split()), "file": file, "pos": int(place), "time": round(time.time(), 3)}


def _state(since: Mark, files: Sequence[tuple[str, int]], now: float | None) -> LogState:
    """Return how a log stands that can be read on; `now` is None where nothing was executed since."""
    behind = sum(size for name, size in files if number_of(name) > number_of(since["file"]))
    here = next((size for name, size in files if name == since["file"]), 0)
    behind += max(0, here - int(since["pos"]))
    if now is None:
        return LogState(place=str(since["gtid"]))
    return LogState(None, behind, max(0.0, now - float(since["time"])), place=str(since["gtid"]))


def _lost(since: Mapping[str, int], oldest: Mapping[str, int], end: Mapping[str, int]) -> Message | None:
    if any(number > end.get(domain, 0) for domain, number in since.items()):
        return _ENDS
    if any(number > since.get(domain, 0) for domain, number in oldest.items()):
        return _THROWN_AWAY
    return None
