"""Change capture from PostgreSQL, against a real server with logical replication."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin import postgresql_changes
from connectors.builtin import postgresql_changes_checks as checks
from connectors.builtin.database_changes import Keys
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.postgresql_changes import PostgreSQLLog, publication_of
from connectors.builtin.postgresql_changes_decode import Decoder
from connectors.builtin.postgresql_changes_stream import Stream
from connectors.errors import Misconfigured, Unavailable
from connectors.spi import Capture, ReadRequest
from rules.text import Message
from tests import servers
from tests.connectors.captured import Captured, applied, follow, transaction
from tests.connectors.databases import promptly, rows, run

TABLE = "CREATE TABLE t (id integer PRIMARY KEY, name text, n numeric, at timestamptz, j jsonb)"


@pytest.fixture
def t(postgres_url: str) -> Iterator[Captured]:
    promptly(postgres_url)
    run(postgres_url, TABLE)
    captured = Captured(PostgreSQL, postgres_url)
    yield captured
    captured.close()


def test_a_count_that_no_message_holds() -> None:
    """A message that says it empties four billion tables is read as far as it goes."""
    keys = Keys({}, 100)
    decoder = Decoder(("public", "t"), "id", keys, until=2**62)
    columns = b"public\0t\0d\0\1\1id\0" + bytes(8)
    relation, emptied = b"R\0\0\0\7" + columns, b"T\xff\xff\xff\xff\0" + b"\0\0\0\5"
    assert decoder.collect(iter((relation, emptied)))
    assert not keys.emptied
    assert decoder.collect(iter((emptied + b"\0\0\0\7",)))
    assert keys.emptied


def test_all_then_what_is_new(t: Captured) -> None:
    """A first read gives all records, later ones what was created, updated and deleted since, and nothing twice."""
    run(t.url, "INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    assert [r["id"] for r in t.first()] == [1, 2, 3]
    assert t.next() == ([], [], False)
    run(t.url, "INSERT INTO t (id, name) VALUES (4, 'd')", "UPDATE t SET name = 'B' WHERE id = 2")
    run(t.url, "DELETE FROM t WHERE id = 1", "UPDATE t SET name = 'BB' WHERE id = 2")
    records, deleted, _ = t.next()
    assert sorted((r["id"], r["name"]) for r in records) == [(2, "BB"), (4, "d")]
    assert deleted == [1]
    assert t.next() == ([], [], False)


def admin(server: servers.Server, statement: str) -> None:
    with psycopg.connect(
        host=str(server.socket.parent), port=server.port, user=server.user, autocommit=True
    ) as connection:
        connection.execute(statement.encode())


def test_large_values_that_did_not_change(t: Captured) -> None:
    """A value that the log leaves out, because it is stored apart and did not change, is there."""
    run(
        t.url,
        "ALTER TABLE t ALTER name SET STORAGE EXTERNAL",
        "INSERT INTO t (id, name) VALUES (1, repeat('客', 9000))",
    )
    t.first()
    run(t.url, "UPDATE t SET n = 5")
    ((record,), _, _) = t.next()
    assert (record["name"], record["n"]) == ("客" * 9000, 5)


def test_changed_columns(t: Captured) -> None:
    """Columns may come, go and change their type between two reads."""
    t.first()
    run(t.url, "INSERT INTO t (id, name) VALUES (1, '7')", "ALTER TABLE t DROP n, ADD more text DEFAULT 'x'")
    run(t.url, "INSERT INTO t (id, name) VALUES (2, '8')", "ALTER TABLE t ALTER name TYPE integer USING name::integer")
    records, _, _ = t.next()
    assert [(r["id"], r["name"], r["more"]) for r in records] == [(1, 7, "x"), (2, 8, "x")]


def test_all_deleted_at_once(t: Captured) -> None:
    """A TRUNCATE is told as such; what was written before it is gone, what came behind is there."""
    run(t.url, "INSERT INTO t (id) VALUES (1)", "CREATE TABLE other (id integer)", "INSERT INTO other VALUES (1)")
    t.first()
    run(t.url, "INSERT INTO t (id) VALUES (2)", "TRUNCATE t, other", "INSERT INTO t (id) VALUES (3)", "TRUNCATE other")
    records, deleted, emptied = t.next()
    assert ([r["id"] for r in records], deleted, emptied) == ([3], [2], True)
    run(t.url, "INSERT INTO other VALUES (2)", "TRUNCATE other")
    assert t.next() == ([], [], False)


def test_what_was_rolled_back_is_no_change(t: Captured) -> None:
    """Only what was committed is told, also of parts of a transaction."""
    t.first()
    run(
        t.url, "INSERT INTO t (id) VALUES (1)", "SAVEPOINT a", "INSERT INTO t (id) VALUES (2)",
        "ROLLBACK TO SAVEPOINT a", "INSERT INTO t (id) VALUES (3)",
    )  # fmt: skip
    assert [r["id"] for r in t.next()[0]] == [1, 3]


def test_a_partitioned_table_is_one_table(postgres_url: str) -> None:
    """Changes of partitions are changes of the table, also where a record moves to another one."""
    promptly(postgres_url)
    run(
        postgres_url, "CREATE TABLE p (id integer PRIMARY KEY, name text) PARTITION BY RANGE (id)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)", "INSERT INTO p VALUES (1, 'a')",
    )  # fmt: skip
    with contextlib.closing(Captured(PostgreSQL, postgres_url, "p")) as p:
        p.first()
        run(postgres_url, "UPDATE p SET id = 11")
        assert p.next() == ([{"id": 11, "name": "a"}], [1], False)


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [("text", "客'\\ ", "b"), ("uuid", "0d4f4c5c-0000-4000-8000-000000000000", "0d4f4c5c-0000-4000-8000-000000000001"),
     ("numeric(10,2)", "1.50", "2.00"), ("date", "2024-02-29", "0044-01-01"), ("bigint", "-9", "9223372036854775807")],
)  # fmt: skip
def test_keys_of_other_types(postgres_url: str, kind: str, first: str, second: str) -> None:
    """Whatever type the key has, records are found by it and deletions name it; it need not be the first column."""
    promptly(postgres_url)
    run(postgres_url, f"CREATE TABLE k (a text, b text, k {kind} PRIMARY KEY)")
    with contextlib.closing(Captured(PostgreSQL, postgres_url, "k", "k")) as k:
        k.first()
        run(postgres_url, f"INSERT INTO k VALUES (NULL, 'x', $k${first}$k$)", f"INSERT INTO k (k) VALUES ('{second}')")
        records, _, _ = k.next()
        assert [str(r["k"]) for r in records] == [first, second]
        run(postgres_url, f"DELETE FROM k WHERE k = '{second}'")
        assert [str(key) for key in k.next()[1]] == [second]


def test_a_key_beside_the_primary_key(postgres_url: str) -> None:
    """With REPLICA IDENTITY FULL any column that is never null can be the key; large keys that stay are known, too."""
    promptly(postgres_url)
    run(
        postgres_url, "CREATE TABLE f (id serial PRIMARY KEY, no text NOT NULL, name text)",
        "ALTER TABLE f ALTER no SET STORAGE EXTERNAL",
    )  # fmt: skip
    with contextlib.closing(Captured(PostgreSQL, postgres_url, "f", "no")) as f:
        assert "REPLICA IDENTITY FULL" in str(f.log.missing()[0])
        with pytest.raises(Misconfigured, match="REPLICA IDENTITY FULL"):
            f.log.keep()
        run(postgres_url, "ALTER TABLE f REPLICA IDENTITY FULL")
        f.first()
        run(postgres_url, "INSERT INTO f (no, name) VALUES ('a', 'x'), (repeat('long', 2000), 'y'), ('c', 'z')")
        assert len(f.next()[0]) == 3
        run(postgres_url, "UPDATE f SET no = 'b' WHERE no = 'a'", "UPDATE f SET name = 'Y' WHERE no LIKE 'long%'")
        run(postgres_url, "DELETE FROM f WHERE no = 'c'")
        records, deleted, _ = f.next()
        assert ([r["no"][:4] for r in records], deleted) == (["b", "long"], ["a", "c"])


def test_records_that_cannot_be_read(t: Captured) -> None:
    """A record with a value that is not exact is a reject, and not taken for deleted."""
    t.first()
    run(t.url, "INSERT INTO t (id) VALUES (1), (2)")
    t.next()
    run(t.url, "DELETE FROM t", "INSERT INTO t (id, n) VALUES (1, 'NaN')", "INSERT INTO t (id) VALUES (3)")
    run(t.url, "DELETE FROM t WHERE id = 1")
    began, read = threading.Event(), t.log.__class__.settle

    def late(self: Any, window: Any) -> None:
        read(self, window)
        if not began.is_set():
            began.set()
            run(t.url, "INSERT INTO t (id, n) VALUES (1, 'NaN')")  # comes back when its deletion is known

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgreSQLLog, "settle", late)
        (page,) = t.pages()
    assert page.records["id"].to_list() == [3]
    assert [reject.place for reject in page.rejects] == ["id 1"]
    assert page.deleted is not None
    assert page.deleted["id"].to_list() == [2]


def test_a_window_is_collected_once(t: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that goes on behind a page with another size, as runs do, does not read the log again."""
    t.first()
    run(t.url, "INSERT INTO t SELECT g FROM generate_series(1, 5) g")
    first, _, _ = t.pages(size=2)
    monkeypatch.setattr(PostgreSQL, "replication", None)
    assert [r for page in t.pages(after=first.position) for r in page.records["id"]] == [3, 4, 5]


@pytest.mark.parametrize("most", [1, 7])
def test_windows_of_any_size(t: Captured, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """A large transaction is read in parts; a read goes on behind any page, the place moves behind whole ones only."""
    monkeypatch.setattr(postgresql_changes, "WINDOW", most)
    t.first()
    run(t.url, *(f"INSERT INTO t (id) VALUES ({n})" for n in range(1, 8)), "UPDATE t SET id = 99 WHERE id = 3")
    run(t.url, "DELETE FROM t WHERE id < 3", "UPDATE t SET name = 'x' WHERE id > 5")
    start = t.capture.since
    pages = t.pages(size=2)
    there, gone = applied(pages, {})
    assert sorted(there) == [*range(4, 8), 99]
    assert not gone & set(there)
    for number, page in list(enumerate(pages, 1))[::3]:
        rest = t.pages(size=2, after=json.loads(json.dumps(page.position)), since=start)
        assert [p.records["id"].to_list() for p in rest if p.records.height] == [
            p.records["id"].to_list() for p in pages[number:] if p.records.height
        ]
        assert page.captured is not None
        again, _ = applied(t.pages(since=dict(page.captured)), applied(pages[:number], {})[0])
        assert again == there


def test_a_commit_that_waits_for_a_standby_is_waited_for(
    t: Captured, postgres_server: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the log but cannot be seen yet is not passed over."""
    run(t.url, "INSERT INTO t (id, name) VALUES (1, 'old')")
    t.first()
    admin(postgres_server, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    try:
        admin(postgres_server, "SELECT pg_reload_conf()")
        writer = threading.Thread(target=run, args=(t.url, "UPDATE t SET name = 'new'"))
        writer.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        while rows(t.url, waiting) == [(0,)]:
            time.sleep(0.01)
        assert rows(t.url, "SELECT name FROM t") == [("old",)]
        with monkeypatch.context() as patch:
            patch.setattr(postgresql_changes, "_PATIENCE", 0.05)
            with pytest.raises(Unavailable, match="standby"):
                t.pages()
        threading.Timer(0.2, admin, (postgres_server, "ALTER SYSTEM RESET synchronous_standby_names")).start()
        threading.Timer(0.3, admin, (postgres_server, "SELECT pg_reload_conf()")).start()
        assert [r["name"] for r in t.next()[0]] == ["new"]
        writer.join()
    finally:
        admin(postgres_server, "ALTER SYSTEM RESET synchronous_standby_names")
        admin(postgres_server, "SELECT pg_reload_conf()")


def test_a_reader_that_was_left_behind_is_sent_away(t: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that stands still holds the slot no longer than its successor waits; an unwilling one is told of."""
    t.first()
    run(t.url, "INSERT INTO t (id) VALUES (1)")
    with t.source.replication() as connection:
        Stream(connection, 5).start(t.capture.name, 0, "syncline_public_t")
        with monkeypatch.context() as patch:
            patch.setattr(postgresql_changes, "_BUSY", 0.02)
            patch.setattr(PostgreSQLLog, "_run", lambda *_, **__: None)
            with pytest.raises(Unavailable, match="Another reader"):
                t.pages()
        monkeypatch.setattr(postgresql_changes, "_BUSY", 0.3)
        assert [r["id"] for r in t.next()[0]] == [1]
        with pytest.raises(psycopg.Error):
            list(Stream(connection, 5).messages(1 << 62))


def test_a_slot_that_was_given_up(t: Captured, postgres_server: servers.Server) -> None:
    """A slot that the server has given up to save its disk is lost, and is made anew."""
    t.first()
    admin(postgres_server, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    try:
        admin(postgres_server, "SELECT pg_reload_conf()")
        for _ in range(3):
            run(t.url, "INSERT INTO t SELECT g FROM generate_series(1, 100) g", "DELETE FROM t")
            admin(postgres_server, "SELECT pg_switch_wal()")
        admin(postgres_server, "CHECKPOINT")
        assert "max_slot_wal_keep_size" in str(lost(t))
    finally:
        admin(postgres_server, "ALTER SYSTEM RESET max_slot_wal_keep_size")
        admin(postgres_server, "SELECT pg_reload_conf()")
    assert "replication slot" in str(t.log.keep())
    t.first()
    assert lost(t) is None


def lost(t: Captured, **changed: Any) -> Message | None:
    return t.log.state({**(t.capture.since or {}), **changed}).lost


def test_a_log_that_does_not_tell_all_is_noticed(t: Captured) -> None:
    """Another server, a place outside the log, a table that is not published, a slot that is gone are told apart."""
    t.first()
    state = t.log.state(t.capture.since or {})
    assert (state.lost, state.behind, state.seconds) == (None, 0, 0.0)
    run(t.url, "INSERT INTO t (id) VALUES (1)")
    state = t.log.state(t.capture.since or {})
    assert state.behind > 0
    assert state.kept is not None
    assert state.kept >= state.behind
    assert t.log.keep() is None
    assert "another database server" in str(lost(t, system="1"))
    assert "does not hold the place" in str(lost(t, lsn="0/1"))
    assert "does not hold the place" in str(lost(t, lsn="FFFF/1"))
    run(t.url, "CREATE TABLE other (id integer PRIMARY KEY)", "ALTER PUBLICATION syncline_public_t SET TABLE other")
    assert "not in the publication" in str(lost(t))
    assert t.log.keep() is None
    assert lost(t) is None
    run(t.url, "DROP PUBLICATION syncline_public_t")
    assert "syncline_public_t" in str(t.log.keep())
    assert "does not hold the place" in str(lost(t))
    assert "taken away" in str(t.log.drop())
    assert t.log.drop() is None
    assert "is gone" in str(lost(t))
    with pytest.raises(Misconfigured, match="is gone"):
        list(t.source.read(ReadRequest("t", t.source.schema("t"), capture=replace(t.capture, since=None))))
    with pytest.raises(Misconfigured):
        t.pages()


def test_a_publication_that_others_read_by_stays(t: Captured) -> None:
    """What a second reader needs is not taken away with the first one."""
    t.first()
    with contextlib.closing(Captured(PostgreSQL, t.url)) as second:
        second.capture = replace(second.capture, name=f"{second.capture.name}_2")
        second.log = second.source.log("t", second.capture)
        second.log.keep()
        t.log.drop()
        assert rows(t.url, "SELECT count(*) FROM pg_publication") == [(1,)]
        run(t.url, "DROP PUBLICATION syncline_public_t")
    assert rows(t.url, "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == [(0,)]


def test_what_cannot_be_followed(t: Captured) -> None:
    """Views, tables without a log, and keys that the log does not name for certain are told of."""
    run(
        t.url, "CREATE VIEW v AS SELECT * FROM t", "CREATE UNLOGGED TABLE u (id integer PRIMARY KEY)",
        "CREATE TABLE odd (id money PRIMARY KEY, no integer UNIQUE)", "CREATE DOMAIN d AS integer",
        "CREATE TABLE dom (id d PRIMARY KEY)",
    )  # fmt: skip
    said = {
        name: [str(m) for m in t.source.change_log(name, Capture("x", key)).missing()]
        for name, key in (("v", "id"), ("u", "id"), ("odd", "id"), ("dom", "id"), ("nothing", "id"))
    }
    assert "is no table" in said["v"][0]
    assert "is no table" in said["nothing"][0]
    assert "unlogged" in said["u"][0]
    assert "cannot be the key" in said["odd"][0]
    assert said["dom"] == []
    assert "cannot be the key" in str(t.source.change_log("odd", Capture("x", "no")).missing()[0])
    assert "cannot be the key" in str(t.source.change_log("odd", Capture("x", "none")).missing()[0])


def test_what_a_server_lacks() -> None:
    """Each thing that a server or user lacks has a sentence that says what to do."""
    good = {"version": 150000, "shown": "15", "level": "logical", "replica": False, "allowed": True, "me": "ada"}
    good |= {"there": False, "used": 1, "slots": 10}
    said = {
        name: [str(m) for m in checks.server(SimpleNamespace(**{**good, **changed}))]
        for name, changed in {
            "good": {}, "old": {"version": 120000, "shown": "12.3"}, "level": {"level": "replica"},
            "replica": {"replica": True}, "right": {"allowed": False}, "full": {"used": 10},
            "own": {"used": 10, "there": True},
        }.items()
    }  # fmt: skip
    assert said["good"] == said["own"] == []
    assert "12.3" in said["old"][0]
    assert "wal_level = 'logical'" in said["level"][0]
    assert "primary" in said["replica"][0]
    assert "ALTER ROLE ada REPLICATION" in said["right"][0]
    assert "max_replication_slots" in said["full"][0]


def test_names_of_publications() -> None:
    """Long names are cut to what PostgreSQL takes, and stay different."""
    assert publication_of("public", "customer") == "syncline_public_customer"
    long = {publication_of("public", "客户" * 12 + end) for end in ("a", "b")}
    assert len(long) == 2
    assert all(len(name.encode()) <= 63 for name in long)


def test_a_server_that_falls_silent() -> None:
    """A server that goes on neither with its log nor with its answer is given up."""
    mute, other = socket.socketpair()
    with mute, other:
        wire = SimpleNamespace(
            socket=mute.fileno(), get_copy_data=lambda _: (0, b""), put_copy_data=lambda _: None, flush=lambda: None
        )
        with pytest.raises(Unavailable, match="does not go on"):
            list(Stream(SimpleNamespace(pgconn=wire), 0.02).messages(1))  # type: ignore[arg-type]


def test_a_transaction_number_behind_the_turn() -> None:
    """Numbers of transactions go round after four billion, and are compared so."""
    assert postgresql_changes._ahead(5, 5)
    assert not postgresql_changes._ahead(4, 5)
    assert not postgresql_changes._ahead((1 << 32) - 1, (1 << 32) + 3)
    assert postgresql_changes._ahead(3, (1 << 32) - 1)


IDS = st.integers(0, 6)
DEEDS = st.one_of(
    st.tuples(st.just("INSERT INTO t (id, name) VALUES ({0}, {1}) ON CONFLICT (id) DO NOTHING"), IDS, IDS),
    st.tuples(st.just("UPDATE t SET name = '{1}' WHERE id = {0}"), IDS, IDS),
    st.tuples(st.just("DELETE FROM t WHERE id = {0}"), IDS, IDS),
    st.tuples(st.just("UPDATE t SET id = {1} WHERE id = {0} AND NOT EXISTS (SELECT FROM t WHERE id = {1})"), IDS, IDS),
    st.tuples(st.just("TRUNCATE t"), IDS, IDS),
)  # fmt: skip


@pytest.fixture(scope="module")
def history(module_postgres_url: str) -> Iterator[tuple[Captured, dict[Any, Any]]]:
    promptly(module_postgres_url)
    run(module_postgres_url, TABLE)
    with contextlib.closing(Captured(PostgreSQL, module_postgres_url)) as captured:
        captured.first()
        yield captured, {}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    transactions=st.lists(st.tuples(st.lists(DEEDS, min_size=1, max_size=4), st.booleans(), st.booleans()), max_size=5),
    size=st.integers(1, 4),
    most=st.integers(1, 9),
)
def test_any_history(
    history: tuple[Captured, dict[Any, Any]],
    transactions: list[tuple[list[tuple[str, int, int]], bool, bool]],
    size: int,
    most: int,
) -> None:
    """Whatever is done in whichever transactions, committed or not, a copy by the log holds what the table holds."""
    t, replica = history
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgresql_changes, "WINDOW", most)
        for deeds, commit, look in transactions:
            with contextlib.suppress(ZeroDivisionError):
                transaction(t.url, [deed.format(a, b) for deed, a, b in deeds], commit=commit)
            if look:
                follow(t, replica, size)
        follow(t, replica, size)
    assert sorted((r["id"], r["name"]) for r in replica.values()) == rows(t.url, "SELECT id, name FROM t ORDER BY id")
