"""Change capture from MariaDB, against a real server with its binary log."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin import mysql_changes
from connectors.builtin import mysql_changes_checks as checks
from connectors.builtin.mysql import MySQL
from connectors.builtin.mysql_changes_rows import RowKeys
from connectors.errors import ConnectorError, Misconfigured, Unavailable
from connectors.spi import Capture
from tests.connectors.captured import Captured, applied, follow, transaction
from tests.connectors.databases import rows, run, settings_of

TABLE = "CREATE TABLE t (id integer PRIMARY KEY, name text, n decimal(12, 3), at datetime(6), j json)"


@pytest.fixture
def t(mariadb_url: str) -> Iterator[Captured]:
    run(mariadb_url, TABLE)
    with contextlib.closing(Captured(MySQL, mariadb_url)) as captured:
        yield captured


def test_all_then_what_is_new(t: Captured) -> None:
    """A first read gives all records, later ones what was created, updated and deleted since, and nothing twice."""
    run(t.url, "INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    assert [r["id"] for r in t.first()] == [1, 2, 3]
    assert t.next() == ([], [], False)
    run(t.url, "INSERT INTO t (id, name) VALUES (4, '😀')", "UPDATE t SET name = 'B' WHERE id = 2")
    run(t.url, "DELETE FROM t WHERE id = 1", "UPDATE t SET name = 'BB' WHERE id = 2")
    run(t.url, "ALTER TABLE t ADD more text DEFAULT 'x', DROP n", "UPDATE t SET id = 33 WHERE id = 3")
    records, deleted, _ = t.next()
    assert sorted((r["id"], r["name"], r["more"]) for r in records) == [(2, "BB", "x"), (4, "😀", "x"), (33, "c", "x")]
    assert sorted(deleted) == [1, 3]
    assert t.next() == ([], [], False)


def test_all_deleted_at_once(t: Captured) -> None:
    """A TRUNCATE is told as such, that of another table is not."""
    run(t.url, "INSERT INTO t (id) VALUES (1)", "CREATE TABLE other (id integer)")
    t.first()
    run(t.url, "TRUNCATE other", "INSERT INTO t (id) VALUES (2)", "TRUNCATE TABLE t", "INSERT INTO t (id) VALUES (3)")
    records, deleted, emptied = t.next()
    assert ([r["id"] for r in records], deleted, emptied) == ([3], [2], True)


@pytest.mark.parametrize(
    "statements",
    [
        ("RENAME TABLE t TO old, fresh TO t",),
        ("DROP TABLE t", "CREATE TABLE t (id integer PRIMARY KEY)"),
        ("XA START 'x'", "UPDATE t SET name = 'x'", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"),
        ("SET SESSION binlog_format = STATEMENT", "UPDATE t SET name = 'x'"),
        ("ALTER TABLE t CHANGE id no integer", "INSERT INTO t (no) VALUES (9)", "ALTER TABLE t CHANGE no id integer"),
    ],
)
def test_what_the_log_does_not_name(t: Captured, statements: tuple[str, ...]) -> None:
    """Where the log does not name what was changed, a read ends with what to do, instead of missing it."""
    run(t.url, "CREATE TABLE fresh (id integer PRIMARY KEY, name text)", "INSERT INTO t (id) VALUES (1)")
    t.first()
    run(t.url, *statements)
    with pytest.raises(Misconfigured, match="syncline logs drop"):
        t.pages()


def test_statements_about_other_tables(t: Captured, mariadb_url: str) -> None:
    """Statements that only mention the table, or one of the same name elsewhere, are no concern."""
    run(t.url, "CREATE TABLE child (id integer PRIMARY KEY, t integer, FOREIGN KEY (t) REFERENCES t (id))")
    t.first()
    name = mariadb_url.rsplit("/", 1)[-1]
    run(
        t.url, "ALTER TABLE t COMMENT 'x'", "CREATE TABLE t2 (id integer)", "DROP TABLE t2",
        f"CREATE DATABASE {name}_2",
        f"CREATE TABLE {name}_2.t (id integer)", f"DROP DATABASE {name}_2", "INSERT INTO t (id) VALUES (5)",
    )  # fmt: skip
    other = f"o{name[-8:]}"
    run(t.url, f"CREATE DATABASE {other}")
    run(t.url.replace(name, other), "CREATE TABLE t (id integer)", f"DROP DATABASE {other}")
    assert [r["id"] for r in t.next()[0]] == [5]
    run(t.url, "INSERT INTO t (id, name) SELECT seq, repeat('x', 90) FROM seq_10_to_500")  # several events
    assert len(t.next()[0]) == 491


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [("varchar(50)", "客' ", "b"), ("char(5)", "ab", "B"), ("tinyint", "-128", "127"),
     ("date", "2024-02-29", "1000-01-01"), ("bigint unsigned", "9", "9223372036854775807")],
)  # fmt: skip
def test_keys_of_other_types(mariadb_url: str, kind: str, first: str, second: str) -> None:
    """Whatever type the key has, records are found by it and deletions name it."""
    run(mariadb_url, f"CREATE TABLE k (a text, k {kind} PRIMARY KEY)")
    with contextlib.closing(Captured(MySQL, mariadb_url, "k", "k")) as k:
        k.first()
        literal = first.replace("'", "''")
        run(mariadb_url, f"INSERT INTO k VALUES (NULL, '{literal}')", f"INSERT INTO k (k) VALUES ('{second}')")
        assert [str(r["k"]) for r in k.next()[0]] == [first, second]
        run(mariadb_url, f"DELETE FROM k WHERE k = '{second}'", f"UPDATE k SET a = 'x' WHERE k = '{literal}'")
        records, deleted, _ = k.next()
        assert ([str(r["k"]) for r in records], [str(key) for key in deleted]) == ([first], [second])


def test_a_log_of_changed_fields_only(t: Captured) -> None:
    """With binlog_row_image = MINIMAL the primary key is named all the same."""
    run(t.url, "INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b')")
    t.first()
    minimal = "SET SESSION binlog_row_image = MINIMAL"
    run(t.url, minimal, "UPDATE t SET name = 'A' WHERE id = 1", "UPDATE t SET id = 3 WHERE id = 2")
    records, deleted, _ = t.next()
    assert ([(r["id"], r["name"]) for r in records], deleted) == ([(1, "A"), (3, "b")], [2])


def test_columns_of_all_kinds_are_stepped_over(mariadb_url: str) -> None:
    """Whatever stands before and behind the key, it is found."""
    before = (
        "a bit(9), b enum('x','y'), c set('p','q'), d decimal(25,7), e time(3), f year, g timestamp(2) NULL, h float,"
        " i double, j mediumint, k datetime, l varchar(300), m char(200), n blob, o point, p json, q uuid, r date"
    )
    run(mariadb_url, f"CREATE TABLE k ({before}, k2 smallint unsigned PRIMARY KEY, z text)")
    with contextlib.closing(Captured(MySQL, mariadb_url, "k", "k2")) as k:
        k.first()
        full = (
            "b'101', 'y', 'p,q', 123456789012.1234567, '12:00:00.123', 2024, '2024-01-01', 1.5, 2.5, -5, '2024-01-01',"
            " 'l', 'm', 'n', ST_GeomFromText('POINT(1 2)'), '{}', UUID(), '2024-01-01'"
        )
        run(mariadb_url, f"INSERT INTO k VALUES ({full}, 65535, 'z')", "INSERT INTO k (k2) VALUES (1)")
        records, _, _ = k.next()
        assert [r["k2"] for r in records] == [65535, 1]
        run(mariadb_url, "DELETE FROM k WHERE k2 = 65535")
        assert k.next()[1] == [65535]


def test_columns_of_unknown_kinds() -> None:
    """A value whose size is not known ends the read with words, instead of guessing."""
    with pytest.raises(Misconfigured, match="cannot be read"):
        RowKeys([SimpleNamespace(type=140, name="id")], "id", "t")


def test_what_comes_while_the_log_is_read(t: Captured) -> None:
    """What is committed behind the end of a read is left to the next one, in windows that end with a transaction."""
    t.first()
    for number in range(1, 5):
        run(t.url, f"INSERT INTO t (id) VALUES ({number})")
    until = t.log.end()
    run(t.url, "INSERT INTO t (id) VALUES (5)")
    since = {**(t.capture.since or {}), "skip": 0}
    window = t.log.window(since, until)
    assert (window.keys.to_list(), window.last) == (["1", "2", "3", "4"], True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mysql_changes, "WINDOW", 4)
        window = t.log.window(since, until)
        assert (window.keys.to_list(), window.last, window.end["skip"]) == (["1", "2"], False, 0)
        window = t.log.window(window.end, until)
    assert window.keys.to_list() == ["3", "4"]


def test_windows_of_any_size(t: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large transaction is read in parts; a read goes on behind any page, the place moves behind whole ones only."""
    monkeypatch.setattr(mysql_changes, "WINDOW", 3)
    t.first()
    run(t.url, *(f"INSERT INTO t (id) VALUES ({n})" for n in range(1, 8)), "UPDATE t SET id = 99 WHERE id = 3")
    run(t.url, "DELETE FROM t WHERE id < 3", "UPDATE t SET name = 'x' WHERE id > 5")
    run(t.url, "FLUSH LOGS", "UPDATE t SET name = 'y' WHERE id = 99")
    start, pages = t.capture.since, t.pages(size=2)
    there, _ = applied(pages, {})
    assert sorted(there) == [*range(4, 8), 99]
    for number, page in list(enumerate(pages, 1))[::3]:
        rest = t.pages(size=2, after=json.loads(json.dumps(page.position)), since=start)
        told = [p.records["id"].to_list() for p in pages[number:] if p.records.height]
        assert [p.records["id"].to_list() for p in rest if p.records.height] == told
        again, _ = applied(t.pages(since=dict(page.captured or {})), applied(pages[:number], {})[0])
        assert again == there


def test_a_log_that_does_not_tell_all_is_noticed(t: Captured) -> None:
    """A log whose beginning was thrown away, and one that ends too early, are lost; otherwise its growth is told."""
    t.first()
    since = t.capture.since or {}
    state = t.log.state(dict(since))
    assert (state.lost, state.behind, state.seconds, state.kept) == (None, 0, 0.0, None)
    run(t.url, "INSERT INTO t (id) VALUES (1)")
    assert t.log.state(dict(since)).behind > 0
    run(t.url, "FLUSH LOGS", "INSERT INTO t (id) VALUES (2)")
    assert t.log.state(dict(since)).behind > 0
    domain, server, number = str(since["gtid"]).split("-")
    later = {**since, "gtid": f"{domain}-{server}-{int(number) + 1000}"}
    assert "ends before the place" in str(t.log.state(later).lost)
    while len(files := rows(t.url, "SHOW BINARY LOGS")) > 1:  # a reader that has just left may hold a file for a moment
        run(t.url, f"PURGE BINARY LOGS TO '{files[-1][0]}'")
    assert "thrown away" in str(t.log.state(dict(since)).lost)
    with pytest.raises(ConnectorError):
        t.pages()


def test_a_stream_that_breaks_off_does_not_begin_again(t: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would read from the beginning once more, and changes would be counted twice."""
    t.first()
    run(t.url, "INSERT INTO t (id) VALUES (1)")
    real, opened = t.source.open, []

    def opening() -> Any:
        connection = real()
        opened.append(connection)
        if len(opened) == 1:
            monkeypatch.setattr(connection, "_read_packet", broken(connection._read_packet))
        return connection

    def broken(read: Any) -> Any:
        def packet(*given: Any) -> Any:
            if len(opened) == 2:
                raise pymysql.OperationalError(2013, "Lost connection to server during query")
            return read(*given)

        return packet

    log = mysql_changes.MariaDBLog(t.source, "t", t.capture, opening)
    with pytest.raises(Unavailable, match="does not go on"):
        log.window({**(t.capture.since or {}), "skip": 0}, log.end())


def test_what_cannot_be_followed(t: Captured) -> None:
    """Views, cascades, keys that the log does not name for certain, and users without the right are told of."""
    run(
        t.url, "CREATE VIEW v AS SELECT * FROM t", "CREATE TABLE odd (id float PRIMARY KEY, no integer NOT NULL)",
        "CREATE TABLE child (id integer PRIMARY KEY, t integer, FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE)",
        "CREATE TABLE latin (id varchar(9) CHARACTER SET latin1 PRIMARY KEY)",
    )  # fmt: skip

    def said(name: str, key: str = "id") -> list[str]:
        return [str(m) for m in t.source.change_log(name, Capture("x", key)).missing()]

    assert said("t") == []
    assert "is no table" in said("v")[0]
    assert "foreign keys" in said("child")[0]
    assert "cannot be the key" in said("odd")[0]
    assert "cannot be the key" in said("latin")[0]
    assert said("odd", "no") == []
    with pytest.raises(Misconfigured, match="cannot be the key"):
        t.source.change_log("odd", Capture("x", "id")).keep()
    run(t.url, "SET GLOBAL binlog_row_image = MINIMAL", "SET GLOBAL binlog_row_metadata = NO_LOG")
    try:
        assert "binlog_row_metadata" in said("t")[0]
        run(t.url, "SET GLOBAL binlog_row_metadata = FULL")
        assert "binlog_row_image" in said("odd", "no")[0]
    finally:
        run(t.url, "SET GLOBAL binlog_row_image = FULL", "SET GLOBAL binlog_row_metadata = FULL")
    run(t.url, "CREATE USER reader IDENTIFIED BY 'secret'", "GRANT SELECT ON *.* TO reader")
    try:
        with MySQL({**settings_of(t.url), "user": "reader", "password": "secret"}, t.source.context) as weak:
            told = [str(m) for m in weak.change_log("t", Capture("x", "id")).missing()]
        assert ["REPLICATION SLAVE" in told[0], "BINLOG MONITOR" in told[1]] == [True, True]
    finally:
        run(t.url, "DROP USER reader")


def test_what_a_server_lacks() -> None:
    """Each setting that is missing has a sentence that says what to do."""
    good = {"version": "10.11.1-MariaDB", "log_bin": "ON", "binlog_format": "ROW", "binlog_row_metadata": "FULL"}
    assert list(checks.server(good)) == []
    for name, word in (("log_bin", "log_bin"), ("binlog_format", "ROW"), ("binlog_row_metadata", "FULL")):
        (told,) = checks.server({**good, name: "OFF"})
        assert word in str(told)
    assert "log_bin_compress" in str(next(checks.server({**good, "log_bin_compress": "ON"})))
    assert "This is MySQL 5.7.44" in str(next(checks.server({**good, "version": "5.7.44"})))


IDS = st.integers(0, 6)
DEEDS = st.one_of(
    st.tuples(st.just("REPLACE INTO t (id, name) VALUES ({0}, '{1}')"), IDS, IDS),
    st.tuples(st.just("INSERT IGNORE INTO t (id, name) VALUES ({0}, '{1}')"), IDS, IDS),
    st.tuples(st.just("UPDATE t SET name = '{1}' WHERE id = {0}"), IDS, IDS),
    st.tuples(st.just("DELETE FROM t WHERE id = {0}"), IDS, IDS),
    st.tuples(st.just("UPDATE IGNORE t SET id = {1} WHERE id = {0}"), IDS, IDS),
    st.tuples(st.just("TRUNCATE t"), IDS, IDS),
)


@pytest.fixture(scope="module")
def history(module_mariadb_url: str) -> Iterator[tuple[Captured, dict[Any, Any]]]:
    run(module_mariadb_url, TABLE)
    with contextlib.closing(Captured(MySQL, module_mariadb_url)) as captured:
        captured.first()
        yield captured, {}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
        patch.setattr(mysql_changes, "WINDOW", most)
        for deeds, commit, look in transactions:
            with contextlib.suppress(ZeroDivisionError):
                transaction(t.url, [deed.format(a, b) for deed, a, b in deeds], commit=commit)
            if look:
                follow(t, replica, size)
        follow(t, replica, size)
    assert sorted((r["id"], r["name"]) for r in replica.values()) == rows(t.url, "SELECT id, name FROM t ORDER BY id")
