"""The connector of any SQLAlchemy dialect, against a real Firebird and a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import firebird.driver
import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from connectors.builtin import dialect_errors, dialect_values
from connectors.builtin.database_types import Column
from connectors.builtin.dialect import AnyDatabase
from connectors.builtin.dialect_url import arguments, check_password, file_of
from connectors.errors import AuthFailed, ConnectorError, Forbidden, Misconfigured, ObjectMissing, Unavailable
from connectors.spi import Connector, Context, ReadRequest
from connectors.testing import EXTREMES, ConnectorConformance, Settings
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.databases import everything, fill, rows, run
from tests.connectors.test_postgresql import NATIVE as POSTGRESQL

FIREBIRD: Mapping[FieldType, str] = {
    FieldType.TEXT: "varchar(200)",
    FieldType.INTEGER: "bigint",
    FieldType.DECIMAL: "decimal(18, 4)",
    FieldType.FLOAT: "double precision",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.TIME: "time",
    FieldType.LOCAL_DATETIME: "timestamp",
    FieldType.BINARY: "blob sub_type binary",
}


def firebird_file(path: Path) -> str:
    """Make an empty database that the engine opens in this process, and return its URL as SQLAlchemy takes it.

    Skips where Firebird is not installed (Debian: see tools/system-packages.sh), except in CI.
    """
    try:
        firebird.driver.create_database(str(path), user="SYSDBA", charset="UTF8").close()
    except Exception as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"Firebird is not installed: {missing}")
    return f"firebird+firebird://SYSDBA@/{path}?charset=UTF8"


class TestFirebird(ConnectorConformance):
    """Through its dialect, Firebird keeps every promise of a connector."""

    connector: type[Connector] = AnyDatabase
    types = tuple(FIREBIRD)
    real_system = "Firebird 3.0"

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        self.url = firebird_file(tmp_path / "shop.fdb")
        return {"url": "firebird+firebird://SYSDBA@/shop.fdb?charset=UTF8"}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        seed(self.url, self.object_name, schema, records, FIREBIRD)

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """Firebird keeps ten thousandths of a second, and 18 digits."""
        times = (dt.time(), dt.time(12, 30, 15, 100), dt.time(23, 59, 59, 999900))
        stamps = (dt.datetime(1900, 1, 1), dt.datetime(2024, 2, 29, 23, 59, 59, 999900))
        decimals = tuple(map(Decimal, ("0", "0.1", "-0.0001", "99999999999999.9999", "12345.6")))
        return {
            **EXTREMES, FieldType.TIME: times, FieldType.LOCAL_DATETIME: stamps, FieldType.DECIMAL: decimals,
        }  # fmt: skip

    def broken(self, settings: Settings) -> Sequence[Settings]:
        url = str(settings["url"])
        return [
            {"url": "no url"},
            {"url": url.replace("shop", "none")},
            {"url": "nosuch://a@/shop.fdb"},
            {"url": url.replace("SYSDBA", "SYSDBA:secret")},
            {"url": f"{url}&host=example.com"},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {"title": "x" * 41}


class TestPostgreSQL(ConnectorConformance):
    """Through its dialect, PostgreSQL keeps every promise of a connector."""

    connector: type[Connector] = AnyDatabase

    @pytest.fixture
    def settings(self, postgres_url: str) -> Settings:
        self.url = postgres_url
        return without_password(postgres_url)

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        fill(self.url, self.object_name, schema, records, POSTGRESQL)

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [{**settings, "password": "wrong"}, {"url": "postgresql+psycopg://u@10.0.0.1:5432/d"}]

    def refused(self) -> Mapping[str, Any]:
        return {"title": "x" * 41}


def without_password(url: str) -> Settings:
    parts = sa.make_url(url)
    return {"url": parts._replace(password=None).render_as_string(), "password": parts.password}


def seed(url: str, name: str, schema: Schema, records: pl.DataFrame, native: Mapping[FieldType, str]) -> None:
    """Make a table by plain SQL and fill it."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    columns = ", ".join(
        f"{f.name} {'varchar(40)' if f.length else native[f.type]}{'' if f.nullable else ' NOT NULL'}"
        for f in schema.fields
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({', '.join(schema.key)}))")
    with engine.begin() as connection:
        marks = ", ".join("?" * len(schema.fields))
        for row in records.iter_rows():
            connection.exec_driver_sql(f"INSERT INTO {name} VALUES ({marks})", row)
    engine.dispose()


@pytest.fixture
def firebird_url(tmp_path: Path) -> str:
    return firebird_file(tmp_path / "shop.fdb")


@pytest.fixture
def shop(firebird_url: str, tmp_path: Path) -> Iterator[Callable[..., AnyDatabase]]:
    """Return how to connect to a Firebird database with a view, a key that grows, and a table without a key."""
    run(
        firebird_url,
        "CREATE TABLE item (nr integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name varchar(20) NOT NULL,"
        " twice computed by (name || name), made timestamp DEFAULT current_timestamp)",
        "CREATE TABLE line (nr integer, code varchar(9) NOT NULL, UNIQUE (code))",
        "CREATE TABLE bare (nr integer, name varchar(9))",
        "CREATE VIEW items AS SELECT nr, name FROM item",
        "COMMENT ON COLUMN item.name IS 'What it is called'",
    )
    run(firebird_url, "INSERT INTO bare VALUES (2, 'b')", "INSERT INTO bare VALUES (1, 'a')")
    opened = []

    def connect(**settings: Any) -> AnyDatabase:
        given = {"url": "firebird+firebird://SYSDBA@/shop.fdb?charset=UTF8", **settings}
        opened.append(AnyDatabase(given, Context(file_roots=(tmp_path,), timeout=2)))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


def test_what_is_discovered(shop: Callable[..., AnyDatabase]) -> None:
    """Tables, views, keys, comments, and what the database fills in itself."""
    source = shop()
    found = {one.name: (one.kind, one.writable) for one in source.objects()}
    assert found == {
        "item": ("table", True), "line": ("table", True), "bare": ("table", True), "items": ("view", False),
    }  # fmt: skip
    item = source.schema("item")
    assert item.key == ("nr",)
    assert (item["name"].length, item["name"].nullable, item["name"].label) == (20, False, "What it is called")
    assert item["made"].has_default
    assert source.schema("line").key == ("code",)
    assert [bool(step.ok) for step in source.check()] == [True, True, True]
    source.open().close()
    with pytest.raises(ObjectMissing):
        source.schema("nothing")


def test_objects_without_a_key(shop: Callable[..., AnyDatabase]) -> None:
    """A view or table without a key is read by the fields that the settings name, and not without."""
    with pytest.raises(Misconfigured, match="has no key"):
        everything(shop(), "bare")
    source = shop(keys={"bare": "nr", "items": ["nr"]})
    assert source.schema("bare").key == ("nr",)
    assert everything(source, "bare")["nr"].to_list() == [1, 2]
    assert everything(source, "items").is_empty()
    with pytest.raises(Misconfigured, match="no field 'nix'"):
        shop(keys={"bare": ["nix"]}).schema("bare")


def test_keys_that_the_database_makes(shop: Callable[..., AnyDatabase]) -> None:
    """Keys that the database gives out are told; a record that it refuses has none."""
    source = shop()
    records = pl.DataFrame({"name": ["a", "b"]})
    (keys,) = source.write("item", source.schema("item"), [Change(Op.CREATE, "nr", records)]).keys
    assert keys is not None
    assert keys.to_list() == [1, 2]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"url": "nothing"}, "has to look like"),
        ({"url": "firebird+firebird://SYSDBA:secret@/shop.fdb"}, "must not hold the password"),
        ({"url": "firebird+firebird://SYSDBA@/shop.fdb?host=a"}, "must not hold 'host'"),
        ({"url": "nosuch://SYSDBA@8.8.8.8/shop"}, "is not installed"),
        ({"url": "firebird+firebird://SYSDBA@/none.fdb"}, "neither a host nor"),
        ({"url": "firebird+firebird://SYSDBA@/../shop.fdb"}, "neither a host nor"),
        ({"url": "firebird+firebird://u@10.1.2.3:3050/d"}, "10.1.2.3"),
        ({"url": "firebird+firebird://SYSDBA@/shop.fdb?pool_timeout=many", "keys": None}, "does not fit"),
    ],
)
def test_urls_that_cannot_work(shop: Callable[..., AnyDatabase], settings: Any, told: str) -> None:
    """Each ends in a sentence, and leads nowhere that is not allowed."""
    steps = list(shop(**settings).check())
    assert not steps[-1].ok
    assert told in str(steps[-1].detail)


@pytest.mark.parametrize(
    "url",
    [
        "firebird+firebird://SYSDBA@/shop.fdb?fb_client_library=/tmp/evil.so", "mysql+pymysql://u@8.8.8.8/d?local_infile=1",
        "mysql+pymysql://u@8.8.8.8/d?read_default_file=/tmp/my.cnf", "mysql+pymysql://u@8.8.8.8/d?init_command=DROP+TABLE+t",
        "mssql+pyodbc://u@8.8.8.8/d?driver=/tmp/evil.so", "mssql+pyodbc://u@8.8.8.8/d?Failover_Partner=10.0.0.1",
        "db2+ibm_db://u@8.8.8.8/d;HOSTNAME=10.0.0.1", "db2+ibm_db://u;HOSTNAME=10.0.0.1@8.8.8.8/d",
        "db2+ibm_db://u@8.8.8.8/d?Security=SSL%3BHOSTNAME%3D10.0.0.1", "oracle+oracledb://u@8.8.8.8/d?https_proxy=10.0.0.1",
        "oracle+oracledb://u@8.8.8.8/d?config_dir=/tmp", "snowflake://u@8.8.8.8/d?authenticator=http://10.0.0.1",
        "postgresql+psycopg://u@/shop.fdb", "mysql+pymysql:///shop.fdb", "sqlite://host/shop.fdb", "duckdb://host//etc/passwd",
        "duckdb:///shop.fdb?enable_external_access=true", "mysql+pymysql://u@8.8.8.8/d?client_flag=65536",
    ],
)  # fmt: skip
def test_urls_that_lead_elsewhere(shop: Callable[..., AnyDatabase], url: str) -> None:
    """Nothing of a URL leads to another server or file than it shows, or loads code, and no host is no local server."""
    with pytest.raises(Misconfigured):
        shop(url=url).target()


@pytest.mark.parametrize(
    ("url", "file"), [("sqlite:///a.db", "a.db"), ("sqlite://", None), ("x://h/a.db", None), ("no", None)]
)
def test_the_file_of_a_url(url: str, file: str | None) -> None:
    """A URL without a host names a file."""
    assert file_of(url) == file


def test_what_drivers_are_given() -> None:
    """A password adds nothing to a connection string, and SQL of a file's database reaches no other files."""

    class ByText(sa.engine.default.DefaultDialect):
        def create_connect_args(self, url: sa.URL) -> Any:
            return (f"DATABASE={url.database};PWD={url.password}",), {}

    url = sa.make_url("db2://u:x%3BHOSTNAME%3D10.0.0.1@8.8.8.8/d")
    with pytest.raises(Misconfigured, match="password"):
        check_password(ByText(), url)
    check_password(ByText(), url.set(password="x"))
    check_password(sa.engine.default.DefaultDialect(), url)
    assert arguments(sa.make_url("duckdb:///x.db")) == {"config": {"enable_external_access": False}}
    assert arguments(url) == {}


def test_a_file_that_is_not_released(shop: Callable[..., AnyDatabase], tmp_path: Path) -> None:
    """A link out of the folders that are released is not followed."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside.fdb"
    outside.write_bytes(b"x")
    (tmp_path / "link.fdb").symlink_to(outside)
    with pytest.raises(Forbidden):
        shop(url="firebird+firebird://SYSDBA@/link.fdb").target()


class _Told(Exception):
    def __init__(self, state: str) -> None:
        super().__init__("no")
        self.sqlstate = state


class IntegrityError(Exception):
    """As the drivers of PEP 249 call it."""


class OperationalError(Exception):
    """As the drivers of PEP 249 call it."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (_Told("08006"), Unavailable), (_Told("28000"), AuthFailed), (_Told("42S02"), ObjectMissing),
        (_Told("42501"), Forbidden), (_Told("99999"), Misconfigured), (OperationalError("x"), Unavailable),
        (sa.exc.NoSuchTableError("t"), ObjectMissing), (ValueError("x"), Misconfigured),
    ],
)  # fmt: skip
def test_errors_of_drivers(error: Exception, kind: type[Exception]) -> None:
    """The state says what to do, where there is one, else the kind of the error."""
    assert isinstance(dialect_errors.fault(error, "t"), kind)
    assert dialect_errors.refusal(error) is None


def test_records_that_are_refused() -> None:
    """What is about a record is told as that."""
    assert dialect_errors.refusal(_Told("23505"))
    assert dialect_errors.refusal(IntegrityError("x"))


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        (FieldType.INTEGER, Decimal(7), 7), (FieldType.INTEGER, Decimal("7.5"), None), (FieldType.FLOAT, 3, 3.0),
        (FieldType.FLOAT, Decimal("0.1"), 0.1), (FieldType.FLOAT, "x", None),
        (FieldType.BINARY, memoryview(b"x"), b"x"),
        (FieldType.DATE, dt.datetime(2024, 2, 29), dt.date(2024, 2, 29)),
        (FieldType.DATE, dt.datetime(2024, 2, 29, 1), None), (FieldType.TIME, dt.timedelta(hours=1), dt.time(1)),
        (FieldType.TIME, dt.timedelta(days=1), None), (FieldType.TEXT, 5, "5"), (FieldType.BOOLEAN, 1, True),
        (FieldType.BOOLEAN, 2, None), (FieldType.BOOLEAN, "x", None), (FieldType.TEXT, UUID(int=1), str(UUID(int=1))),
        (FieldType.DATETIME, dt.datetime(2024, 1, 1, 8, tzinfo=dt.timezone(dt.timedelta(hours=8))),
         dt.datetime(2024, 1, 1, tzinfo=dt.UTC)), (FieldType.DECIMAL, Decimal("NaN"), None),
    ],
)  # fmt: skip
def test_values_of_drivers(kind: FieldType, given: Any, read: Any) -> None:
    """A value of another type is read where that is exact, and told as bad otherwise."""
    found = dialect_values.decoded(Column(Field("x", kind), ""), [given, None])
    assert found.values.to_list() == [read, None]
    assert (found.bad is not None and found.bad[0]) == (read is None)


@given(
    st.one_of(
        st.decimals(allow_nan=False, allow_infinity=False), st.dates(), st.times(), st.datetimes(), st.integers(),
        st.text(), st.none(), st.datetimes(timezones=st.just(dt.UTC)),
    )
)  # fmt: skip
def test_places_survive_as_json(value: Any) -> None:
    """What a page ends with is the same value after it was kept as JSON."""
    kinds = {
        Decimal: FieldType.DECIMAL, dt.date: FieldType.DATE, dt.time: FieldType.TIME, int: FieldType.INTEGER,
        dt.datetime: FieldType.DATETIME if getattr(value, "tzinfo", None) else FieldType.LOCAL_DATETIME,
    }  # fmt: skip
    column = Column(Field("x", kinds.get(type(value), FieldType.TEXT)), "")
    assert dialect_values.value_of(column, json.loads(json.dumps(dialect_values.text_of(value)))) == value


def test_own_sql_of_firebird_changes_nothing(shop: Callable[..., AnyDatabase], firebird_url: str) -> None:
    """A procedure that writes can be selected from, but not in a transaction that only reads; tables are written."""
    run(
        firebird_url,
        "CREATE PROCEDURE sold RETURNS (nr integer) AS BEGIN INSERT INTO bare VALUES (9, 'sold');"
        " FOR SELECT nr FROM bare INTO :nr DO SUSPEND; END",
    )
    queries = {"sold": {"sql": "SELECT nr FROM sold", "key": "nr"}, "known": {"sql": "SELECT * FROM bare", "key": "nr"}}
    source = shop(queries=queries)
    for _ in range(2):  # the second time with a connection that was used before
        with pytest.raises(ConnectorError, match="read"):
            everything(source, "sold")
        schema = source.schema("known")
        assert [row for page in source.read(ReadRequest("known", schema)) for row in page.records["nr"]] == [1, 2]
        with source.session("known") as connection, pytest.raises(sa.exc.DatabaseError, match="read-only transaction"):
            connection.exec_driver_sql("INSERT INTO bare VALUES (8, 'x')")
    new = pl.DataFrame({"code": ["a"], "nr": [1]})
    source.write("line", source.schema("line"), [Change(Op.CREATE, "code", new)])
    assert rows(firebird_url, "SELECT nr FROM bare ORDER BY nr") == [(1,), (2,)]
    assert rows(firebird_url, "SELECT code FROM line") == [("a",)]
