"""PostgreSQL's log of changes: a publication that names the table, and a replication slot that keeps the log.

A slot belongs to one reader (one side of a rule), the publication to the table. A slot that is gone, or that the server
has given up, is lost: then the log no longer says all that was changed, and a rule has to compare everything once.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg.sql import SQL, Composed, Identifier

from connectors.builtin import postgresql_changes_checks as checks
from connectors.builtin.database import Database
from connectors.builtin.database_changes import WINDOW, Keys, Window, WindowLog
from connectors.builtin.postgresql_changes_decode import Decoder
from connectors.builtin.postgresql_changes_stream import Stream, lsn_number, lsn_text
from connectors.changes import LogState, Mark
from connectors.errors import Misconfigured, Unavailable
from connectors.spi import Capture
from rules.text import Message, msg

Replication = Callable[[], AbstractContextManager[psycopg.Connection]]
"""Opens a connection of the replication protocol."""

_PATIENCE, _BUSY, _PAUSE = 60.0, 2.0, 0.01
"""Seconds: for a silent server; until a reader that was left behind is sent away; between two looks."""
_XIDS = 1 << 32
_NAME = 63

_SLOT = sa.text("""
SELECT (s.restart_lsn - '0/0')::bigint AS kept, (s.confirmed_flush_lsn - '0/0')::bigint AS confirmed,
       s.wal_status = 'lost' AS gone, s.active_pid, s.database = current_database() AS here
FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = :slot
""")
_SERVER = sa.text("""
SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint AS end, c.system_identifier::text AS system,
       extract(epoch FROM clock_timestamp())::float8 AS now,
       nullif(pg_size_bytes(current_setting('max_slot_wal_keep_size')), -1) AS most
FROM pg_control_system() c
""")
_PUBLISHED = sa.text("""
SELECT coalesce(bool_or(t.schemaname = :schema AND t.tablename = :table), false)
FROM pg_catalog.pg_publication p LEFT JOIN pg_catalog.pg_publication_tables t ON t.pubname = p.pubname
WHERE p.pubname = :name GROUP BY p.pubname
""")
_OTHERS = sa.text("""
SELECT count(*) FROM pg_catalog.pg_replication_slots
WHERE database = current_database() AND slot_name LIKE 'syncline\\_%' AND plugin = 'pgoutput'
""")
_SNAPSHOT = sa.text("""
SELECT pg_snapshot_xmax(s)::text::bigint AS behind, ARRAY(SELECT x::text::bigint FROM pg_snapshot_xip(s) AS x) AS open
FROM pg_current_snapshot() AS s
""")


class PostgreSQLLog(WindowLog):
    """The log of one table for one reader."""

    def __init__(self, database: Database, table: str, capture: Capture, replication: Replication) -> None:
        self._database = database
        self._schema = database.namespace or "public"
        self._table = table
        self._capture = capture
        self._replication = replication
        self._slot = capture.name
        self._publication = publication_of(self._schema, table)

    def missing(self) -> list[Message]:
        """Return what keeps the log from being read, each with what to do about it."""
        with self._database.session(self._table) as connection:
            place = checks.Place(self._schema, self._table, self._capture.key, self._publication)
            return checks.missing(connection, place, slot=self._slot)

    def keep(self) -> Message | None:
        """Make what is missing of publication and slot; a slot that was lost is made anew."""
        for message in self.missing():
            raise Misconfigured(message, object_name=self._table)
        fresh = self._publish()
        found = self._found()
        if found is not None and found.here and not found.gone and not fresh:
            return None
        if found is not None:
            self._free(found)
            self._run("SELECT pg_drop_replication_slot(:slot)", slot=self._slot)
        self._run("SELECT pg_create_logical_replication_slot(:slot, 'pgoutput')", slot=self._slot)
        return msg(
            "The database keeps its log for this rule from now on: publication '{publication}', replication slot"
            " '{slot}'. The slot keeps the log until this rule has read it; it is taken away once no rule needs it.",
            publication=self._publication,
            slot=self._slot,
        )

    def state(self, since: Mark) -> LogState:
        """Return how slot and log stand."""
        server, found = self._server(), self._found()
        place = lsn_number(since["lsn"])
        lost = self._lost(since, server, found)
        if lost is not None or found is None:
            return LogState(lost)
        seconds = max(0.0, server.now - float(since["time"])) if server.end > place else 0.0
        return LogState(None, server.end - place, seconds, server.end - found.kept, lsn_text(place), server.most)

    def drop(self) -> Message | None:
        """Take the slot away, and the publication where nobody else reads by it."""
        found = self._found()
        if found is None:
            return None
        self._free(found)
        self._run("SELECT pg_drop_replication_slot(:slot)", slot=self._slot)
        taken = msg("The replication slot '{slot}' was taken away.", slot=self._slot)
        with self._database.session() as connection:
            if connection.execute(_OTHERS).scalar_one() or self._published() is None:
                return taken
        self._define(SQL("DROP PUBLICATION {}").format(Identifier(self._publication)))
        return taken

    def start(self) -> Mark:
        """Return the slot's own place: it was made when all before could be seen."""
        found, server = self._found(), self._server()
        if found is None:
            raise Misconfigured(msg("The replication slot '{slot}' is gone.", slot=self._slot))
        return self._mark(found.confirmed, server)

    def end(self) -> Mark:
        """Return the end of the log that is on the server's disk."""
        server = self._server()
        return self._mark(server.end, server)

    def confirm(self, since: Mark) -> None:
        """Let the slot move on."""
        found, place = self._found(), lsn_number(since["lsn"])
        if found is not None and place > found.confirmed:
            self._free(found)
            text = "SELECT pg_replication_slot_advance(:slot, CAST(:place AS pg_lsn))"
            self._run(text, slot=self._slot, place=lsn_text(place))

    def window(self, at: Mark, until: Mark) -> Window:
        """Return the keys of a window; the stream lives as long as that takes."""
        end = lsn_number(until["lsn"])
        keys = Keys(at, WINDOW)
        decoder = Decoder((self._schema, self._table), self._capture.key, keys, end)
        found = self._found()
        if found is not None:
            self._free(found)
        with self._replication() as connection:
            stream = Stream(connection, max(_PATIENCE, self._database.context.timeout))
            stream.start(self._slot, lsn_number(at["lsn"]), self._publication)
            last = decoder.collect(stream.messages(end))
        behind = {"lsn": until["lsn"], "skip": 0} if last else keys.end
        texts = pl.Series(list(keys.found), dtype=pl.Binary).cast(pl.String)
        return Window(texts, keys.gone, behind, last, keys.emptied, frozenset(decoder.transactions))

    def settle(self, window: Window) -> None:
        """Wait until all transactions of a window can be seen.

        The log tells of a transaction a little before others see it, and long before while it waits for a standby.
        """
        patience = time.monotonic() + _PATIENCE
        while window.transactions:
            with self._database.session() as connection:
                seen = connection.execute(_SNAPSHOT).one()
            hidden = {number % _XIDS for number in seen.open}
            if not any(number in hidden or _ahead(number, seen.behind) for number in window.transactions):
                return
            if time.monotonic() > patience:
                raise Unavailable(
                    msg("A transaction is in the log but cannot be seen yet; perhaps it waits for a standby server.")
                )
            time.sleep(_PAUSE)

    def _lost(self, since: Mark, server: Any, found: Any) -> Message | None:
        if since["system"] != server.system:
            return msg("The connection leads to another database server than before.")
        if found is None or not found.here:
            return msg("The replication slot '{slot}' is gone.", slot=self._slot)
        if found.gone:
            return msg(
                "The database has given up the replication slot '{slot}', because it kept more of the log than"
                " max_slot_wal_keep_size allows, or was not used for too long.",
                slot=self._slot,
            )
        place = lsn_number(since["lsn"])
        if not found.confirmed <= place <= server.end:
            return msg("The log does not hold the place up to which it was read.")
        if not self._published():
            return msg("The table is not in the publication '{publication}' any more.", publication=self._publication)
        return None

    def _publish(self) -> bool:
        """See to it that the publication names the table; tell whether it is new, so that no older log knows it."""
        published = self._published()
        if published:
            return False
        text = "ALTER PUBLICATION {} SET TABLE {}"
        if published is None:
            text = "CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true)"
        self._define(SQL(text).format(Identifier(self._publication), Identifier(self._schema, self._table)))
        return published is None

    def _published(self) -> bool | None:
        """Tell whether the publication names the table; None where there is no publication."""
        values = {"name": self._publication, "schema": self._schema, "table": self._table}
        with self._database.session() as connection:
            return connection.execute(_PUBLISHED, values).scalar()

    def _free(self, found: Any) -> None:
        """Send a reader away that was left behind: this one has the run, so the other one has lost it."""
        begun = time.monotonic()
        pid = found.active_pid
        while pid is not None:
            waited = time.monotonic() - begun
            if waited > 2 * _BUSY:
                raise Unavailable(msg("Another reader uses the replication slot '{slot}'.", slot=self._slot))
            if waited > _BUSY:
                self._run("SELECT pg_terminate_backend(:pid)", pid=pid)
            time.sleep(_PAUSE)
            again = self._found()
            pid = None if again is None else again.active_pid

    def _define(self, statement: Composed) -> None:
        with self._database.transaction(self._table) as connection:
            driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
            driver.execute(statement)

    def _found(self) -> Any:
        with self._database.session() as connection:
            return connection.execute(_SLOT, {"slot": self._slot}).one_or_none()

    def _server(self) -> Any:
        with self._database.session() as connection:
            return connection.execute(_SERVER).one()

    def _run(self, statement: str, **values: Any) -> None:
        with self._database.session() as connection:
            connection.execute(sa.text(statement), values)

    def _mark(self, lsn: int, server: Any) -> Mark:
        return {"lsn": lsn_text(lsn), "system": server.system, "time": round(server.now, 3)}


def publication_of(schema: str, table: str) -> str:
    """Return the name of the publication of a table."""
    name = f"syncline_{schema}_{table}"
    if len(name.encode()) <= _NAME:
        return name
    mark = f"_{zlib.crc32(name.encode()):08x}"
    return name.encode()[: _NAME - len(mark)].decode(errors="ignore") + mark


def _ahead(number: int, behind: int) -> bool:
    """Tell whether a transaction's number (its lower half) is not below another one; numbers go round."""
    return (number - behind) % _XIDS < _XIDS >> 1
