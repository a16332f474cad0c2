"""The MySQL connector against a real MariaDB."""

from __future__ import annotations

import datetime as dt
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from connectors.builtin.mysql import MySQL
from connectors.errors import AuthFailed, Forbidden, Misconfigured, Unavailable
from connectors.spi import Connector, Context, Fence, ReadRequest
from connectors.testing import EXTREMES, ConnectorConformance, Settings
from rules.schema import Change, Field, FieldType, Op, Schema
from tests import servers
from tests.connectors.databases import change, closed_port, everything, fill, rows, run, settings_of, texts

NATIVE: Mapping[FieldType, str] = {
    FieldType.TEXT: "longtext",
    FieldType.INTEGER: "bigint",
    FieldType.DECIMAL: "decimal(20, 4)",
    FieldType.FLOAT: "double",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.TIME: "time(6)",
    FieldType.DATETIME: "timestamp(6) NULL",
    FieldType.LOCAL_DATETIME: "datetime(6)",
    FieldType.BINARY: "longblob",
    FieldType.JSON: "json",
}


class TestConformance(ConnectorConformance):
    """MySQL keeps every promise of a connector."""

    connector: type[Connector] = MySQL

    @pytest.fixture
    def settings(self, mariadb_url: str) -> Settings:
        self.url = mariadb_url
        return settings_of(mariadb_url)

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        fill(self.url, self.object_name, schema, records, NATIVE)

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """MySQL's dates begin in the year 1000 and its time stamps in 1970."""
        return {
            **EXTREMES,
            FieldType.DATE: (dt.date(1000, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)),
            FieldType.DATETIME: (
                dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC),
                dt.datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=dt.UTC),
                dt.datetime(2038, 1, 19, 3, 14, 7, tzinfo=dt.UTC),
            ),
        }

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "host": "nowhere.invalid"},
            {**settings, "host": "10.255.255.1"},
            {**settings, "port": closed_port()},
            {**settings, "tls": "verify"},
            {**settings, "password": "wrong"},
            {**settings, "database": "no_such_database"},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {"title": "x" * 41}

    def change(self, settings: Settings, records: pl.DataFrame, removed: pl.Series) -> None:
        with MySQL(settings, Context()) as source:
            change(self.url, self.object_name, source.schema(self.object_name), records, removed)

    def rename(self, settings: Settings, old: Any, new: Any) -> None:
        run(self.url, f"UPDATE {self.object_name} SET id = {new} WHERE id = {old}")


@pytest.fixture
def source(mariadb_url: str) -> Iterator[MySQL]:
    with MySQL(settings_of(mariadb_url), Context(timeout=3)) as connector:
        yield connector


def test_types_are_discovered(mariadb_url: str, source: MySQL) -> None:
    """Each native type becomes the field type that holds its values exactly; lengths, keys and comments are known."""
    run(
        mariadb_url,
        """CREATE TABLE `all %types: 1` (
          id int AUTO_INCREMENT PRIMARY KEY COMMENT '编号', code varchar(10) NOT NULL, fixed char(3), flag tinyint(1),
          tiny tinyint unsigned DEFAULT 3, big bigint unsigned, price decimal(12, 3), single float, wall datetime(3),
          stamp timestamp NULL, noon time, doc json, e enum('b', 'a'), y year, one bit(1), bits bit(9),
          raw varbinary(4),
          twice int AS (tiny * 2) STORED, `od d``%:x` text, plain longtext) COMMENT 'Alles'""",
    )
    found = source.schema("all %types: 1")
    assert found.key == ("id",)
    by_name = {field.name: field for field in found.fields}
    integer = FieldType.INTEGER
    assert by_name["id"] == Field("id", integer, nullable=False, generated=True, has_default=True, label="编号")
    assert by_name["code"] == Field("code", nullable=False, length=10)
    assert by_name["price"] == Field("price", FieldType.DECIMAL, precision=12, scale=3)
    assert by_name["wall"] == Field("wall", FieldType.LOCAL_DATETIME, scale=3)
    assert by_name["stamp"] == Field("stamp", FieldType.DATETIME, scale=0)
    assert by_name["tiny"] == Field("tiny", integer, has_default=True)
    assert by_name["raw"] == Field("raw", FieldType.BINARY, length=4)
    kinds = {name: field.type for name, field in by_name.items()}
    assert (kinds["flag"], kinds["one"], kinds["bits"]) == (FieldType.BOOLEAN, FieldType.BOOLEAN, integer)
    assert (kinds["doc"], kinds["plain"], kinds["od d`%:x"]) == (FieldType.JSON, FieldType.TEXT, FieldType.TEXT)
    assert {name for name, field in by_name.items() if field.generated} == {"id", "twice"}
    info = next(found for found in source.objects() if found.name == "all %types: 1")
    assert (info.label, info.kind, info.writable) == ("Alles", "table", True)
    record = pl.DataFrame({"code": ["x"], "od d`%:x": ["%s :y"], "bits": [5], "one": [True], "raw": [b"\0\xff"]})
    result = source.write("all %types: 1", found, [Change(Op.CREATE, "id", record)])
    assert [keys.to_list() for keys in result.keys if keys is not None] == [[1]]
    update = record.with_columns(id=pl.lit(1, pl.Int64), bits=pl.lit(6, pl.Int64))
    assert not source.write("all %types: 1", found, [Change(Op.UPDATE, "id", update)]).failures
    (row,) = everything(source, "all %types: 1").rows(named=True)
    assert (row["od d`%:x"], row["bits"], row["one"], row["raw"]) == ("%s :y", 6, True, b"\0\xff")


def test_special_values_arrive_exactly_or_are_rejected(mariadb_url: str, source: MySQL) -> None:
    """What the field types hold arrives; what they cannot hold is a reject that names record and field."""
    run(
        mariadb_url,
        "SET sql_mode = ''",
        "CREATE TABLE s (id int PRIMARY KEY, d date, w datetime, t time, b boolean, big bigint unsigned, f float,"
        " e enum('b', 'a'), g point, j json, s timestamp NULL)",
        """INSERT INTO s VALUES (1, '2024-02-29', '2024-01-01 10:00:00', '23:59:59', 1, 9223372036854775807, 0.1, 'a',
           ST_PointFromText('POINT(1 2)'), '{"b": 1.0, "a": 12345678901234567890.5}', '2024-01-01 00:00:00')""",
        "INSERT INTO s (id, d) VALUES (2, '0000-00-00'), (3, '2024-02-00')",
        "INSERT INTO s (id, w) VALUES (4, '0000-00-00 00:00:00')",
        "INSERT INTO s (id, t) VALUES (5, '24:00:00'), (6, '-01:00:00'), (7, '100:00:00')",
        "INSERT INTO s (id, b) VALUES (8, 2), (9, -1)",
        "INSERT INTO s (id, big) VALUES (10, 9223372036854775808), (11, 18446744073709551615)",
    )
    (page,) = source.read(ReadRequest("s", source.schema("s")))
    assert page.records.rows(named=True) == [
        {
            "id": 1,
            "d": dt.date(2024, 2, 29),
            "w": dt.datetime(2024, 1, 1, 10),
            "t": dt.time(23, 59, 59),
            "b": True,
            "big": 2**63 - 1,
            "f": 0.10000000149011612,
            "e": "a",
            "g": "POINT(1 2)",
            "j": '{"a":12345678901234567890.5,"b":1.0}',
            "s": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        }
    ]
    told = {(reject.place, reject.field) for reject in page.rejects}
    expected = {"d": (2, 3), "w": (4,), "t": (5, 6, 7), "b": (8, 9), "big": (10, 11)}
    assert told == {(f"id {number}", field) for field, numbers in expected.items() for number in numbers}


def test_refusals_name_field_and_reason(mariadb_url: str, source: MySQL) -> None:
    """Each kind of refusal has a plain sentence with the field, and the good records are written."""
    run(
        mariadb_url,
        "CREATE TABLE parents (id int PRIMARY KEY)",
        "INSERT INTO parents VALUES (1)",
        "CREATE TABLE t (id int PRIMARY KEY, parent int, code varchar(10) UNIQUE,"
        " age smallint, CONSTRAINT grown CHECK (age >= 18), price decimal(5, 2), name varchar(3) NOT NULL,"
        " old varchar(9) CHARACTER SET latin1, kind enum('a', 'b'), at datetime,"
        " FOREIGN KEY (parent) REFERENCES parents (id))",
    )
    good = {"parent": 1, "code": None, "age": 20, "price": "1.00", "name": "ok", "old": "ä", "kind": "a", "at": 0}
    changes = [
        {}, {"parent": 7}, {"code": "a"}, {"code": "A"}, {"age": 3}, {"price": "1000.00"}, {"price": "1.005"},
        {"name": "long"}, {"name": None}, {"old": "客"}, {"kind": "c"}, {"age": 70_000}, {"at": 1}, {"name": "客客😀"},
    ]  # fmt: skip
    records = pl.DataFrame([{"id": i, **good, **change} for i, change in enumerate(changes)], infer_schema_length=None)
    at = pl.datetime(2024, 1, 1) + pl.duration(microseconds="at")
    records = records.with_columns(pl.col("price").cast(pl.Decimal(38, 3)), at=at)
    result = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", records)])
    told = {failure.row: (failure.field, str(failure.message)) for failure in result.failures}
    assert {row: field for row, (field, _) in told.items()} == {
        1: "parent", 3: None, 4: None, 5: "price", 6: "price", 7: "name", 8: "name", 9: "old", 10: "kind", 11: "age",
        12: "at",
    }  # fmt: skip
    assert told[1][1] == "The record that parent points to does not exist."
    assert told[3][1] == "A record with the same values exists already (code)."
    assert told[4][1] == "The database's rule 'grown' does not allow this record."
    assert told[12][1] == "'at' keeps no fractions of a second; cut them off in the mapping."
    assert [row[0] for row in rows(mariadb_url, "SELECT id FROM t ORDER BY 1")] == [0, 2, 13]
    gone = source.write("parents", source.schema("parents"), [Change(Op.DELETE, "id", pl.DataFrame({"id": [1]}))])
    assert [str(f.message) for f in gone.failures] == ["Other records still point to this record."]


def test_keys_that_compare_without_case(mariadb_url: str, source: MySQL) -> None:
    """Text keys page, are looked up and are written exactly, whatever the collation takes for equal."""
    run(
        mariadb_url,
        "CREATE TABLE k (a varchar(20) COLLATE utf8mb4_unicode_ci, b decimal(9, 3), e enum('z', 'y', 'x'), v int,"
        " PRIMARY KEY (a, b, e))",
        *(
            f"INSERT INTO k VALUES ('{a}', {b}, '{e}', {i})"
            for i, (a, b, e) in enumerate(
                (a, b, e) for a in ("a", "B", "ä9", "客", " ") for b in (0.1, 0.25) for e in "zyx"
            )
        ),
    )
    schema, whole = source.schema("k"), everything(source, "k")
    assert schema.key == ("a", "b", "e")
    assert whole.height == 30
    for size in (1, 4, 30):
        pages = list(source.read(ReadRequest("k", schema, page_size=size)))
        assert pl.concat([page.records for page in pages]).equals(whole)
        rest = list(source.read(ReadRequest("k", schema, after=pages[0].position, page_size=size)))
        assert pl.concat([page.records for page in rest]).equals(whole.tail(-size))
    assert source.lookup("k", schema, "a", pl.Series(["A", "b", "客"]))["a"].unique().to_list() == ["客"]
    assert source.lookup("k", schema, "b", pl.Series([Decimal("0.1")])).height == 15
    run(mariadb_url, "CREATE TABLE c (a varchar(20) PRIMARY KEY, v int)", "INSERT INTO c VALUES ('Abc', 1), ('x', 1)")
    change = Change(Op.UPDATE, "a", pl.DataFrame({"a": ["abc", "x"], "v": [2, 2]}))
    assert [f.row for f in source.write("c", source.schema("c"), [change]).failures] == [0]
    assert rows(mariadb_url, "SELECT v FROM c ORDER BY a") == [(1,), (2,)]


def test_a_table_without_key_is_read_in_one_pass(mariadb_url: str, source: MySQL) -> None:
    """Equal records, nulls and texts that differ in case only are read in a stable order and resumed."""
    run(
        mariadb_url,
        "CREATE TABLE k (a int, b varchar(9), j json, g point)",
        "INSERT INTO k VALUES (1, 'x', '1', NULL), (1, 'X', '1', NULL), (1, 'x', NULL, POINT(1, 1))",
        "INSERT INTO k VALUES (NULL, NULL, NULL, NULL)",
        "INSERT INTO k SELECT * FROM k",
    )
    schema, whole = source.schema("k"), everything(source, "k")
    assert (schema.key, whole.height) == ((), 8)
    for size in (1, 3, 8):
        pages = list(source.read(ReadRequest("k", schema, page_size=size)))
        assert pl.concat([page.records for page in pages]).equals(whole)
        rest = list(source.read(ReadRequest("k", schema, after=pages[0].position, page_size=size)))
        assert pl.concat([page.records for page in rest]).equals(whole.tail(-size))


def test_a_unique_index_stands_in_for_a_primary_key(mariadb_url: str, source: MySQL) -> None:
    """The smallest unique index without nulls and prefixes is the key; views have none."""
    run(
        mariadb_url,
        "CREATE TABLE a (x int, y int NOT NULL, z varchar(99) NOT NULL, w int NOT NULL, UNIQUE (x), UNIQUE (z(5)),"
        " UNIQUE both_of_them (w, y))",
        "CREATE VIEW v AS SELECT * FROM a",
        "CREATE VIEW counts AS SELECT count(*) AS n FROM a",
    )
    assert source.schema("a").key == ("w", "y")
    assert source.schema("v").key == ()
    listed = [(found.name, found.kind, found.writable) for found in source.objects()]
    assert listed == [("a", "table", True), ("counts", "view", False), ("v", "view", True)]


def test_keys_made_by_a_default_come_back(mariadb_url: str, source: MySQL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that a default makes are returned in the order of the records; MySQL itself cannot tell them."""
    run(mariadb_url, "CREATE TABLE u (id uuid DEFAULT uuid() PRIMARY KEY, name varchar(5) UNIQUE)")
    named = pl.DataFrame({"name": ["a", "b", "a", "c"]})
    (keys,) = source.write("u", source.schema("u"), [Change(Op.CREATE, "id", named)]).keys
    assert keys is not None
    assert keys[2] is None
    assert dict(rows(mariadb_url, "SELECT name, CAST(id AS char) FROM u")) == {"a": keys[0], "b": keys[1], "c": keys[3]}
    source._engine.dialect.is_mariadb = False
    with pytest.raises(Misconfigured, match="does not tell"):
        source.write("u", source.schema("u"), [Change(Op.CREATE, "id", pl.DataFrame({"name": ["d"]}))])


def test_encryption(mariadb_server: servers.Server, mariadb_url: str) -> None:
    """Encryption is used, forced, checked against an authority and a name, or left out, as the settings say."""
    settings = settings_of(mariadb_url)
    cipher = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"

    def told(**changes: Any) -> tuple[bool, str]:
        with MySQL({**settings, **changes}, Context()) as source:
            steps = list(source.check())
            encrypted = False
            if steps[-1].ok:
                with source.session() as connection:
                    encrypted = bool(connection.exec_driver_sql(cipher.replace("%", "%%")).one()[1])
            return encrypted, str(next(step.detail for step in steps if step.name == "Encrypt the connection"))

    trusted = {"tls": "verify", "tls_ca": mariadb_server.certificate}
    assert told() == (True, "The connection is encrypted.")
    assert told(tls="require") == (True, "The connection is encrypted.")
    assert told(tls="disable") == (False, "The connection is not encrypted.")
    assert told(**trusted, host="localhost") == (True, "The connection is encrypted.")
    untrusted = "The server's certificate is not trusted, or is made out for another name."
    assert told(tls="verify") == (False, untrusted)
    assert told(**trusted, host="127.0.0.1")[0] is False
    for wrong in ("no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"):
        assert told(tls="verify", tls_ca=wrong) == (False, "The certificate authority is no PEM text.")


def test_what_is_not_mysql(postgres_server: servers.Server, valkey_server: servers.Server, mariadb_url: str) -> None:
    """Another server behind the port is recognised, also by a call that skips the test."""
    settings = settings_of(mariadb_url)
    for port in (postgres_server.port, valkey_server.port):
        with MySQL({**settings, "port": port}, Context(timeout=0.5)) as source:
            assert "is not MySQL" in str(list(source.check())[-1].detail)
            with pytest.raises(Misconfigured, match="is not MySQL"):
                source.objects()


def test_a_password_is_not_given_away() -> None:
    """A server that asks for the password in clear text does not get it."""
    received: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            greeting = b"\x0a8.0.0\0" + bytes(4) + b"12345678\0" + b"\xff\xf7" + b"\x2d\x02\0" + b"\xff\x81" + b"\x15"
            _send(client, 0, greeting + bytes(10) + b"123456789012\0" + b"mysql_native_password\0")
            received.append(client.recv(4096))
            _send(client, 2, b"\xfemysql_clear_password\0")
            received.append(client.recv(4096))

    def _send(client: socket.socket, number: int, payload: bytes) -> None:
        client.sendall(len(payload).to_bytes(3, "little") + bytes([number]) + payload)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        settings = {"host": "127.0.0.1", "port": listener.getsockname()[1], "database": "d", "user": "u"}
        source = MySQL({**settings, "password": "hidden treasure", "tls": "disable"}, Context(timeout=3))
        with source, pytest.raises(AuthFailed):
            source.objects()
        thread.join()
    assert received[0]
    assert b"hidden treasure" not in b"".join(received)


def test_tables_without_transactions_are_not_written(mariadb_url: str, source: MySQL) -> None:
    """A storage engine that cannot undo a half-done write is read, but not written."""
    run(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY) ENGINE MyISAM", "INSERT INTO t VALUES (1)")
    assert [(found.name, found.writable) for found in source.objects()] == [("t", False)]
    assert everything(source, "t").height == 1
    with pytest.raises(Misconfigured, match="engine MyISAM"):
        source.write("t", source.schema("t"), [Change(Op.CREATE, "id", pl.DataFrame({"id": [2]}))])


def test_keys_that_are_texts_are_updated(mariadb_url: str, source: MySQL) -> None:
    """Updates and deletes by text, decimal and date keys reach exactly their records."""
    run(mariadb_url, "CREATE TABLE t (a varchar(9), d decimal(9, 2), b date, v int)")
    run(mariadb_url, *(f"INSERT INTO t VALUES ('k{i}', {i / 4}, '2024-01-0{i + 1}', {i})" for i in range(4)))
    schema, whole = source.schema("t"), everything(source, "t")
    for key in ("a", "d", "b"):
        update = whole.select(key, (pl.col("v") + 10).alias("v")).head(2)
        assert not source.write("t", schema, [Change(Op.UPDATE, key, update)]).failures
        assert not source.write("t", schema, [Change(Op.UPDATE, key, whole.select(key, "v"))]).failures
    assert everything(source, "t").sort("a").equals(whole.sort("a"))
    assert not source.write("t", schema, [Change(Op.DELETE, "d", whole.head(3))]).failures
    assert rows(mariadb_url, "SELECT a FROM t") == [("k3",)]
    run(mariadb_url, "UPDATE t SET a = 'same'", "INSERT INTO t VALUES ('same', 1, NULL, 1)")
    both = source.write("t", schema, [Change(Op.DELETE, "a", pl.DataFrame({"a": ["same"]}))])
    assert [str(f.message) for f in both.failures] == ["More than one record has this key."]


@pytest.fixture
def reader(mariadb_url: str) -> Iterator[dict[str, Any]]:
    """A user who may read and write the table t, but create nothing."""
    name = settings_of(mariadb_url)["database"]
    run(
        mariadb_url,
        f"CREATE USER {name} IDENTIFIED BY 'paß wörd'",
        "CREATE TABLE t (id int PRIMARY KEY, v text)",
        f"GRANT SELECT, INSERT ON {name}.t TO {name}",
    )
    yield {**settings_of(mariadb_url), "user": name, "password": "paß wörd"}
    run(mariadb_url, f"DROP USER {name}")


def test_a_user_with_few_rights(reader: dict[str, Any]) -> None:
    """A refused write is forbidden; where no own table may be created, fences are unknown."""
    with MySQL(reader, Context()) as source:
        schema, fence = source.schema("t"), Fence("s", 1, 1, 1)
        records = pl.DataFrame({"id": [1], "v": ["x"]})
        assert source.applied(fence) is None
        assert not source.write("t", schema, [Change(Op.CREATE, "id", records)], fence).failures
        with pytest.raises(Forbidden, match="no permission"):
            source.write("t", schema, [Change(Op.UPDATE, "id", records)])


def test_locked_records_are_tried_again(mariadb_url: str) -> None:
    """A record that another transaction keeps locked makes the write fail as a whole, for another try."""
    run(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1)")
    change = Change(Op.UPDATE, "id", pl.DataFrame({"id": [1], "v": [2]}))
    with MySQL(settings_of(mariadb_url), Context(timeout=1)) as source, source.session() as other:
        schema = source.schema("t")
        other.exec_driver_sql("SELECT * FROM t FOR UPDATE")
        with pytest.raises(Unavailable, match="locked"):
            source.write("t", schema, [change])
    assert rows(mariadb_url, "SELECT v FROM t") == [(1,)]


def test_a_lost_connection_can_be_tried_again(mariadb_url: str, source: MySQL) -> None:
    """A session that the server ends is reported as unavailable, and the next call works."""
    run(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3)")
    schema = source.schema("t")
    pages = source.read(ReadRequest("t", schema, page_size=1))
    next(pages)
    database = settings_of(mariadb_url)["database"]
    for (number,) in rows(
        mariadb_url, f"SELECT id FROM information_schema.processlist WHERE db = '{database}' AND id <> CONNECTION_ID()"
    ):
        run(mariadb_url, f"KILL {number}")
    with pytest.raises(Unavailable):
        list(pages)
    assert len(list(source.read(ReadRequest("t", schema, page_size=1)))) >= 3


def test_session_settings(mariadb_url: str) -> None:
    """Session settings are set, but not those that the exactness of values rests on."""
    options = {"max_statement_time": 0.05, "time_zone": "+08:00", "SQL_MODE": ""}
    with MySQL({**settings_of(mariadb_url), "options": options}, Context()) as source:
        with source.session() as connection:
            assert connection.exec_driver_sql("SELECT @@session.time_zone").scalar() == "+00:00"
        with pytest.raises(Unavailable, match="too long"), source.session() as connection:
            connection.exec_driver_sql("SELECT sum(a.seq * b.seq) FROM seq_1_to_100000 a, seq_1_to_100000 b")
    for wrong in ([1], {"a; DROP": "x"}):
        source = MySQL({**settings_of(mariadb_url), "options": wrong}, Context())
        with source, pytest.raises(Misconfigured, match="session settings"):
            source.objects()
    source = MySQL({**settings_of(mariadb_url), "options": {"no_such": "x"}}, Context())
    with source, pytest.raises(Misconfigured, match="no_such"):
        source.objects()


@pytest.mark.parametrize("batch", [1, 7])
def test_round_trip_of_any_records(mariadb_url: str, source: MySQL, batch: int) -> None:
    """Whatever texts are written, by insert and by update, are read again."""
    run(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY, v text CHARACTER SET utf8mb4)")
    schema = source.schema("t")
    for number, values in enumerate(texts(batch)):
        records = pl.DataFrame({"id": range(batch * number, batch * number + batch), "v": values})
        source.write("t", schema, [Change(Op.CREATE, "id", records)])
        again = records.with_columns(pl.col("v").reverse())
        source.write("t", schema, [Change(Op.UPDATE, "id", again)])
        assert source.lookup("t", schema, "id", again["id"]).sort("id").equals(again.sort("id"))
