"""Hearing which tables are changed: one stream of the binary log, which says only that something was."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysqlreplication.event import HeartbeatLogEvent, QueryEvent

from connectors.builtin.mysql_changes_decode import ROWS
from connectors.builtin.mysql_changes_stream import Wanted, stream


@dataclass(frozen=True)
class Heard:
    """What is listened to: tables of a schema, behind a place."""

    schema: str
    tables: Sequence[str]
    gtid: str
    mariadb: bool = True


def changed(connect: Callable[[], pymysql.Connection[Any]], heard: Heard, pause: float) -> Generator[frozenset[str]]:
    """Yield which tables were changed behind a place, and nothing where the server is silent for `pause` seconds."""
    wanted = Wanted(
        heard.gtid,
        heard.schema,
        heard.tables,
        (*ROWS, QueryEvent, HeartbeatLogEvent),
        secrets.randbits(30),
        heard.mariadb,
    )
    read = stream(connect, wanted, blocking=True, slave_heartbeat=pause)
    with contextlib.closing(read):
        while (event := read.fetchone()) is not None:
            if isinstance(event, QueryEvent):
                # a statement without rows may have emptied a table, which the reader of its log finds out
                words = event.query.lstrip()[:8].upper()
                yield frozenset(heard.tables) if words.startswith(("TRUNCATE", "ALTER")) else frozenset()
            else:
                yield frozenset((event.table,)) if isinstance(event, ROWS) else frozenset()
