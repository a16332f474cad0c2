"""Digests that PostgreSQL makes of records, and whole numbers that it puts together itself."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest

from connectors.builtin import postgresql_flavor
from connectors.builtin.postgresql import PostgreSQL
from connectors.spi import DIGEST, Context, ReadRequest
from rules.schema import Schema
from tests.connectors.databases import run, settings_of

TABLE = """CREATE TABLE t (id bigint PRIMARY KEY, small smallint NOT NULL, a text, b jsonb, f float8, r real,
n numeric(10, 2), m numeric, j json, d date, ts timestamptz, x bytea, u uuid, arr int[], ch char(5), iv interval,
bo boolean, inet inet)"""
ROWS = """INSERT INTO t SELECT i, -i, 'A' || i, '{"a": 1.0}', 0, 1.5, 1, 1.10, '{"b": 1, "a": 2}',
'2024-01-01',
'2024-01-01T00:00Z', 'abc', '00000000-0000-0000-0000-000000000001', '{1,2}', 'ab', '1 day', true, '10.0.0.1/8'
FROM generate_series(1, 1200) i"""
READ_AS_ANOTHER = (
    "a = 'a1'", "a = NULL", "b = '{\"a\": 1.00}'", "f = '-0'", "r = 1.25", "n = 2", "j = '{\"a\": 3}'", "d = d + 1",
    "ts = ts + '1 microsecond'", "x = 'abd'", "u = NULL", "arr = '{2,1}'", "iv = '24 hours'", "bo = NULL",
    "inet = '10.0.0.2/8'", "small = 7",
)  # fmt: skip


@pytest.fixture
def place(postgres_url: str) -> Iterator[PostgreSQL]:
    run(postgres_url, TABLE, ROWS)
    with PostgreSQL(settings_of(postgres_url), Context()) as connector:
        yield connector


def digests(place: PostgreSQL, size: int = 500) -> pl.DataFrame:
    schema = place.schema("t")
    made = place.digest("t", tuple(name for name in schema.names if name != "id"))
    assert made is not None
    light = Schema((schema["id"], made), ("id",))
    pages = [page.records for page in place.read(ReadRequest("t", light, page_size=size))]
    whole = Schema((*schema.fields, made), ("id",))
    looked_up = place.lookup("t", whole, "id", pl.Series("id", [1, 2]))
    found = pl.concat(pages)
    assert looked_up.sort("id")[DIGEST].to_list() == found[DIGEST].head(2).to_list()
    return found


def test_what_is_read_as_another_value_has_another_digest(place: PostgreSQL, postgres_url: str) -> None:
    """Each change of a value of any type changes the digest of its record, and of no other one."""
    before = digests(place)
    assert before["id"].to_list() == list(range(1, 1201))
    assert before[DIGEST].n_unique() == 1200
    for change in READ_AS_ANOTHER:
        run(postgres_url, f"UPDATE t SET {change} WHERE id = 1")
        after = digests(place)
        assert (before[DIGEST] != after[DIGEST]).arg_true().to_list() == [0], change
        before = after


@pytest.mark.parametrize("size", [500, 1200, 5000])
def test_whole_numbers_come_as_they_would_one_by_one(
    place: PostgreSQL, monkeypatch: pytest.MonkeyPatch, size: int, postgres_url: str
) -> None:
    """Keys and small numbers are the same, in the same order and pages, however the server sends them."""
    run(postgres_url, "UPDATE t SET id = -9223372036854775808 WHERE id = 7", "UPDATE t SET small = -32768 WHERE id = 8")
    request = ReadRequest("t", place.schema("t").select(("small", "id")), page_size=size)
    found = [(page.records.rows(), page.position) for page in place.read(request)]
    monkeypatch.setattr(postgresql_flavor, "numbers", lambda *_: None)
    assert found == [(page.records.rows(), page.position) for page in place.read(request)]
    assert sum(len(rows) for rows, _ in found) == 1200


def test_an_empty_table_has_no_digests(place: PostgreSQL, postgres_url: str) -> None:
    """Nothing is read from an empty table, and nothing breaks."""
    run(postgres_url, "DELETE FROM t")
    request = ReadRequest("t", place.schema("t").select(("id",)), page_size=1000)
    assert [page.records.height for page in place.read(request)] == [0]


def test_there_are_no_digests_of_what_is_not_there(place: PostgreSQL) -> None:
    """Of no fields, and of fields that the table does not have, no digest can be made."""
    assert place.digest("t", ()) is None
    assert place.digest("t", ("a", "gone")) is None
