"""PostgreSQL's stream of logical replication: the messages of the plug-in pgoutput, up to a place in the log.

The protocol is the server's "Streaming Replication Protocol" over a COPY in both directions. Nothing is confirmed here:
what a slot keeps changes only by `pg_replication_slot_advance`, once what was read is durable.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Iterator

import psycopg
from psycopg import pq

from connectors.errors import Unavailable
from rules.text import msg

_DATA, _ALIVE = b"w"[0], b"k"[0]
_HEADER = 25
_ANSWER = b"r" + struct.pack(">qqqqB", 1, 0, 0, 0, 1)
"""A status without any place, which asks the server to say how far it is."""
_QUIET = 0.002


class Stream:
    """Messages of one slot; `patience` are the seconds after which a silent server is given up."""

    def __init__(self, connection: psycopg.Connection, patience: float) -> None:
        self._wire = connection.pgconn
        self._patience = patience

    def start(self, slot: str, lsn: int, *publications: str) -> None:
        """Begin behind a place; raises what the driver raises."""
        names = ",".join('"' + name.replace('"', '""').replace("'", "''") + '"' for name in publications)
        options = f"proto_version '1', publication_names '{names}'"
        command = f"START_REPLICATION SLOT {slot} LOGICAL {lsn_text(lsn)} ({options})"
        result = self._wire.exec_(command.encode())
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise psycopg.errors.error_from_result(result, "utf-8")

    def messages(self, until: int) -> Iterator[bytes]:
        """Yield the messages until the server has gone through its log up to a place."""
        receive, asked, heard = self._wire.get_copy_data, False, time.monotonic()
        while True:
            size, data = receive(1)
            if size > 0:
                if data[0] == _DATA:
                    yield bytes(data[_HEADER:])
                    continue
                asked, heard = False, time.monotonic()
                if data[0] == _ALIVE and int.from_bytes(data[1:9]) >= until:
                    return
            elif size < 0:
                raise psycopg.errors.error_from_result(self._wire.get_result(), "utf-8")  # type: ignore[arg-type]
            else:
                asked = self._wait(asked=asked, heard=heard)

    def _wait(self, *, asked: bool, heard: float) -> bool:
        """Wait for more; ask a silent server how far it is, once. Return whether it has been asked."""
        if not select.select([self._wire.socket], [], [], self._patience if asked else _QUIET)[0]:
            if time.monotonic() - heard > self._patience and asked:
                raise Unavailable(msg("The database does not go on sending its log of changes."))
            self._wire.put_copy_data(_ANSWER)
            self._wire.flush()
            return True
        self._wire.consume_input()
        return asked


def lsn_text(lsn: int) -> str:
    """Return a place in the log as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_number(text: str) -> int:
    """Return a place in the log as a number."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)
