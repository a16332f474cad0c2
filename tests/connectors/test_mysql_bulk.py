"""Loads from memory and results read as columns give exactly what single statements give."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import threading
from collections.abc import Iterator
from typing import Any

import polars as pl
import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin import database_read, mysql_cells, mysql_write
from connectors.builtin.database_types import Column
from connectors.builtin.mysql import MySQL
from connectors.builtin.mysql_cells import Rows, column_of_cells, unpack
from connectors.builtin.mysql_wire import Loaded, Received
from connectors.errors import Misconfigured, ObjectMissing
from connectors.spi import Context, Failure, Page, ReadRequest
from rules.schema import Change, Field, FieldType, Op
from tests.connectors import test_database_round_trip as round_trip
from tests.connectors import test_mysql
from tests.connectors.databases import everything, rows, run, settings_of

NEVER = 10**9


@pytest.fixture(scope="module")
def filled(module_mariadb_url: str) -> Iterator[MySQL]:
    """A table with a column of each type."""
    round_trip.create(module_mariadb_url, test_mysql.NATIVE)
    with MySQL(settings_of(module_mariadb_url), Context()) as source:
        yield source


@pytest.fixture
def source(mariadb_url: str) -> Iterator[MySQL]:
    """The connector on a fresh database."""
    with MySQL(settings_of(mariadb_url), Context()) as source:
        yield source


@contextlib.contextmanager
def at_once(count: int) -> Iterator[None]:
    """From so many records on, load them and read them as columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mysql_write, "_LOADED", count)
        patch.setattr(mysql_write, "_STAGED", count)
        patch.setattr(database_read, "BULK", count)
        yield


def both(source: MySQL, url: str, statements: list[str], records: pl.DataFrame) -> tuple[list[Any], list[Any]]:
    """Create the records in one table by statements and in another by a load; return reasons and rows of each."""
    found: list[tuple[Any, ...]] = []
    for count in (NEVER, 1):
        run(url, "DROP TABLE IF EXISTS t", *statements)
        with at_once(count):
            schema = source.schema("t")
            failures = source.write("t", schema, [Change(Op.CREATE, "id", records)]).failures
            found.append((told(failures), everything(source, "t").sort("id").rows()))
    first, second = found
    return list(first), list(second)


def told(failures: tuple[Failure, ...]) -> list[tuple[int, str | None, str]]:
    """Return where failures are and what they say."""
    return [(failure.row, failure.field, str(failure.message)) for failure in failures]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(round_trip.record, min_size=1, max_size=12))
def test_any_records_come_back(filled: MySQL, data: list[dict[str, object]]) -> None:
    """What is not refused is read again exactly, both ways of writing refuse the same, and both ways read the same."""
    schema = filled.schema("t")
    frame = pl.DataFrame([{"id": i, **record} for i, record in enumerate(data)], schema=schema.dtypes())
    found = []
    for count in (NEVER, 1):
        with at_once(count):
            with filled.transaction() as connection:
                connection.exec_driver_sql("DELETE FROM t")
            failures = filled.write("t", schema, [Change(Op.CREATE, "id", frame)]).failures
            found.append((told(failures), everything(filled, "t").sort("id").rows()))
    assert found[0] == found[1]
    check_updates(filled, frame)
    with at_once(NEVER):
        assert everything(filled, "t").sort("id").rows() == found[1][1]
    refused = {row for row, _, _ in found[0][0]}
    kept = frame.filter(~pl.col("id").is_in(refused))
    assert [repr(row) for row in found[1][1]] == [repr(row) for row in kept.rows()]


def check_updates(source: MySQL, frame: pl.DataFrame) -> None:
    """Update and delete in both ways; records that are not there are told alike."""
    schema, before, found = source.schema("t"), everything(source, "t").sort("id"), list[Any]()
    moved = pl.concat([before, frame.head(1).with_columns(id=pl.lit(99, pl.Int64))]).with_columns(
        pl.exclude("id").shuffle(7)
    )
    for count in (NEVER, 1):
        with at_once(count):
            updated = source.write("t", schema, [Change(Op.UPDATE, "id", moved)]).failures
            after = everything(source, "t").sort("id").rows()
            gone = source.write("t", schema, [Change(Op.DELETE, "id", moved.tail(2).select("id"))]).failures
            found.append((told(updated), after, told(gone), everything(source, "t").sort("id").rows()))
            again = [Change(Op.DELETE, "id", before.select("id")), Change(Op.CREATE, "id", before)]
            source.write("t", schema, again)
    assert found[0] == found[1]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abcd"), st.sampled_from("xXy")), max_size=6), max_size=3
    )
)
def test_batches_in_order(filled: MySQL, batches: list[list[tuple[int, str, str]]]) -> None:
    """Whichever way batches with repeated keys and values are written, the same records win and are kept."""
    found = []
    for count in (NEVER, 1):
        with filled.transaction() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS o")
            table = "CREATE TABLE o (id int PRIMARY KEY, v char(1) UNIQUE, e enum('x', 'y'), CHECK (v <> 'd'))"
            connection.exec_driver_sql(table)
        reasons = []
        with at_once(count):
            for batch in batches:
                records = pl.DataFrame(batch, schema={"id": pl.Int64, "v": pl.String, "e": pl.String}, orient="row")
                change = Change(Op.CREATE, "id", records)
                reasons.append(told(filled.write("o", filled.schema("o"), [change]).failures))
            found.append((reasons, everything(filled, "o").sort("id").rows()))
    assert found[0] == found[1]


BAD: list[dict[str, Any]] = [
    {}, {"parent": 7}, {"code": "a"}, {"code": "A"}, {"age": 3}, {"price": "1000.00"}, {"price": "1.005"},
    {"name": "long"}, {"name": None}, {"old": "客"}, {"kind": "c"}, {"age": 70_000}, {"at": 1}, {"name": "客客😀"},
    {"kind": "B"}, {"seen": 4_000_000_000}, {"small": 255}, {"small": -1}, {"flags": 16}, {"flags": 15},
    {"single": 1e39}, {"name": "NULL"}, {"name": '"\\,'}, {"parent": None}, {"code": 'x"\n\\N'}, {"id": 3},
]  # fmt: skip


@pytest.mark.parametrize("bad", [[number] for number in range(len(BAD))] + [list(range(len(BAD)))])
def test_the_reasons_are_those_of_single_statements(source: MySQL, mariadb_url: str, bad: list[int]) -> None:
    """Each kind of bad value alone and all together: a load refuses the same records in the same words."""
    run(mariadb_url, "CREATE TABLE parents (id int PRIMARY KEY)", "INSERT INTO parents VALUES (1)")
    table = (
        "CREATE TABLE t (id int PRIMARY KEY, parent int, code varchar(10) UNIQUE, age smallint,"
        " CONSTRAINT grown CHECK (age >= 18), price decimal(5, 2), name varchar(3) NOT NULL,"
        " old varchar(9) CHARACTER SET latin1, kind enum('a', 'b'), at datetime, seen timestamp NULL,"
        " small tinyint unsigned, flags bit(4), single float, FOREIGN KEY (parent) REFERENCES parents (id))"
    )
    good: dict[str, Any] = {
        "parent": 1, "code": None, "age": 20, "price": "1.00", "name": "ok", "old": "ä", "kind": "a", "at": 0,
        "seen": 1_000_000_000, "small": 1, "flags": 1, "single": 0.5,
    }  # fmt: skip
    changes = [{}, *(BAD[number] for number in bad), {}]
    made = [{"id": i, **good, **change} for i, change in enumerate(changes)]
    records = pl.DataFrame(made, infer_schema_length=None).with_columns(
        pl.col("price").cast(pl.Decimal(38, 3)),
        at=pl.datetime(2024, 1, 1) + pl.duration(microseconds="at"),
        seen=pl.from_epoch("seen").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
    )
    by_statements, by_load = both(source, mariadb_url, [table], records)
    assert by_load == by_statements


def test_a_trigger_may_refuse(source: MySQL, mariadb_url: str) -> None:
    """What no look at the table tells ends a load, and the records go one by one."""
    table = "CREATE TABLE t (id int PRIMARY KEY, v varchar(9))"
    trigger = (
        "CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW IF NEW.v = 'no' THEN SIGNAL SQLSTATE '45000'"
        " SET MESSAGE_TEXT = 'not this one'; END IF"
    )
    records = pl.DataFrame({"id": range(50), "v": ["no" if i % 20 == 3 else "yes" for i in range(50)]})
    by_statements, by_load = both(source, mariadb_url, [table, trigger], records)
    assert by_load == by_statements
    assert [row for row, _, _ in by_load[0]] == [3, 23, 43]


def test_keys_that_are_there_already(source: MySQL, mariadb_url: str) -> None:
    """Keys of the table and keys twice in a batch are refused; the next batch looks before it loads."""
    run(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (5, 0), (1000000, 0)")
    schema = source.schema("t")
    with at_once(1):
        for start in (0, 20):
            ids = [*range(start, start + 20), start + 7, 1_000_000]
            change = Change(Op.CREATE, "id", pl.DataFrame({"id": ids, "v": ids}))
            refused = [failure.row for failure in source.write("t", schema, [change]).failures]
            assert refused == ([5, 20, 21] if start == 0 else [20, 21])
    assert len(rows(mariadb_url, "SELECT id FROM t")) == 41


def test_text_keys_are_compared_by_the_server(source: MySQL, mariadb_url: str) -> None:
    """Keys that differ in case or by spaces at the end are the same to the server, so a load leaves them out."""
    table = "CREATE TABLE t (id varchar(9) COLLATE utf8mb4_general_ci PRIMARY KEY, v int UNIQUE)"
    ids = ["a", "A", "b", "c ", "c", "d"]
    records = pl.DataFrame({"id": ids, "v": [1, 2, 3, 4, 5, 3]})
    by_statements, by_load = both(source, mariadb_url, [table], records)
    assert by_load == by_statements
    assert [row for row, _, _ in by_load[0]] == [1, 4, 5]


def test_updates_by_text_keys(mariadb_url: str, source: MySQL) -> None:
    """Keys are the same byte by byte only; what an update may not do is told of the record, and no other is lost."""
    run(
        mariadb_url,
        "CREATE TABLE t (id varchar(9) COLLATE utf8mb4_general_ci PRIMARY KEY, v int UNIQUE, CHECK (v < 100))",
        "INSERT INTO t VALUES ('Abc', 1), ('x', 2), ('客', 3), ('y ', 4), ('z', 5)",
    )
    schema, found = source.schema("t"), list[Any]()
    ids = ["abc", "x", "客", "y", "z", "none"]
    for count in (NEVER, 1):
        with at_once(count):
            made = []
            for values in ([11, 12, 13, 14, 15, 16], [1, 13, 12, 4, 200, 6], [1, 2, 3, 4, 5, 6]):
                change = Change(Op.UPDATE, "id", pl.DataFrame({"id": ids, "v": values}))
                made.append(told(source.write("t", schema, [change]).failures))
            found.append((made, rows(mariadb_url, "SELECT * FROM t ORDER BY id")))
    assert found[0] == found[1]


def test_a_user_without_temporary_tables(mariadb_url: str) -> None:
    """Who may not create them updates by other statements."""
    name = settings_of(mariadb_url)["database"]
    run(
        mariadb_url,
        "CREATE TABLE t (id int PRIMARY KEY, v int)",
        "INSERT INTO t VALUES (1, 1), (2, 2)",
        f"CREATE USER {name} IDENTIFIED BY 'x'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.t TO {name}",
    )
    login = {**settings_of(mariadb_url), "user": name, "password": "x"}
    try:
        with at_once(1), MySQL(login, Context()) as source:
            for value in (5, 6):
                change = Change(Op.UPDATE, "id", pl.DataFrame({"id": [1, 2], "v": [value, value]}))
                assert not source.write("t", source.schema("t"), [change]).failures
    finally:
        run(mariadb_url, f"DROP USER {name}")
    assert rows(mariadb_url, "SELECT v FROM t") == [(6,), (6,)]


def test_a_server_that_takes_no_load(mariadb_url: str, source: MySQL) -> None:
    """Where the server forbids it, records are written by statements, and that is asked once a connection."""
    run(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY, v varchar(9))", "SET GLOBAL local_infile = 0")
    records = pl.DataFrame({"id": range(20), "v": ["x"] * 20})
    try:
        with at_once(1):
            assert str(list(source.check())[-1].detail) == (
                "1 tables and views can be written."
                " The server does not allow 'local_infile', which would make writing many records faster."
            )
            schema = source.schema("t")
            for part in records.iter_slices(10):
                assert not source.write("t", schema, [Change(Op.CREATE, "id", part)]).failures
    finally:
        run(mariadb_url, "SET GLOBAL local_infile = 1")
    assert everything(source, "t").sort("id").equals(records.cast({"id": pl.Int64}))


@pytest.mark.parametrize("kind", ["view", "geometry", "pair"])
def test_tables_that_are_not_loaded(mariadb_url: str, source: MySQL, kind: str) -> None:
    """Views and geometries take no load; keys of two fields are loaded, but not looked for."""
    tables = {
        "view": ["CREATE TABLE b (id int PRIMARY KEY, v text, w int)", "CREATE OR REPLACE VIEW t AS SELECT * FROM b"],
        "geometry": ["CREATE TABLE t (id int PRIMARY KEY, v point, w int)"],
        "pair": ["CREATE TABLE t (id int, v varchar(9), w int, PRIMARY KEY (id, w))"],
    }
    run(mariadb_url, *tables[kind])
    records = pl.DataFrame(
        {"id": [1, 2, 2], "v": [None, None, None], "w": [1, 1, 1]}, schema_overrides={"v": pl.String}
    )
    with at_once(1):
        failures = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", records)]).failures
        found = everything(source, "t")
    assert [failure.row for failure in failures] == [2]
    assert found.sort("id")["id"].to_list() == [1, 2]


def test_what_cannot_be_read_is_told_alike(mariadb_url: str, source: MySQL) -> None:
    """Dates that do not exist, durations, large numbers: the same rejects, whichever way a page is read."""
    run(
        mariadb_url,
        "SET sql_mode = ''",
        "CREATE TABLE s (id int PRIMARY KEY, d date, w datetime(3), t time, b boolean, big bigint unsigned, f float,"
        " e enum('b', 'a'), g point, j json, s timestamp NULL, n decimal(60, 30), y year, m bit(9), r varbinary(300))",
        """INSERT INTO s VALUES (1, '2024-02-29', '2024-01-01 10:00:00.125', '23:59:59', 1, 9223372036854775807, 0.1,
           'a', ST_PointFromText('POINT(1 2)'), '{"b": 1.0, "a": 12345678901234567890.5}', '2024-01-01 00:00:00', 1.5,
           2024, 300, REPEAT('x', 300))""",
        "INSERT INTO s (id, d) VALUES (2, '0000-00-00'), (3, '2024-02-00'), (30, '9999-12-31')",
        "INSERT INTO s (id, w) VALUES (4, '0000-00-00 00:00:00')",
        "INSERT INTO s (id, t) VALUES (5, '24:00:00'), (6, '-01:00:00'), (7, '100:00:00')",
        "INSERT INTO s (id, b) VALUES (8, 2), (9, -1)",
        "INSERT INTO s (id, big) VALUES (10, 9223372036854775808), (11, 18446744073709551615)",
        "INSERT INTO s (id, n) VALUES (12, 100000000000000000000.5), (13, -99999999.000000000000000000000000000001)",
        "INSERT INTO s (id, r) VALUES (14, REPEAT('ab', 120)), (15, ''), (16, 'twelve bytes')",
    )
    schema, found = source.schema("s"), list[list[Page]]()
    for count in (NEVER, 1):
        with at_once(count):
            found.append(list(source.read(ReadRequest("s", schema, page_size=5))))
    slow, fast = found
    assert len(slow) == len(fast) > 3
    for one, other in zip(slow, fast, strict=True):
        assert one.records.equals(other.records)
        assert one.position == other.position
        assert [(r.place, r.field, str(r.message), r.raw) for r in one.rejects] == [
            (r.place, r.field, str(r.message), r.raw) for r in other.rejects
        ]


def test_texts_of_all_lengths(mariadb_url: str, source: MySQL) -> None:
    """Lengths are told in one, three or four bytes, and a row that takes several packets is read in another way."""
    run(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY, v longtext)")
    lengths = [0, 12, 13, 250, 251, 252, 65_535, 65_536, 70_000]
    values = [*("客" * (n // 3) + "x" * (n % 3) for n in lengths), None]
    records = pl.DataFrame({"id": range(len(values)), "v": values})
    with at_once(1):
        source.write("t", source.schema("t"), [Change(Op.CREATE, "id", records)])
        assert everything(source, "t").equals(records.cast({"id": pl.Int64}))
        large = 17 * 2**20
        run(mariadb_url, f"SET GLOBAL max_allowed_packet = {4 * large}")
        run(mariadb_url, f"INSERT INTO t VALUES (100, REPEAT('a', {large}))")
        with MySQL(settings_of(mariadb_url), Context()) as again:
            found = everything(again, "t")
    assert found["v"].str.len_bytes().to_list()[-1] == large


def test_moments_of_all_days() -> None:
    """Each day from year 1 to 9999 and each fraction is read as what it is, and no other day."""
    days = pl.date_range(dt.date(1, 1, 1), dt.date(9999, 12, 31), eager=True)
    assert _read(days.dt.strftime("%Y-%m-%d").str.zfill(10).to_list(), "date").to_list() == days.to_list()
    wrong = ["2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "2024-01-32", "0000-01-01", "20240101--"]
    assert _read(wrong, "date").to_list() == [None] * len(wrong)


def _read(texts: list[str], native: str) -> pl.Series:
    raw, starts = bytearray(), []
    for text in texts:
        starts.append(len(raw))
        raw += bytes([len(text)]) + text.encode()
    cells = unpack(Received(raw, starts, [(None, None)]), 1)
    assert cells is not None
    return column_of_cells(cells[0], Column(Field("d", FieldType.DATE), native)).values


def test_a_server_gets_no_file() -> None:
    """A server that asks for a file of this machine gets none, and is told apart from one that is away."""
    received, good = list[bytes](), b"\0\0\0\2\0\0\0"

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            greeting = b"\x0a8.0.0\0" + bytes(4) + b"12345678\0" + b"\xff\xf7" + b"\x2d\x02\0" + b"\xff\x81" + b"\x15"
            send(client, 0, greeting + bytes(10) + b"123456789012\0" + b"mysql_native_password\0")
            for number, answer in ((2, good), (1, good), (1, b"\xfb/etc/passwd")):
                client.recv(4096)
                send(client, number, answer)
            received.append(client.recv(4096))

    def send(client: socket.socket, number: int, payload: bytes) -> None:
        client.sendall(len(payload).to_bytes(3, "little") + bytes([number]) + payload)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        login = {"host": "127.0.0.1", "port": listener.getsockname()[1], "database": "d", "user": "u", "password": "p"}
        source = MySQL({**login, "tls": "disable"}, Context(timeout=3))
        with source, pytest.raises(Misconfigured, match="asks for a file"):
            source.objects()
        thread.join()
    assert received == [b""]


def test_a_load_that_the_server_does_not_start(mariadb_url: str, source: MySQL) -> None:
    """A statement that is no load is answered like any other, and a load into nothing is an error."""
    with source.session() as connection:
        wire: Any = connection.connection.driver_connection
        assert wire.load("SET @a = 1", memoryview(b"")) == Loaded(0, 0)
        with pytest.raises(pymysql.Error):
            wire.receive("SELECT * FROM nothing")
        with pytest.raises(pymysql.Error, match="Subquery returns more"):
            wire.receive("SELECT seq, IF(seq > 5, (SELECT seq FROM seq_1_to_3), 1) FROM seq_1_to_9")


def test_a_table_that_is_gone(mariadb_url: str, source: MySQL) -> None:
    """An error that is no record's ends a load, an insert, an update, a deletion and a page as a whole."""
    run(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY, v tinyint)")
    schema = source.schema("t")
    run(mariadb_url, "DROP TABLE t")
    with at_once(1):
        for op, value in ((Op.CREATE, 1), (Op.CREATE, 1000), (Op.UPDATE, 1), (Op.DELETE, 1)):
            with pytest.raises(ObjectMissing):
                source.write("t", schema, [Change(op, "id", pl.DataFrame({"id": [1], "v": [value]}))])
        with pytest.raises(ObjectMissing):
            list(source.read(ReadRequest("t", schema)))


def test_unsigned_numbers(mariadb_url: str, source: MySQL) -> None:
    """Numbers below zero are held back from a column that takes none, and refused one by one."""
    run(mariadb_url, "CREATE TABLE t (id bigint unsigned PRIMARY KEY, v smallint unsigned)")
    records = pl.DataFrame({"id": [1, -1, 2**63 - 1, 4], "v": [1, 1, 65_535, 65_536]})
    with at_once(1):
        failures = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", records)]).failures
    assert [(failure.row, failure.field) for failure in failures] == [(1, "id"), (3, "v")]


def test_bytes_that_are_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths that lead out of what came, and too much for places in it, are not taken for rows."""
    assert unpack(Received(bytearray(b"\x03ab"), [0], [(None, None)]), 1) is None
    cells = unpack(Received(bytearray(b"\x02ab\xfb"), [0, 3], [("ascii", None)]), 1)
    assert cells is not None
    found = Rows(cells, Received(bytearray(), [], [("ascii", None)]))
    assert found[0:2] == [("ab",), (None,)]
    assert _read(["2024-01-01", "2024-01-01 00:00:00"], "date").to_list() == [dt.date(2024, 1, 1), None]
    monkeypatch.setattr(mysql_cells, "_MOST_PLACES", 10)
    assert unpack(Received(bytearray(b"\x02ab"), [0], [(None, None)]), 1) is None


def test_a_page_too_large_for_places_is_read_by_rows(
    mariadb_url: str, source: MySQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the bytes of a page are too many, the driver reads its rows."""
    run(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    monkeypatch.setattr(mysql_cells, "_MOST_PLACES", 10)
    with at_once(1):
        assert everything(source, "t")["id"].to_list() == [1, 2]


def test_a_lost_connection_while_reading(mariadb_url: str, source: MySQL) -> None:
    """A session that ends while a page is read is reported, and the next read works."""
    run(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT seq FROM seq_1_to_20")
    with at_once(1):
        pages = source.read(ReadRequest("t", source.schema("t"), page_size=10))
        next(pages)
        run(mariadb_url, *(f"KILL {number}" for (number,) in rows(mariadb_url, _OTHERS)))
        with pytest.raises(Exception, match="lost"):
            list(pages)
        assert everything(source, "t").height == 20


_OTHERS = (
    "SELECT id FROM information_schema.processlist"
    " WHERE db = DATABASE() AND id <> CONNECTION_ID() AND command = 'Sleep'"
)
