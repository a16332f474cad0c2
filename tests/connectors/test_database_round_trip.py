"""Any records of any type come back from each database as they were written, or are refused; never changed."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin.database import Database
from connectors.builtin.mysql import MySQL
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.sqlite import SQLite
from connectors.casting import canonical
from connectors.spi import Context
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors import test_mysql, test_postgresql, test_sqlite
from tests.connectors.databases import everything, run, settings_of

SCHEMA = Schema((Field("id", FieldType.INTEGER), *(Field(f"f_{kind}", kind) for kind in FieldType)), ("id",))
json_values = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab客"\\', max_size=3), inner, max_size=3),
    max_leaves=6,
)
VALUES = {
    FieldType.TEXT: st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    FieldType.DECIMAL: st.integers(-(10**22), 10**22).map(lambda n: Decimal(n).scaleb(-5)),
    FieldType.FLOAT: st.floats(),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATE: st.dates(dt.date(1000, 1, 1)),
    FieldType.TIME: st.times(),
    FieldType.DATETIME: st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2037, 1, 1), timezones=st.just(dt.UTC)),
    FieldType.LOCAL_DATETIME: st.datetimes(dt.datetime(1000, 1, 1)),
    FieldType.BINARY: st.binary(max_size=12),
    FieldType.JSON: json_values.map(json.dumps).map(canonical),
}
record = st.fixed_dictionaries({f"f_{kind}": st.none() | VALUES[kind] for kind in FieldType})
records = st.lists(record, min_size=1, max_size=6)


@pytest.fixture(scope="module")
def postgresql(module_postgres_url: str) -> Iterator[Database]:
    create(module_postgres_url, test_postgresql.NATIVE)
    with PostgreSQL(settings_of(module_postgres_url), Context()) as source:
        yield source


@pytest.fixture(scope="module")
def mysql(module_mariadb_url: str) -> Iterator[Database]:
    create(module_mariadb_url, test_mysql.NATIVE)
    with MySQL(settings_of(module_mariadb_url), Context()) as source:
        yield source


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("sqlite")
    (folder / "any.db").touch()
    create(f"sqlite:///{folder / 'any.db'}", test_sqlite.NATIVE)
    with SQLite({"path": "any.db"}, Context(file_roots=(folder,))) as source:
        yield source


def create(url: str, native: Mapping[FieldType, str]) -> None:
    """Create a table with a column of each type."""
    columns = ", ".join(f"f_{kind} {native[kind].replace('20, 4', '30, 5')}" for kind in FieldType)
    run(url, f"CREATE TABLE t (id bigint PRIMARY KEY, {columns})")


@pytest.mark.parametrize("name", ["postgresql", "mysql", "sqlite"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=records)
def test_written_and_read(request: pytest.FixtureRequest, name: str, data: list[dict[str, object]]) -> None:
    """What is not refused is read again exactly, after a create and after an update, and no record is missing."""
    source: Database = request.getfixturevalue(name)
    schema = source.schema("t")
    numbered = [{"id": i, **record} for i, record in enumerate(data)]
    frame = pl.DataFrame(numbered, schema=schema.dtypes())
    with contextlib.suppress(StopIteration), source.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM t")
    _check(source, frame, source.write("t", schema, [Change(Op.CREATE, "id", frame)]).failures, schema.empty())
    before = everything(source, "t").sort("id")
    moved = before.with_columns(pl.exclude("id").reverse())
    _check(source, moved, source.write("t", schema, [Change(Op.UPDATE, "id", moved)]).failures, before)


def _check(source: Database, written: pl.DataFrame, failures: object, before: pl.DataFrame) -> None:
    refused = {written["id"][failure.row] for failure in failures}  # type: ignore[attr-defined]
    expected = pl.concat([written.filter(~pl.col("id").is_in(refused)), before.filter(pl.col("id").is_in(refused))])
    found = everything(source, "t").sort("id")
    assert found.equals(expected.sort("id")), (found, expected)
    for number in refused:
        row = written.filter(pl.col("id") == number).row(0, named=True)
        assert _is_reason(row), row


def _is_reason(row: dict[str, object]) -> bool:
    texts = [value for value in row.values() if isinstance(value, str)]
    number, decimal = row["f_float"], row["f_decimal"]
    return (
        any("\0" in text for text in texts)
        or (isinstance(number, float) and number - number != 0)
        or (isinstance(decimal, Decimal) and len(str(abs(decimal)).replace(".", "").strip("0")) > 15)
        or row["f_json"] is not None
    )
