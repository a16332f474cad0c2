"""Hearing from PostgreSQL which tables are changed: one stream for all of them, over a slot that goes with it.

The stream says only that something was committed. The slots of the rules are not touched, so a run can read its own at
any time; what was committed while nobody listened is found by looking into the logs of the rules.
"""

from __future__ import annotations

import secrets
import select
import struct
import time
from collections.abc import Generator, Mapping

import psycopg
from psycopg import pq

from connectors.builtin.postgresql_changes_stream import Stream
from connectors.errors import Unavailable
from rules.text import msg

_DATA, _ALIVE = b"wk"
_COMMIT, _RELATION, _INSERT, _UPDATE, _DELETE, _TRUNCATE = b"CRIUDT"
_ROWS = frozenset((_INSERT, _UPDATE, _DELETE))
_BODY = 25
_PATIENCE = 30.0
"""Seconds for the server to begin, which it does behind the transactions that are open, and for a silent one."""


class Listener:
    """Hears of the changes of some tables; `tables` maps publications to the names of their tables."""

    def __init__(self, connection: psycopg.Connection, schema: str, tables: Mapping[str, str]) -> None:
        self._wire = connection.pgconn
        self._stream = Stream(connection, _PATIENCE)
        self._schema = schema.encode()
        self._tables = dict(tables)
        self._known: dict[bytes, str] = {}
        self._open: set[str] = set()
        self._at = 0
        self._heard = self._told = time.monotonic()

    def begin(self) -> None:
        """Listen from now on: make a slot that the server drops when the connection ends."""
        slot = f"syncline_listen_{secrets.token_hex(6)}"
        self._wire.send_query(f"CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT".encode())
        end = time.monotonic() + _PATIENCE
        while self._wire.is_busy():
            if time.monotonic() > end:
                raise Unavailable(msg("A transaction in the database stays open, so nobody can listen to its log yet."))
            select.select([self._wire.socket], [], [], 1.0)
            self._wire.consume_input()
        result = self._wire.get_result()
        if result is None or result.status != pq.ExecStatus.TUPLES_OK:
            raise psycopg.errors.error_from_result(result, "utf-8")  # type: ignore[arg-type]
        while self._wire.get_result() is not None:
            pass
        self._stream.start(slot, 0, *self._tables)

    def changed(self, pause: float) -> Generator[frozenset[str]]:
        """Yield what was changed, at the latest after `pause` seconds."""
        while True:
            if select.select([self._wire.socket], [], [], pause)[0]:
                self._wire.consume_input()
            elif time.monotonic() - self._heard > max(_PATIENCE, 3 * pause):
                raise Unavailable(msg("The database does not go on sending its log of changes."))
            found = self._drained()
            if time.monotonic() - self._told >= pause:
                self._answer()
            yield frozenset(found)

    def _drained(self) -> set[str]:
        found: set[str] = set()
        while True:
            size, data = self._wire.get_copy_data(1)
            if size == 0:
                return found
            if size < 0:
                raise psycopg.errors.error_from_result(self._wire.get_result(), "utf-8")  # type: ignore[arg-type]
            self._heard = time.monotonic()
            if data[0] == _DATA:
                found |= self._take(bytes(data[_BODY:]))
            elif data[0] == _ALIVE:
                self._at = max(self._at, int.from_bytes(data[1:9]))

    def _take(self, message: bytes) -> set[str]:
        """Take note of a message; return the tables of a transaction at its end."""
        kind = message[0]
        if kind in _ROWS:
            self._open.update(self._named(message[1:5]))
        elif kind == _RELATION:
            schema, name, _ = message[5:].split(b"\0", 2)
            told = name.decode()
            if schema == self._schema and told in self._tables.values():
                self._known[message[1:5]] = told
        elif kind == _TRUNCATE:
            ids = (message[at : at + 4] for at in range(6, len(message), 4))
            self._open.update(name for relation in ids for name in self._named(relation))
        elif kind == _COMMIT:
            self._at = max(self._at, int.from_bytes(message[10:18]))
            done, self._open = self._open, set()
            return done
        return set()

    def _named(self, relation: bytes) -> tuple[str, ...]:
        name = self._known.get(relation)
        return () if name is None else (name,)

    def _answer(self) -> None:
        """Let the server forget what was heard, and ask it how far it is; each answer wakes us."""
        self._told = time.monotonic()
        self._wire.put_copy_data(b"r" + struct.pack(">qqqqB", self._at, self._at, self._at, 0, 1))
        self._wire.flush()
