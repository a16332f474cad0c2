"""Hearing which tables are changed, from a real PostgreSQL and a real MariaDB."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pymysql
import pytest

from connectors.builtin import postgresql_listen
from connectors.builtin.mysql import MySQL
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.postgresql_changes import PostgreSQLLog
from connectors.builtin.sqlite import SQLite
from connectors.errors import ConnectorError, Unavailable
from connectors.spi import Context
from tests.connectors.captured import Captured
from tests.connectors.databases import promptly, rows, run

TABLES = [f"CREATE TABLE {name} (id integer PRIMARY KEY, name varchar(20))" for name in ("t", "u", "other")]
KINDS: dict[str, Any] = {"postgres": PostgreSQL, "mariadb": MySQL}
PAUSE = 0.2


@pytest.fixture(params=list(KINDS))
def t(request: pytest.FixtureRequest) -> Iterator[Captured]:
    url = request.getfixturevalue(f"{request.param}_url")
    if request.param == "postgres":
        promptly(url)
    run(url, *TABLES)
    captured = Captured(KINDS[request.param], url)
    with contextlib.closing(captured):
        captured.log.keep()
        other = captured.source.log("u", captured.capture)
        if isinstance(other, PostgreSQLLog):
            other._publish()
        yield captured


def heard(names: Iterator[frozenset[str]], wanted: int, seconds: float = 10.0) -> set[str]:
    """Return what is heard until there is enough of it."""
    found: set[str] = set()
    end = time.monotonic() + seconds
    for some in names:
        found |= some
        if len(found) >= wanted or time.monotonic() > end:
            break
    return found


def quiet(names: Iterator[frozenset[str]]) -> bool:
    """Tell whether nothing is heard for three pauses."""
    end = time.monotonic() + 3 * PAUSE
    while time.monotonic() < end:
        if next(names):
            return False
    return True


def test_tables_are_named_as_they_change(t: Captured) -> None:
    """A change is heard soon after it was committed, by the name of its table; other tables are not heard of."""
    with contextlib.closing(t.source.changed(["t", "u"], PAUSE)) as names:
        assert next(names) == frozenset()
        run(t.url, "INSERT INTO other VALUES (1, 'x')")
        assert quiet(names)
        run(t.url, "INSERT INTO other VALUES (2, 'x')", "INSERT INTO u VALUES (1, 'x')")
        begun = time.monotonic()
        assert heard(names, 1) == {"u"}
        assert time.monotonic() - begun < 2
        run(t.url, "INSERT INTO t VALUES (1, 'x')", "UPDATE u SET name = 'y'")
        assert heard(names, 2) == {"t", "u"}
        run(t.url, "DELETE FROM t")
        assert heard(names, 1) == {"t"}
        assert quiet(names)
        run(t.url, "TRUNCATE TABLE t")
        assert "t" in heard(names, 1)


def test_what_is_pending(t: Captured) -> None:
    """A log tells whether there is anything for its reader, whatever else was changed in the database."""
    run(t.url, "INSERT INTO t VALUES (1, 'x')")
    t.first()
    t.next()
    since = dict(t.capture.since or {})
    assert not t.log.pending(since)
    run(t.url, "INSERT INTO other VALUES (1, 'x')")
    assert not t.log.pending(since)
    run(t.url, "UPDATE t SET name = 'y'")
    assert t.log.pending(since)
    t.next()
    since = dict(t.capture.since or {})
    run(t.url, "TRUNCATE TABLE t")
    assert t.log.pending(since)
    state = t.log.state(since)
    assert state.place in (since.get("lsn"), since.get("gtid"))


def test_a_lost_log_is_pending(t: Captured) -> None:
    """A place that the log does not hold any more has to be told to the rule."""
    run(t.url, "INSERT INTO t VALUES (1, 'x')")
    t.first()
    since = dict(t.capture.since or {})
    assert t.log.pending({**since, "lsn": "FFFF/0", "gtid": "0-1-999999"})


def test_a_connection_that_ends(t: Captured) -> None:
    """Whoever listens is told in words that the server has ended the connection."""
    with contextlib.closing(t.source.changed(["t"], PAUSE)) as names:
        next(names)
        next(names)
        if isinstance(t.source, PostgreSQL):
            run(t.url, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE temporary")
        else:
            _end_dump(t)
        with pytest.raises(ConnectorError):
            heard(names, 1)


def _end_dump(t: Captured) -> None:
    for number, command in rows(t.url, "SELECT ID, COMMAND FROM information_schema.PROCESSLIST"):
        if command == "Binlog Dump":
            run(t.url, f"KILL {number}")


def test_an_open_transaction_keeps_postgresql_from_beginning(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL begins behind the transactions that are open; one that stays open is told of."""
    monkeypatch.setattr(postgresql_listen, "_PATIENCE", 0.3)
    run(postgres_url, *TABLES)
    t = Captured(PostgreSQL, postgres_url)
    with contextlib.closing(t.source), psycopg.connect(postgres_url.replace("+psycopg", "")) as open_one:
        open_one.execute("INSERT INTO t VALUES (1, 'x')")
        with pytest.raises(Unavailable, match="stays open"):
            next(t.source.changed(["t"], PAUSE))


def test_postgresql_that_refuses(postgres_url: str) -> None:
    """A user without the right to follow the log is told so."""
    run(postgres_url, *TABLES, "DROP ROLE IF EXISTS poor", "CREATE ROLE poor LOGIN PASSWORD 'poor'")
    t = Captured(PostgreSQL, postgres_url)
    t.source.settings.update(user="poor", password="poor")
    with contextlib.closing(t.source), pytest.raises(ConnectorError):
        next(t.source.changed(["t"], PAUSE))


def test_a_silent_server(monkeypatch: pytest.MonkeyPatch, t: Captured) -> None:
    """A server that says nothing for long is given up."""
    if not isinstance(t.source, PostgreSQL):
        t.source.open = _once(t.source.open)  # type: ignore[method-assign]
        with pytest.raises(ConnectorError):
            heard(t.source.changed(["t"], PAUSE), 1)
        return
    monkeypatch.setattr(postgresql_listen.Listener, "_answer", lambda _: None)
    monkeypatch.setattr(postgresql_listen, "_PATIENCE", 0.0)
    with t.source.replication() as connection:
        listener = postgresql_listen.Listener(connection, "public", {})
        listener._heard -= 100
        with pytest.raises(Unavailable, match="does not go on"):
            list(listener.changed(0.05))


def _once(connect: Callable[[], Any]) -> Callable[[], Any]:
    """Let the connection of the stream end as soon as it is asked for anything."""

    def opened() -> Any:
        connection = connect()
        connection._read_packet = lambda *_: (_ for _ in ()).throw(pymysql.OperationalError(2013, "gone"))
        return connection

    return opened


def test_systems_without_a_log() -> None:
    """A system that keeps no log cannot be listened to."""
    with pytest.raises(NotImplementedError):
        SQLite({"path": "x"}, Context()).changed(["t"], PAUSE)
