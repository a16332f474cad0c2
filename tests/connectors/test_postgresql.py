"""The PostgreSQL connector against a real server."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin.postgresql import PostgreSQL
from connectors.errors import (
    AuthFailed,
    Fenced,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    RecordRejected,
    Unavailable,
)
from connectors.spi import Connector, Context, Cursor, Fence, ReadRequest
from connectors.testing import ConnectorConformance, Settings
from rules.schema import Change, Field, FieldType, Op, Schema
from tests import servers
from tests.connectors.databases import change, closed_port, everything, fill, promptly, rows, run, settings_of, texts
from tests.connectors.tls_proxy import encrypted_postgres

NATIVE: Mapping[FieldType, str] = {
    FieldType.TEXT: "text",
    FieldType.INTEGER: "bigint",
    FieldType.DECIMAL: "numeric(20, 4)",
    FieldType.FLOAT: "double precision",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.TIME: "time",
    FieldType.DATETIME: "timestamptz",
    FieldType.LOCAL_DATETIME: "timestamp",
    FieldType.BINARY: "bytea",
    FieldType.JSON: "jsonb",
}


class TestConformance(ConnectorConformance):
    """PostgreSQL keeps every promise of a connector."""

    connector: type[Connector] = PostgreSQL

    @pytest.fixture
    def settings(self, postgres_url: str) -> Settings:
        self.url = postgres_url
        promptly(postgres_url)
        return settings_of(postgres_url)

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        fill(self.url, self.object_name, schema, records, NATIVE)

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "host": "nowhere.invalid"},
            {**settings, "host": "10.255.255.1"},
            {**settings, "port": closed_port()},
            {**settings, "tls": "require"},
            {**settings, "password": "wrong"},
            {**settings, "database": "no_such_database"},
            {**settings, "schema": "no_such_schema"},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {"title": "x" * 41}

    def change(self, settings: Settings, records: pl.DataFrame, removed: pl.Series) -> None:
        with PostgreSQL(settings, Context()) as source:
            change(self.url, self.object_name, source.schema(self.object_name), records, removed)

    def rename(self, settings: Settings, old: Any, new: Any) -> None:
        run(self.url, f"UPDATE {self.object_name} SET id = {new} WHERE id = {old}")


@pytest.fixture
def source(postgres_url: str) -> Iterator[PostgreSQL]:
    with PostgreSQL(settings_of(postgres_url), Context(timeout=3)) as connector:
        yield connector


def test_types_are_discovered(postgres_url: str, source: PostgreSQL) -> None:
    """Each native type becomes the field type that holds its values exactly; lengths, keys and comments are known."""
    run(
        postgres_url,
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "CREATE DOMAIN amount AS numeric(12, 3) NOT NULL",
        "CREATE DOMAIN price AS amount",
        """CREATE TABLE "All %types: 1" (
          id integer GENERATED ALWAYS AS IDENTITY, code varchar(10) NOT NULL, fixed char(3), small smallint DEFAULT 5,
          free numeric, price price, cents numeric(5), single real, stamp timestamptz(3), wall timestamp, noon time(0),
          doc json, tags text[], m mood, u uuid DEFAULT gen_random_uuid(), ip inet, span interval, n serial,
          twice integer GENERATED ALWAYS AS (small * 2) STORED, "od d%:x" money, PRIMARY KEY (code, id))""",
        """COMMENT ON COLUMN "All %types: 1".code IS '编码'""",
        """COMMENT ON TABLE "All %types: 1" IS 'Alles'""",
    )
    found = source.schema("All %types: 1")
    assert found.key == ("code", "id")
    by_name = {field.name: field for field in found.fields}
    assert by_name["code"] == Field("code", nullable=False, length=10, label="编码")
    assert by_name["fixed"].length == 3
    assert by_name["free"] == Field("free", FieldType.DECIMAL)
    assert by_name["price"] == Field("price", FieldType.DECIMAL, nullable=False, precision=12, scale=3)
    assert by_name["cents"].scale == 0
    assert by_name["stamp"] == Field("stamp", FieldType.DATETIME, scale=3)
    assert by_name["noon"].scale == 0
    assert by_name["small"] == Field("small", FieldType.INTEGER, has_default=True)
    kinds = {name: field.type for name, field in by_name.items()}
    assert [kinds[name] for name in ("doc", "tags")] == [FieldType.JSON] * 2
    assert {kinds[name] for name in ("m", "u", "ip", "span", "fixed")} == {FieldType.TEXT}
    assert kinds["single"] is FieldType.FLOAT
    assert kinds["od d%:x"] is FieldType.DECIMAL
    assert {name for name, field in by_name.items() if field.generated} == {"id", "n", "twice"}
    info = next(found for found in source.objects() if found.name == "All %types: 1")
    assert (info.label, info.kind, info.writable) == ("Alles", "table", True)


def test_a_unique_index_stands_in_for_a_primary_key(postgres_url: str, source: PostgreSQL) -> None:
    """The smallest unique index without nulls, conditions and expressions is the key."""
    run(
        postgres_url,
        "CREATE TABLE a (x integer, y integer NOT NULL, z integer NOT NULL, w integer NOT NULL, UNIQUE (x))",
        "CREATE UNIQUE INDEX ON a (lower(y::text))",
        "CREATE UNIQUE INDEX ON a (w) WHERE w > 0",
        "CREATE UNIQUE INDEX ON a (y, z) INCLUDE (w)",
    )
    assert source.schema("a").key == ("y", "z")


def test_all_kinds_of_objects_are_listed(postgres_url: str, source: PostgreSQL) -> None:
    """Tables, partitioned tables and views are listed, partitions and other schemas are not."""
    run(
        postgres_url,
        "CREATE TABLE t (id integer PRIMARY KEY)",
        "CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
        "CREATE VIEW v AS SELECT id FROM t",
        "CREATE VIEW sums AS SELECT sum(id) AS s FROM t",
        "CREATE MATERIALIZED VIEW m AS SELECT id FROM t",
        "CREATE SCHEMA other CREATE TABLE hidden (id integer)",
    )
    assert [(o.name, o.kind, o.writable) for o in source.objects()] == [
        ("m", "view", False),
        ("p", "table", True),
        ("sums", "view", False),
        ("t", "table", True),
        ("v", "view", True),
    ]
    source.write("v", source.schema("v"), [Change(Op.CREATE, "id", pl.DataFrame({"id": [1, 2]}))])
    source.write("p", source.schema("p"), [Change(Op.CREATE, "id", pl.DataFrame({"id": [3, 4]}))])
    assert rows(postgres_url, "SELECT id FROM t UNION ALL SELECT id FROM p1 ORDER BY 1") == [(1,), (2,), (3,), (4,)]


def test_special_values_arrive_exactly_or_are_rejected(postgres_url: str, source: PostgreSQL) -> None:
    """What the field types hold arrives; what they cannot hold is a reject that names record and field."""
    run(
        postgres_url,
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "CREATE TABLE s (id integer PRIMARY KEY, n numeric, d date, t time, ts timestamptz, m mood, a numeric[], "
        "f real, c char(5), ip inet, i interval, j json, x money, o oid)",
        """INSERT INTO s VALUES (1, 123456789012345678.123456789012345678, '0001-01-01', '23:59:59.999999',
           '2024-01-01 00:00:00+08', 'happy', '{1.10,NULL}', 0.1, 'ab', '::1', '1 mon 2 days',
           '{"b": 1.0, "a": 12345678901234567890.5}', 12.5, 4000000000)""",
        "INSERT INTO s (id, n) VALUES (2, 'NaN'), (3, 'Infinity'), (4, 1e30), (5, 0.0000000000000000001), (15, 1e-18)",
        "INSERT INTO s (id, d) VALUES (6, 'infinity'), (7, '0044-03-15 BC'), (8, '10000-01-01')",
        "INSERT INTO s (id, t) VALUES (9, '24:00')",
        "INSERT INTO s (id, ts) VALUES (10, '-infinity'), (11, '294276-01-01')",
        "INSERT INTO s (id, j) VALUES (12, 'null'), (13, '{\"a\":1,\"a\":2}')",
    )
    (page,) = source.read(ReadRequest("s", source.schema("s")))
    first = page.records.row(0, named=True)
    assert first == {
        "id": 1,
        "n": Decimal("123456789012345678.123456789012345678"),
        "d": dt.date(1, 1, 1),
        "t": dt.time(23, 59, 59, 999999),
        "ts": dt.datetime(2023, 12, 31, 16, tzinfo=dt.UTC),
        "m": "happy",
        "a": "[1.10,null]",
        "f": 0.1,
        "c": "ab",
        "ip": "::1",
        "i": "1 mon 2 days",
        "j": '{"a":12345678901234567890.5,"b":1.0}',
        "x": Decimal("12.5"),
        "o": 4_000_000_000,
    }
    assert page.records["id"].to_list() == [1, 12, 13, 15]
    assert page.records["j"].to_list()[1:3] == ["null", '{"a":2}']
    told = {(reject.place, reject.field) for reject in page.rejects}
    expected = {"n": (2, 3, 4, 5), "d": (6, 7, 8), "t": (9,), "ts": (10, 11)}
    assert told == {(f"id {number}", field) for field, numbers in expected.items() for number in numbers}
    assert "NaN" in str(page.rejects[0].message)
    assert "NaN" in page.rejects[0].raw


def test_special_types_are_written(postgres_url: str, source: PostgreSQL) -> None:
    """Arrays, enumerations, addresses and money are written from their field's values, by both ways of writing."""
    run(
        postgres_url,
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "CREATE TABLE s (id integer PRIMARY KEY, m mood, a text[], n int[], ip inet, x money, u uuid,"
        " b bit(3), c char(5))",
    )
    wanted = {
        "id": [1, 2],
        "m": ["happy", None],
        "a": ['["a","b \\"c\\" \\\\ {,}",null,""]', "[]"],
        "n": ["[[1,2],[3,4]]", None],
        "ip": ["10.0.0.0/8", None],
        "x": [Decimal("-3.25"), None],
        "u": ["0d4f4c5c-0000-4000-8000-000000000000", None],
        "b": ["101", None],
        "c": ["ab", None],
    }
    schema = source.schema("s")
    records = pl.DataFrame(wanted, schema=schema.dtypes())
    assert not source.write("s", schema, [Change(Op.CREATE, "id", records)]).failures
    assert everything(source, "s").equals(records)
    moved = records.with_columns(pl.exclude("id").reverse())
    assert not source.write("s", schema, [Change(Op.UPDATE, "id", moved)]).failures
    assert everything(source, "s").equals(moved)
    bad = pl.DataFrame({"id": [3, 4, 5], "m": ["glad", "sad", "sad"], "a": ["[]", '"no list"', "[]"]})
    result = source.write("s", schema, [Change(Op.CREATE, "id", bad)])
    assert [f.row for f in result.failures] == [0, 1]
    run(postgres_url, "ALTER TABLE s DROP COLUMN x")
    source.schema("s")
    copied = source.write("s", schema, [Change(Op.CREATE, "id", bad)])
    assert [(f.row, f.field) for f in copied.failures] == [(0, "m"), (1, "a"), (2, "id")]


def test_refusals_name_field_and_reason(postgres_url: str, source: PostgreSQL) -> None:
    """Each kind of refusal has a plain sentence with the field, and the good records are written."""
    run(
        postgres_url,
        "CREATE TABLE parents (id integer PRIMARY KEY)",
        "INSERT INTO parents VALUES (1)",
        "CREATE TABLE t (id integer PRIMARY KEY, parent integer REFERENCES parents, code text UNIQUE,"
        " age smallint CONSTRAINT grown CHECK (age >= 18), price numeric(5, 2), name varchar(3) NOT NULL,"
        " CONSTRAINT late UNIQUE (age) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN IF NEW.code = 'forbidden' THEN RAISE 'not this one'; END IF; RETURN NEW; END$$",
        "CREATE TRIGGER no BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION no()",
    )
    data = [
        (1, 1, "a", 20, "1.00", "ok"),
        (2, 7, "b", 21, "1.00", "ok"),
        (3, 1, "a", 22, "1.00", "ok"),
        (4, 1, "d", 3, "1.00", "ok"),
        (5, 1, "e", 23, "1000.00", "ok"),
        (6, 1, "f", 24, "1.005", "ok"),
        (7, 1, "g", 25, "1.00", "long"),
        (8, 1, "h", 26, "1.00", None),
        (9, 1, "forbidden", 27, "1.00", "ok"),
        (10, 1, "zero\0", 28, "1.00", "ok"),
        (11, 1, "k", 70_000, "1.00", "ok"),
        (12, 1, "l", 20, "1.00", "ok"),
        (13, None, None, None, None, "ok"),
    ]
    names = ["id", "parent", "code", "age", "price", "name"]
    records = pl.DataFrame(data, schema=names, orient="row").with_columns(pl.col("price").cast(pl.Decimal(38, 3)))
    result = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", records)])
    assert [(f.row + 1, f.field) for f in result.failures] == [
        (2, "parent"), (3, "code"), (4, None), (5, "price"), (6, "price"), (7, "name"), (8, "name"), (9, None),
        (10, "code"), (11, "age"), (12, "age"),
    ]  # fmt: skip
    told = {failure.row + 1: str(failure.message) for failure in result.failures}
    assert told[2] == "The record that parent points to does not exist."
    assert told[3] == "A record with the same code exists already."
    assert told[4] == "The database's rule 'grown' does not allow this record."
    assert told[5] == "'price' takes at most 3 digits before the point."
    assert told[7] == "'name' takes at most 3 characters."
    assert told[8] == "'name' must not be empty."
    assert "not this one" in told[9]
    assert rows(postgres_url, "SELECT id FROM t ORDER BY 1") == [(1,), (13,)]
    gone = source.write("parents", source.schema("parents"), [Change(Op.DELETE, "id", pl.DataFrame({"id": [1]}))])
    assert [str(f.message) for f in gone.failures] == ["Records of t still point to this record."]


def test_generated_keys_come_back(postgres_url: str, source: PostgreSQL) -> None:
    """Keys that the database makes are returned in the order of the records, null where one was refused."""
    run(
        postgres_url,
        "CREATE TABLE n (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(5) UNIQUE)",
        "CREATE TABLE u (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, name text)",
    )
    named = pl.DataFrame({"name": [f"n{i}" for i in range(50)] + ["n3", "too long"] + [f"m{i}" for i in range(50)]})
    result = source.write("n", source.schema("n"), [Change(Op.CREATE, "id", named)])
    (keys,) = result.keys
    assert keys is not None
    assert keys.dtype == pl.Int64
    assert [f.row for f in result.failures] == [50, 51]
    found = dict(rows(postgres_url, "SELECT id, name FROM n"))
    assert [found.get(key) for key in keys] == [None if i in {50, 51} else name for i, name in enumerate(named["name"])]
    (ids,) = source.write("u", source.schema("u"), [Change(Op.CREATE, "id", named.head(3))]).keys
    assert ids is not None
    assert dict(rows(postgres_url, "SELECT id::text, name FROM u")) == dict(zip(ids, ["n0", "n1", "n2"], strict=True))
    with pytest.raises(Misconfigured, match="filled in by the database"):
        source.write("n", source.schema("n"), [Change(Op.CREATE, "id", pl.DataFrame({"id": [1000], "name": ["x"]}))])


def test_pages_by_composite_keys(postgres_url: str, source: PostgreSQL) -> None:
    """Composite keys of texts and numbers page and resume in any size, also under a collation."""
    run(
        postgres_url,
        'CREATE TABLE k (a text COLLATE "pg_c_utf8", b numeric, c timestamptz, v integer, PRIMARY KEY (a, b, c))',
        "INSERT INTO k SELECT x, y / 4.0, now() + z * interval '1 microsecond', y "
        "FROM unnest(ARRAY['a', 'A', 'ä', 'b', '客', ' ', '']) x, generate_series(1, 3) y, generate_series(1, 3) z",
    )
    schema = source.schema("k")
    whole = everything(source, "k")
    assert whole.height == 63
    for size in (1, 4, 62, 63):
        pages = list(source.read(ReadRequest("k", schema, page_size=size)))
        assert pl.concat([page.records for page in pages]).equals(whole)
        rest = list(source.read(ReadRequest("k", schema, after=pages[0].position, page_size=size)))
        assert pl.concat([page.records for page in rest]).equals(whole.tail(-min(size, 63)))


def test_a_table_without_key_is_read_in_one_pass(postgres_url: str, source: PostgreSQL) -> None:
    """Equal records, nulls and types without an order are read in a stable order and resumed."""
    run(
        postgres_url,
        "CREATE TABLE k (a integer, j json, p point)",
        "INSERT INTO k SELECT x % 3, to_json(x % 2), point(x % 2, 1) FROM generate_series(1, 20) x",
        "INSERT INTO k VALUES (NULL, NULL, NULL), (NULL, NULL, NULL)",
    )
    schema, whole = source.schema("k"), everything(source, "k")
    assert (schema.key, whole.height) == ((), 22)
    for size in (1, 5, 22):
        pages = list(source.read(ReadRequest("k", schema, page_size=size)))
        assert pl.concat([page.records for page in pages]).equals(whole)
        rest = list(source.read(ReadRequest("k", schema, after=pages[1 if size == 1 else 0].position, page_size=size)))
        assert pl.concat([page.records for page in rest]).equals(whole.tail(-(2 if size == 1 else size)))
    some = [page.records for page in source.read(ReadRequest("k", schema, Cursor("a", "j", 1), page_size=4))]
    assert pl.concat(some)["a"].to_list() == sorted(
        (a for a in whole["a"] if a is None or a >= 1), key=lambda a: a or 0
    )


def test_a_cursor_whose_tie_is_not_unique_loses_nothing(postgres_url: str, source: PostgreSQL) -> None:
    """Where value and tie leave an order open, or the tie may be null, the key decides."""
    run(
        postgres_url,
        "CREATE TABLE k (id integer PRIMARY KEY, at timestamptz, tie integer)",
        "INSERT INTO k SELECT x, CASE WHEN x % 3 > 0 THEN timestamptz '2024-01-01' + x % 3 * interval '1 us' END,"
        " nullif(x % 2, 0) FROM generate_series(1, 30) x",
    )
    schema = source.schema("k")
    for tie in ("tie", "id", "at"):
        pages = list(source.read(ReadRequest("k", schema, Cursor("at", tie), page_size=4)))
        found = pl.concat([page.records for page in pages])
        assert sorted(found["id"]) == list(range(1, 31))
        assert found["at"].null_count() == 10
        assert found["at"].tail(20).is_sorted()
    with pytest.raises(Misconfigured, match="'soon' is no datetime"):
        list(source.read(ReadRequest("k", schema, Cursor("at", "id", "soon"))))


def test_another_type_than_the_systems_is_converted_or_rejected(postgres_url: str, source: PostgreSQL) -> None:
    """When a column's type has changed, its values still arrive with the confirmed type, or are rejected."""
    run(
        postgres_url,
        "CREATE TABLE t (id integer PRIMARY KEY, n text, d timestamptz, x numeric)",
        "INSERT INTO t VALUES (1, '12', '2024-01-01 00:00:00Z', 1.5), (2, 'many', NULL, 1.25)",
    )
    confirmed = Schema(
        (Field("id"), Field("n", FieldType.INTEGER), Field("d"), Field("x", FieldType.DECIMAL, scale=1)), ("id",)
    )
    (page,) = source.read(ReadRequest("t", confirmed))
    assert dict(page.records.schema) == confirmed.dtypes()
    assert page.records.rows() == [("1", 12, "2024-01-01 00:00:00.000000", Decimal("1.5"))]
    assert [(reject.place, reject.field) for reject in page.rejects] == [("id 2", "n")]
    with pytest.raises(ObjectMissing, match="'t' has no field 'gone'"):
        list(source.read(ReadRequest("t", Schema((Field("id"), Field("gone")), ("id",)))))


def test_numbers_beyond_the_type_of_a_key_are_not_there(postgres_url: str, source: PostgreSQL) -> None:
    """They are looked up like others, so that only their own records cannot be written."""
    run(postgres_url, "CREATE TABLE t (n integer PRIMARY KEY)", "INSERT INTO t VALUES (1), (2147483647)")
    wanted = pl.Series([1, 2**31 - 1, 2**31, -(2**40)])
    assert source.lookup("t", source.schema("t"), "n", wanted)["n"].sort().to_list() == [1, 2**31 - 1]
    assert source.lookup("t", source.schema("t"), "n", wanted.tail(2)).is_empty()


def test_lookup_is_exact(postgres_url: str, source: PostgreSQL) -> None:
    """Many keys of any type are looked up; a record that cannot be read exactly is an error, not an absence."""
    run(
        postgres_url,
        "CREATE TABLE t (code text PRIMARY KEY, at timestamptz, n numeric(9, 2), v date)",
        "INSERT INTO t SELECT 'c\"' || x || '\\', timestamptz '2024-01-01' + x * interval '1 us', x / 100.0, NULL"
        " FROM generate_series(1, 2500) x",
        "INSERT INTO t VALUES ('bad', NULL, NULL, 'infinity')",
    )
    schema, whole = source.schema("t"), everything(source, "t")
    for key in ("code", "at", "n"):
        wanted = whole[key].head(2100)
        assert source.lookup("t", schema, key, wanted)[key].sort().equals(wanted.sort())
    assert source.lookup("t", schema, "n", pl.Series([Decimal("0.015")])).is_empty()
    with pytest.raises(RecordRejected) as caught:
        source.lookup("t", schema, "code", pl.Series(["bad"]))
    assert caught.value.field == "v"


def test_repeated_keys_of_a_change_are_written_in_order(postgres_url: str, source: PostgreSQL) -> None:
    """The last one of a key wins; a key that fits more than one record is refused."""
    run(postgres_url, "CREATE TABLE t (id integer PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'a')")
    schema = source.schema("t")
    twice = pl.DataFrame({"id": [1, 2, 1], "v": ["b", "c", "d"]})
    assert not source.write("t", schema, [Change(Op.UPDATE, "id", twice)]).failures
    assert rows(postgres_url, "SELECT * FROM t ORDER BY id") == [(1, "d"), (2, "c")]
    run(postgres_url, "UPDATE t SET v = 'same'")
    both = source.write("t", schema, [Change(Op.DELETE, "v", pl.DataFrame({"v": ["same", "none"]}))])
    assert [(f.row, str(f.message)) for f in both.failures] == [
        (0, "More than one record has this key."),
        (1, "The record none is no longer there."),
    ]
    only_key = source.write("t", schema, [Change(Op.UPDATE, "id", pl.DataFrame({"id": [1, 3]}))])
    assert [f.row for f in only_key.failures] == [1]


def test_records_that_lack_something(postgres_url: str, source: PostgreSQL) -> None:
    """A field that must be filled and was not given, an empty key and a value of another type refuse the record."""
    run(
        postgres_url, "CREATE TABLE t (id integer PRIMARY KEY, needed text NOT NULL, n numeric(5, 2), b bytea, at date)"
    )
    schema = source.schema("t")
    lacking = source.write("t", schema, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1, 2]}))]).failures
    assert [(f.row, f.field) for f in lacking] == [(0, "needed"), (1, "needed")]
    empty = pl.DataFrame({"id": [None, 1], "needed": ["x", "y"]}, schema_overrides={"id": pl.Int64})
    assert [f.field for f in source.write("t", schema, [Change(Op.UPDATE, "id", empty)]).failures] == ["id", None]
    other = pl.DataFrame({"id": ["1", "two"], "needed": [1, 2], "n": [1.5, 2.0], "at": ["2024-01-01", "2024-01-01"]})
    result = source.write("t", schema, [Change(Op.CREATE, "id", other)])
    assert [(f.row, f.field) for f in result.failures] == [(1, "id")]
    assert "two" in str(result.failures[0].message)
    assert everything(source, "t").rows() == [(1, "1", Decimal("1.5"), None, dt.date(2024, 1, 1))]
    with pytest.raises(ObjectMissing, match="no field 'gone'"):
        source.write("t", schema, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1], "gone": [1]}))])
    nothing = schema.select(("id", "needed")).empty()
    assert source.write("t", schema, [Change(Op.UPDATE, "id", nothing)]).failures == ()


def test_many_refused_records_are_found(postgres_url: str, source: PostgreSQL) -> None:
    """Every third record is refused; the others are durable, in one transaction."""
    run(postgres_url, "CREATE TABLE t (id integer PRIMARY KEY, even integer CHECK (even % 3 > 0))")
    records = pl.DataFrame({"id": range(1000)}).with_columns(even=pl.col("id"))
    result = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", records)])
    assert [f.row for f in result.failures] == list(range(0, 1000, 3))
    assert rows(postgres_url, "SELECT count(*), count(DISTINCT xmin::text) FROM t")[0][0] == 666


@pytest.fixture
def reader(postgres_url: str) -> Iterator[dict[str, Any]]:
    """A user who may read and write the table t, but create nothing."""
    name = "reader_" + settings_of(postgres_url)["database"]
    run(
        postgres_url,
        f"CREATE USER {name} PASSWORD 'paß wörd'",
        "CREATE TABLE t (id integer PRIMARY KEY, open text, hidden text)",
        "CREATE TABLE secret (id integer PRIMARY KEY)",
        f"GRANT SELECT (id, open), INSERT (id, open), UPDATE (open), DELETE ON t TO {name}",
    )
    yield {**settings_of(postgres_url), "user": name, "password": "paß wörd"}
    run(postgres_url, f"DROP OWNED BY {name}", f"DROP USER {name}")


def test_a_user_with_few_rights(reader: dict[str, Any]) -> None:
    """Only what may be read is listed; a refused write is forbidden; without an own table fences are unknown."""
    with PostgreSQL(reader, Context()) as source:
        assert [found.name for found in source.objects()] == ["t"]
        schema = source.schema("t")
        assert schema.names == ("id", "open")
        with pytest.raises(ObjectMissing):
            source.schema("secret")
        fence, records = Fence("s", 1, 1, 1), pl.DataFrame({"id": [1], "open": ["x"]})
        assert source.applied(fence) is None
        assert not source.write("t", schema, [Change(Op.CREATE, "id", records)], fence).failures
        assert source.applied(fence) is None
        with pytest.raises(Forbidden, match="no permission"):
            source.write("t", schema, [Change(Op.UPDATE, "open", pl.DataFrame({"id": [2], "open": ["x"]}))])
        assert all(step.ok for step in source.check())


def test_own_table_can_be_declined(postgres_url: str) -> None:
    """With the setting off nothing is created, and nothing is claimed to be known."""
    run(postgres_url, "CREATE TABLE t (id integer PRIMARY KEY)")
    with PostgreSQL({**settings_of(postgres_url), "own_table": False}, Context()) as source:
        source.write("t", source.schema("t"), [Change(Op.CREATE, "id", pl.DataFrame({"id": [1]}))], Fence("s", 1, 1, 1))
        assert source.applied(Fence("s", 1, 1, 1)) is None
    assert rows(postgres_url, "SELECT relname FROM pg_class WHERE relname LIKE 'syncline%'") == []


def test_two_first_writers_of_a_scope(postgres_url: str) -> None:
    """When two workers write a scope for the first time, the one with the lower token is refused or comes first."""
    run(postgres_url, "CREATE TABLE t (id integer PRIMARY KEY)")
    settings, outcomes = settings_of(postgres_url), dict[int, str]()

    def work(token: int) -> None:
        with PostgreSQL(settings, Context()) as source:
            change = Change(Op.CREATE, "id", pl.DataFrame({"id": [token]}))
            try:
                source.write("t", source.schema("t"), [change], Fence("s", token, token, 0))
                outcomes[token] = "written"
            except Fenced:
                outcomes[token] = "fenced"

    threads = [threading.Thread(target=work, args=(token,)) for token in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = {token for token, outcome in outcomes.items() if outcome == "written"}
    assert 4 in written
    assert len(outcomes) == 4
    assert {row[0] for row in rows(postgres_url, "SELECT id FROM t")} == written


def test_a_lost_connection_can_be_tried_again(postgres_url: str, source: PostgreSQL) -> None:
    """A session that the server ends is reported as unavailable, and the next call works."""
    run(postgres_url, "CREATE TABLE t (id integer PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3)")
    schema = source.schema("t")
    pages = source.read(ReadRequest("t", schema, page_size=1))
    next(pages)
    run(postgres_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncline'")
    with pytest.raises(Unavailable):
        list(pages)
    assert len(list(source.read(ReadRequest("t", schema, page_size=1)))) >= 3


def test_locked_records_are_tried_again(postgres_url: str) -> None:
    """A record that another transaction keeps locked makes the write fail as a whole, for another try."""
    run(postgres_url, "CREATE TABLE t (id integer PRIMARY KEY, v integer)", "INSERT INTO t VALUES (1, 1)")
    change = Change(Op.UPDATE, "id", pl.DataFrame({"id": [1], "v": [2]}))
    with PostgreSQL(settings_of(postgres_url), Context(timeout=0.2)) as source, source.session() as other:
        schema = source.schema("t")
        other.exec_driver_sql("SELECT * FROM t FOR UPDATE")
        with pytest.raises(Unavailable, match="locked"):
            source.write("t", schema, [change])
    assert rows(postgres_url, "SELECT v FROM t") == [(1,)]


def test_a_worker_that_stands_still_loses_its_transaction(postgres_url: str) -> None:
    """The locks of a paused worker are freed by the server."""
    with PostgreSQL(settings_of(postgres_url), Context(timeout=0.1)) as source:

        def pause() -> None:
            with source.transaction() as paused:
                threading.Event().wait(0.6)
                paused.exec_driver_sql("SELECT 1")

        with pytest.raises(Unavailable, match="stood still"):
            pause()


def test_row_security_and_views_are_written_without_copy(postgres_url: str, reader: dict[str, Any]) -> None:
    """Tables with row security take no COPY and are written by statements, obeying the policy."""
    run(
        postgres_url,
        "CREATE TABLE r (id integer PRIMARY KEY, v text)",
        "ALTER TABLE r ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY odd ON r USING (id % 2 = 1)",
        f"GRANT ALL ON r TO {reader['user']}",
    )
    with PostgreSQL(reader, Context()) as source:
        records = pl.DataFrame({"id": [1, 2, 3], "v": ["a", "b", None]})
        with pytest.raises(Forbidden):
            source.write("r", source.schema("r"), [Change(Op.CREATE, "id", records)])
        assert not source.write("r", source.schema("r"), [Change(Op.CREATE, "id", records[[0, 2]])]).failures
    assert rows(postgres_url, "SELECT * FROM r ORDER BY 1") == [(1, "a"), (3, None)]


def test_session_settings(postgres_url: str) -> None:
    """Session settings are set, but not those that the exactness of values rests on."""
    options = {"statement_timeout": "50ms", "TimeZone": "Asia/Shanghai", "datestyle": "German"}
    with PostgreSQL({**settings_of(postgres_url), "options": options}, Context()) as source:
        with source.session() as connection:
            assert connection.exec_driver_sql("SHOW timezone").scalar() == "UTC"
        with pytest.raises(Unavailable, match="too long"), source.session() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(1)")
    for wrong in ([1], {"a; DROP": "x"}):
        source = PostgreSQL({**settings_of(postgres_url), "options": wrong}, Context())
        assert not list(source.check())[-1].ok
        with source, pytest.raises(Misconfigured, match="session settings"):
            source.objects()
    source = PostgreSQL({**settings_of(postgres_url), "options": {"no_such": "x"}}, Context())
    with source, pytest.raises(Misconfigured, match="no_such"):
        source.objects()


def test_without_password(postgres_url: str) -> None:
    """A missing password is told apart from a wrong one."""
    source = PostgreSQL({**settings_of(postgres_url), "password": ""}, Context())
    with source, pytest.raises(AuthFailed, match="asks for a password"):
        source.objects()


@pytest.mark.parametrize("batch", [1, 7])
def test_round_trip_of_any_records(postgres_url: str, source: PostgreSQL, batch: int) -> None:
    """Whatever texts are written, by COPY and by update, are read again."""
    run(postgres_url, "CREATE TABLE t (id integer PRIMARY KEY, v text)")
    schema = source.schema("t")
    for number, values in enumerate(texts(batch)):
        records = pl.DataFrame({"id": range(batch * number, batch * number + batch), "v": values})
        source.write("t", schema, [Change(Op.CREATE, "id", records)])
        again = records.with_columns(pl.col("v").reverse())
        source.write("t", schema, [Change(Op.UPDATE, "id", again)])
        assert source.lookup("t", schema, "id", again["id"]).sort("id").equals(again.sort("id"))


def test_encryption(postgres_server: servers.Server, postgres_url: str, tmp_path: Path) -> None:
    """Encryption is used, forced and checked against an authority and a name, as the settings say."""
    with encrypted_postgres(postgres_server.port, tmp_path) as (port, certificate):
        settings = {**settings_of(postgres_url), "port": port}

        def told(**changes: Any) -> tuple[bool, str]:
            with PostgreSQL({**settings, **changes}, Context()) as source:
                steps = list(source.check())
                if steps[-1].ok:
                    assert source.objects() == []
            return steps[-1].ok, str(next(step.detail for step in steps if step.name == "Encrypt the connection"))

        trusted = {"tls": "verify", "tls_ca": certificate}
        assert told() == (True, "The connection is encrypted.")
        assert told(tls="require") == (True, "The connection is encrypted.")
        assert told(**trusted, host="localhost") == (True, "The connection is encrypted.")
        untrusted = "The server's certificate is not trusted, or is made out for another name."
        assert told(tls="verify") == (False, untrusted)
        assert told(**trusted, host="127.0.0.1") == (False, untrusted)
        assert told(tls="verify", tls_ca="no PEM")[0] is False


def test_what_is_not_postgresql(
    mariadb_server: servers.Server, valkey_server: servers.Server, postgres_url: str
) -> None:
    """Another server behind the port is recognised, also by a call that skips the test."""
    for port in (mariadb_server.port, valkey_server.port):
        with PostgreSQL({**settings_of(postgres_url), "port": port}, Context(timeout=2)) as source:
            assert "is not PostgreSQL" in str(list(source.check())[-1].detail)
            with pytest.raises((Misconfigured, Unavailable)):
                source.objects()
