"""The SQLite connector against real files."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin.sqlite import SQLite
from connectors.errors import Forbidden, Misconfigured, Unavailable
from connectors.spi import Connector, Context, Cursor, Fence, ReadRequest
from connectors.testing import EXTREMES, ConnectorConformance, Settings
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.databases import everything, rows, run, texts

NATIVE: Mapping[FieldType, str] = {
    FieldType.TEXT: "TEXT",
    FieldType.INTEGER: "INTEGER",
    FieldType.DECIMAL: "DECIMAL(20, 4)",
    FieldType.FLOAT: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATE: "DATE",
    FieldType.TIME: "TIME",
    FieldType.DATETIME: "TIMESTAMPTZ",
    FieldType.LOCAL_DATETIME: "DATETIME",
    FieldType.BINARY: "BLOB",
    FieldType.JSON: "JSON",
}


class TestConformance(ConnectorConformance):
    """SQLite keeps every promise of a connector."""

    connector: type[Connector] = SQLite

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        self.folder = tmp_path
        path = tmp_path / "shop #1%.db"
        path.touch()
        (tmp_path / "other.db").write_text("This is not a database, but a text that is long enough to be read. " * 20)
        return {"path": "shop #1%.db"}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        columns = ", ".join(
            f"{f.name} {'VARCHAR(40)' if f.length else NATIVE[f.type]}{'' if f.nullable else ' NOT NULL'}"
            for f in schema.fields
        )
        with contextlib.closing(sqlite3.connect(self.folder / settings["path"])) as connection, connection:
            connection.execute(f"CREATE TABLE {self.object_name} ({columns}, PRIMARY KEY ({', '.join(schema.key)}))")
            marks = ", ".join("?" * len(schema.fields))
            rows_ = ([_plain(value) for value in row] for row in records.iter_rows())
            connection.executemany(f"INSERT INTO {self.object_name} VALUES ({marks})", rows_)

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """SQLite's decimals are floats, exact up to 15 digits."""
        decimals = tuple(map(Decimal, ("0", "0.1", "-0.0001", "99999999999.9999", "12345.6")))
        json = ("[]", '{"a":[1,2.5,true,null,"ü𠮷"],"b":{}}', '"text"', '{"n":12345678901234567890.125}', "12.5", "7")
        return {**EXTREMES, FieldType.DECIMAL: decimals, FieldType.JSON: json}

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [{"path": "no such file.db"}, {"path": "/etc/passwd"}, {"path": "other.db"}, {"path": " "}]

    def refused(self) -> Mapping[str, Any]:
        return {"title": "x" * 41}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str, bytes)) else str(value)


@pytest.fixture
def url(tmp_path: Path) -> str:
    (tmp_path / "data.db").touch()
    return f"sqlite:///{tmp_path / 'data.db'}"


@pytest.fixture
def source(url: str, tmp_path: Path) -> Iterator[SQLite]:
    with SQLite({"path": "data.db"}, Context(file_roots=(tmp_path,), timeout=0.2)) as connector:
        yield connector


def test_types_are_discovered(url: str, source: SQLite) -> None:
    """Declared types become field types by their words and SQLite's rules; keys, numbers and defaults are known."""
    run(
        url,
        """CREATE TABLE "all %types: 1" (
          id INTEGER PRIMARY KEY, code VARCHAR(10) NOT NULL, price DECIMAL(12, 3), n NUMERIC, x REAL,
          y DOUBLE PRECISION,
          d DATE, dt DATETIME, ts TIMESTAMP, tz "TIMESTAMP WITH TIME ZONE", t TIME, flag BOOLEAN DEFAULT 0, doc JSON,
          raw BLOB, anything, big BIGINT, s STRING, "od d%:x" TEXT, twice INT AS (big * 2) STORED)""",
        "CREATE TABLE serial (id INTEGER PRIMARY KEY AUTOINCREMENT)",
        "CREATE TABLE pair (a TEXT, b INT, PRIMARY KEY (b, a)) WITHOUT ROWID",
        "CREATE TABLE uniq (a INT, b INT NOT NULL, c INT NOT NULL, UNIQUE (a), UNIQUE (c, b))",
        "CREATE UNIQUE INDEX part ON uniq (b) WHERE b > 1",
        'CREATE VIEW v AS SELECT id, upper(code) AS code FROM "all %types: 1"',
    )
    found = source.schema("all %types: 1")
    assert found.key == ("id",)
    kinds = {field.name: field.type for field in found.fields}
    assert kinds == {
        "id": FieldType.INTEGER, "code": FieldType.TEXT, "price": FieldType.DECIMAL, "n": FieldType.DECIMAL,
        "x": FieldType.FLOAT, "y": FieldType.FLOAT, "d": FieldType.DATE, "dt": FieldType.LOCAL_DATETIME,
        "ts": FieldType.LOCAL_DATETIME, "tz": FieldType.DATETIME, "t": FieldType.TIME, "flag": FieldType.BOOLEAN,
        "doc": FieldType.JSON, "raw": FieldType.BINARY, "anything": FieldType.TEXT, "big": FieldType.INTEGER,
        "s": FieldType.TEXT, "od d%:x": FieldType.TEXT, "twice": FieldType.INTEGER,
    }  # fmt: skip
    assert found["price"] == Field("price", FieldType.DECIMAL, precision=12, scale=3)
    assert found["id"] == Field("id", FieldType.INTEGER, nullable=False, has_default=True)
    assert (found["code"].length, found["code"].nullable) == (10, False)
    assert found["twice"].generated
    assert source.schema("serial")["id"].generated
    assert source.schema("pair").key == ("b", "a")
    assert source.schema("uniq").key == ("c", "b")
    assert source.schema("v").names == ("id", "code")
    assert [(o.name, o.kind, o.writable) for o in source.objects()][-1] == ("v", "view", False)
    with pytest.raises(Misconfigured, match="'twice' is filled in by the database itself"):
        source.write("all %types: 1", found, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1], "twice": [2]}))])
    record = pl.DataFrame({"code": ["x"], "od d%:x": ["%s :y ?"]})
    (keys,) = source.write("all %types: 1", found, [Change(Op.CREATE, "id", record)]).keys
    assert keys is not None
    assert keys.to_list() == [1]
    assert everything(source, "all %types: 1")["od d%:x"].to_list() == ["%s :y ?"]


def test_values_of_another_type_are_rejected(url: str, source: SQLite) -> None:
    """Each value is looked at; one that is not of its column's type is a reject that names record and field."""
    run(
        url,
        "CREATE TABLE s (id INTEGER PRIMARY KEY, n INT, x REAL, d DATE, dt DATETIME, tz TIMESTAMPTZ, t TIME, b BOOLEAN,"
        " p DECIMAL(9, 2), j JSON, r BLOB, c VARCHAR(9), a)",
        "INSERT INTO s VALUES (1, 5, 1, '2024-02-29', '2024-01-01T10:00',"
        " '2024-01-01 08:00:00.5+08:00', '10:00', 1, 2.5,"
        " '{\"b\":1.0}', x'00ff', 7, 7)",
        "INSERT INTO s (id, dt, tz, j, a, p) VALUES (2, '2024-01-01', '2024-01-01T10:00Z', 1.50, 1.5, '3')",
        "INSERT INTO s (id, n) VALUES (3, 'many'), (4, 1.5), (5, x'01')",
        "INSERT INTO s (id, x) VALUES (6, 'many'), (7, x'01')",
        "INSERT INTO s (id, d) VALUES (8, 20240101), (9, '1.1.2024'), (10, '2024-02-30')",
        "INSERT INTO s (id, dt) VALUES (11, '2024-01-01 10:00:00Z'), (12, 'now')",
        "INSERT INTO s (id, b) VALUES (13, 2), (14, 'true'), (15, 0.5)",
        "INSERT INTO s (id, p) VALUES (16, 1.005), (17, 'dear'), (18, 1e300), (19, 9e999)",
        "INSERT INTO s (id, j) VALUES (20, '{'), (21, x'01')",
        "INSERT INTO s (id, r) VALUES (22, 'text')",
        "INSERT INTO s (id, c) VALUES (23, x'01'), (24, CAST(x'ff41' AS TEXT))",
    )
    (page,) = source.read(ReadRequest("s", source.schema("s")))
    first, second = page.records.rows(named=True)
    assert first == {
        "id": 1, "n": 5, "x": 1.0, "d": dt.date(2024, 2, 29), "dt": dt.datetime(2024, 1, 1, 10),
        "tz": dt.datetime(2024, 1, 1, 0, 0, 0, 500000, tzinfo=dt.UTC), "t": dt.time(10), "b": True, "p": Decimal("2.5"),
        "j": '{"b":1.0}', "r": b"\x00\xff", "c": "7", "a": "7",
    }  # fmt: skip
    assert (second["dt"], second["j"], second["a"]) == (dt.datetime(2024, 1, 1), "1.5", "1.5")
    assert (second["tz"], second["p"]) == (dt.datetime(2024, 1, 1, 10, tzinfo=dt.UTC), Decimal(3))
    told = {(reject.place, reject.field) for reject in page.rejects}
    expected = {
        "n": (3, 4, 5), "x": (6, 7), "d": (8, 9, 10), "dt": (11, 12), "b": (13, 14, 15), "p": (16, 17, 18, 19),
        "j": (20, 21), "r": (22,), "c": (23, 24),
    }  # fmt: skip
    assert told == {(f"id {number}", field) for field, numbers in expected.items() for number in numbers}


def test_a_full_disk_is_told(url: str, source: SQLite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not grow is an error to try again after, not a record that is refused; nothing is written."""
    run(url, "CREATE TABLE f (id INTEGER PRIMARY KEY, name TEXT)")
    connect = SQLite.open

    def small(self: SQLite) -> sqlite3.Connection:
        connection = connect(self)
        connection.execute("PRAGMA max_page_count = 5")
        return connection

    monkeypatch.setattr(SQLite, "open", small)
    records = pl.DataFrame({"id": range(100), "name": ["n" * 1000] * 100})
    with pytest.raises(Unavailable, match="no room left"):
        source.write("f", source.schema("f"), [Change(Op.CREATE, "id", records)])
    assert rows(url, "SELECT count(*) FROM f") == [(0,)]


def test_a_table_without_a_key_is_read_while_it_is_written(url: str, source: SQLite) -> None:
    """Between two of its pages others write, ourselves included; the read shows what was there when it began."""
    run(
        url,
        "CREATE TABLE k (n INT, d DATE, a)",
        "INSERT INTO k VALUES (3, '2024-02-29', 1.5), (1, NULL, 'x'), (2, NULL, 1)",
    )
    schema = source.schema("k")
    for _ in range(2):
        pages = source.read(ReadRequest("k", schema, page_size=1))
        first = next(pages)
        run(url, "UPDATE k SET a = 'by another program' WHERE n = 2")
        done = source.write("k", schema, [Change(Op.UPDATE, "n", pl.DataFrame({"n": [3], "a": ["by us"]}))])
        assert done.failures == ()
        found = pl.concat([first.records, *(page.records for page in pages)])
        assert found["n"].to_list() == [1, 2, 3]
    assert found["a"].to_list() == ["x", "by another program", "by us"]
    assert found["d"].to_list() == [None, None, dt.date(2024, 2, 29)]
    (page,) = source.read(ReadRequest("k", schema, after=first.position))
    assert page.records["n"].to_list() == [2, 3]


def test_nothing_is_written_that_sqlite_would_change(url: str, source: SQLite) -> None:
    """Numbers beyond a float's digits, and texts that a numeric column turns into numbers, are refused."""
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, p DECIMAL(30, 10), s STRING, x REAL, n INT)")
    numbers = ["1234567890.12345", "12345678901.123456", "9007199254740993", "12345678901234567890", "-0.0000000001"]
    words = ["0012", "12", "1e5", "nan", "1.5", "1.50", "1.0", "9223372036854775808", "a1"]
    schema = source.schema("t")
    decimals = pl.DataFrame({"id": range(5), "p": numbers}).with_columns(pl.col("p").cast(pl.Decimal(38, 10)))
    assert [f.row for f in source.write("t", schema, [Change(Op.CREATE, "id", decimals)]).failures] == [1, 3]
    texts_ = pl.DataFrame({"id": range(10, 19), "s": words})
    failures = source.write("t", schema, [Change(Op.CREATE, "id", texts_)]).failures
    assert [(words[f.row], f.field) for f in failures] == [
        (w, "s") for w in ("0012", "1e5", "1.50", "1.0", "9223372036854775808")
    ]
    floats = pl.DataFrame({"id": [20, 21, 22], "x": [float("nan"), float("inf"), 1e300]})
    assert [f.row for f in source.write("t", schema, [Change(Op.CREATE, "id", floats)]).failures] == [0, 1]
    whole = everything(source, "t")
    assert whole["p"].drop_nulls().to_list() == [Decimal(numbers[i]) for i in (0, 2, 4)]
    assert whole["s"].drop_nulls().to_list() == ["12", "nan", "1.5", "a1"]
    assert source.lookup("t", schema, "p", decimals["p"]).height == 3


def test_refusals_name_field_and_reason(url: str, source: SQLite) -> None:
    """Each kind of refusal has a plain sentence with the field, and the good records are written."""
    run(
        url,
        "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
        "INSERT INTO parents VALUES (1)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, parent INT REFERENCES parents, code TEXT UNIQUE,"
        " age INT CONSTRAINT grown CHECK (age >= 18), name TEXT NOT NULL, UNIQUE (age, name))",
        "CREATE TRIGGER no BEFORE INSERT ON t WHEN NEW.code = 'forbidden'"
        " BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    )
    good = {"parent": 1, "code": None, "age": 20, "name": "ok"}
    changes: list[dict[str, Any]] = [
        {}, {"parent": 7, "name": "p"}, {"code": "a", "name": "c"}, {"code": "a", "name": "d"}, {"age": 3},
        {"name": None}, {"code": "forbidden"}, {},
    ]  # fmt: skip
    records = pl.DataFrame([{"id": i, **good, **change} for i, change in enumerate(changes)], infer_schema_length=None)
    result = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", records)])
    assert [(f.row, f.field, str(f.message)) for f in result.failures] == [
        (1, None, "It points to a record that does not exist, or others still point to it."),
        (3, "code", "A record with the same code exists already."),
        (4, None, "The database's rule 'grown' does not allow this record."),
        (5, "name", "'name' must not be empty."),
        (6, None, "The database refuses the record: not this one."),
        (7, None, "A record with the same age, name exists already."),
    ]
    assert [row[0] for row in rows(url, "SELECT id FROM t ORDER BY 1")] == [0, 2]
    gone = source.write("parents", source.schema("parents"), [Change(Op.DELETE, "id", pl.DataFrame({"id": [1]}))])
    assert [f.row for f in gone.failures] == [0]
    number = pl.DataFrame({"id": ["x"], "name": ["y"]})
    assert [f.row for f in source.write("t", source.schema("t"), [Change(Op.CREATE, "id", number)]).failures] == [0]


def test_a_condition_without_a_name_is_told_as_it_stands(url: str, source: SQLite) -> None:
    """SQLite tells the condition itself; points, commas and line ends in it stay or become a space."""
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT CHECK (name LIKE '_%,\n .x'))")
    record = pl.DataFrame({"id": [1], "name": ["y"]})
    result = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", record)])
    assert [(f.field, str(f.message)) for f in result.failures] == [
        (None, "The record does not meet this condition of the database: name LIKE '_%, .x'")
    ]


def test_date_times_in_any_form_are_found_by_a_cursor(url: str, source: SQLite) -> None:
    """Seconds and fractions may be left out; the start of a cursor is not above any way of writing it."""
    forms = [
        "2024-01-01 10:00",
        "2024-01-01 10:00:00",
        "2024-01-01 10:00:00.0",
        "2024-01-01 10:00:00.500000",
        "2024-01-01 09:59:59.999",
        "2024-01-01 10:20:30",
    ]
    run(
        url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME, t TIME)",
        *(f"INSERT INTO t VALUES ({i}, '{form}', '{form[11:]}')" for i, form in enumerate(forms)),
    )
    schema = source.schema("t")

    def since(value: Any, field: str = "at") -> set[int]:
        pages = source.read(ReadRequest("t", schema, Cursor(field, "id", value), page_size=2))
        return {number for page in pages for number in page.records["id"]}

    assert since("2024-01-01T10:00:00") == {0, 1, 2, 3, 5}
    assert since(dt.datetime(2024, 1, 1, 10, 0, 0, 500000)) == {3, 5}
    assert since("2024-01-01 10:20:30") == {5}
    assert since(dt.time(10), "t") == {0, 1, 2, 3, 5}


def test_keys_of_any_type_are_paged(url: str, source: SQLite) -> None:
    """Nulls, numbers and texts in one key are read once each and resumed behind any page."""
    run(url, "CREATE TABLE t (a, b TEXT, v INT, PRIMARY KEY (a, b))")
    for value in ("NULL", "NULL", "1", "1.5", "2", "'1'", "'x'", "'客'"):
        run(url, f"INSERT INTO t VALUES ({value}, 'p', 1)", f"INSERT INTO t VALUES ({value}, NULL, 2)")
    run(url, "CREATE TABLE n (a INT, b TEXT)", "INSERT INTO n VALUES (1, 'x'), (NULL, NULL), (1, 'x'), (1, 'X')")
    for name, count in (("t", 14), ("n", 4)):
        schema, whole = source.schema(name), everything(source, name)
        assert whole.height >= count
        for size in (3, 4, 16):
            pages = list(source.read(ReadRequest(name, schema, page_size=size)))
            found = pl.concat([page.records for page in pages])
            if name == "n":
                assert found.equals(whole)
                rest = source.read(ReadRequest(name, schema, after=pages[0].position, page_size=size))
                assert pl.concat([page.records for page in rest]).equals(whole.tail(-size))


def test_files_outside_the_released_folders(tmp_path: Path) -> None:
    """Neither a path nor a link leads out of the released folders, and files are not created."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    run(f"sqlite:///{outside / 'secret.db'}", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    (inside / "link.db").symlink_to(outside / "secret.db")
    (inside / "folder").symlink_to(outside)
    for path in ("../out/secret.db", str(outside / "secret.db"), "link.db", "folder/secret.db"):
        with SQLite({"path": path}, Context(file_roots=(inside,))) as source, pytest.raises(Forbidden):
            source.objects()
    with SQLite({"path": "secret.db"}, Context(file_roots=(inside, outside))) as source:
        assert [found.name for found in source.objects()] == ["t"]
    with SQLite({"path": "new.db"}, Context(file_roots=(inside,))) as source, pytest.raises(Misconfigured):
        source.objects()
    with SQLite({"path": str(outside / "secret.db")}, Context()) as source, pytest.raises(Forbidden):
        source.objects()
    assert not (inside / "new.db").exists()


def test_a_locked_file_is_tried_again(url: str, source: SQLite, tmp_path: Path) -> None:
    """While another program writes, a write fails as a whole and can be tried again."""
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    schema, change = source.schema("t"), Change(Op.CREATE, "id", pl.DataFrame({"id": [1]}))
    with contextlib.closing(sqlite3.connect(tmp_path / "data.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="locked"):
            source.write("t", schema, [change])
        assert "locked" in str(list(source.check())[-1].detail)
        other.execute("ROLLBACK")
    assert not source.write("t", schema, [change]).failures


def test_a_read_does_not_keep_writers_out(url: str, source: SQLite, tmp_path: Path) -> None:
    """Between two pages of a read the file can be written, by ourselves and by others."""
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3)")
    schema, seen = source.schema("t"), list[int]()
    for page in source.read(ReadRequest("t", schema, page_size=1)):
        seen += page.records["id"].to_list()
        if len(seen) < 6:
            source.write("t", schema, [Change(Op.CREATE, "id", pl.DataFrame({"id": [10 * len(seen)]}))])
    assert seen == [1, 2, 3, 10, 20, 30, 40, 50]


def test_fence_can_be_declined(url: str, tmp_path: Path) -> None:
    """With the setting off nothing is created, and nothing is claimed to be known."""
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with SQLite({"path": "data.db", "own_table": False}, Context(file_roots=(tmp_path,))) as source:
        change = Change(Op.CREATE, "id", pl.DataFrame({"id": [1]}))
        source.write("t", source.schema("t"), [change], Fence("s", 1, 1, 1))
        assert source.applied(Fence("s", 1, 1, 1)) is None
    assert rows(url, "SELECT name FROM sqlite_master WHERE name LIKE 'syncline%'") == []


@pytest.mark.parametrize("batch", [1, 7])
def test_round_trip_of_any_records(url: str, source: SQLite, batch: int) -> None:
    """Whatever texts are written, by insert and by update, are read again."""
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    schema = source.schema("t")
    for number, values in enumerate(texts(batch)):
        records = pl.DataFrame({"id": range(batch * number, batch * number + batch), "v": values})
        source.write("t", schema, [Change(Op.CREATE, "id", records)])
        again = records.with_columns(pl.col("v").reverse())
        source.write("t", schema, [Change(Op.UPDATE, "id", again)])
        assert source.lookup("t", schema, "id", again["id"]).sort("id").equals(again.sort("id"))
