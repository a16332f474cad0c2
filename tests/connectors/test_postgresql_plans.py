"""PostgreSQL finds records by an index before it knows anything of a table, and ends what stands still."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import psycopg
import pytest
import sqlalchemy as sa

from connectors.builtin import database_read
from connectors.builtin.postgresql import PostgreSQL
from connectors.spi import Context, ReadRequest
from tests.connectors.databases import run, settings_of

ROWS = 30_000


@pytest.fixture(scope="module")
def unknown(module_postgres_url: str) -> Iterator[PostgreSQL]:
    """A table of which the planner thinks, as of one that nobody has analysed, that its index leads all over it."""
    run(
        module_postgres_url,
        "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET random_page_cost = 1000', current_database()); END$$",
        "CREATE TABLE fresh (id bigint PRIMARY KEY, note text NOT NULL) WITH (autovacuum_enabled = off)",
        f"INSERT INTO fresh SELECT 2 * n, repeat('x', 200) FROM generate_series({ROWS}, 1, -1) n",
    )
    with PostgreSQL(settings_of(module_postgres_url), Context()) as connector:
        yield connector


def scans(url: str) -> int:
    with psycopg.connect(sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)) as one:
        one.execute("SELECT pg_stat_clear_snapshot()")
        row = one.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'fresh'").fetchone()
        assert row is not None
        return int(row[0])


def noted(source: PostgreSQL) -> None:
    """Have what the connection counted told to the others at once."""
    with source.session() as connection:
        connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))


def test_pages_and_lookups(unknown: PostgreSQL, module_postgres_url: str) -> None:
    """Pages in the order of the key, and many records by key, are found by the index: no read of the whole table."""
    schema, before = unknown.schema("fresh"), scans(module_postgres_url)
    read = pl.concat(p.records for p in unknown.read(ReadRequest("fresh", schema, page_size=5_000)))
    assert read["id"].to_list() == list(range(2, 2 * ROWS + 1, 2))
    wanted = pl.Series("id", range(2, ROWS, 4))
    assert set(unknown.lookup("fresh", schema, "id", wanted)["id"]) == set(wanted)
    noted(unknown)
    assert scans(module_postgres_url) == before


def test_without_planner_settings(unknown: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose planner has no such settings is asked all the same, and not told of them again."""
    monkeypatch.setattr("connectors.builtin.postgresql_flavor._BY_INDEX", "SELECT set_config('nothing', 'off', true)")
    schema = unknown.schema("fresh")
    unknown.close()
    for _ in range(2):
        assert sum(p.records.height for p in unknown.read(ReadRequest("fresh", schema))) == ROWS
    unknown.close()


def test_nothing_found(unknown: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing found is nothing, in the fields' types, and not asked for a second time as texts."""
    monkeypatch.setattr("connectors.builtin.database_flavor.Flavor.fetch_rows", None)
    schema = unknown.schema("fresh")
    for first in (2 * ROWS + 1, 1):  # behind all that there are, and between them
        absent = pl.Series("id", range(first, first + 2 * database_read.BULK, 2))
        assert unknown.lookup("fresh", schema, "id", absent).equals(schema.empty())


def test_writing_is_bounded(unknown: PostgreSQL) -> None:
    """A transaction that writes cannot keep others waiting for ever, whatever becomes of this process."""
    names = ("lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
    asked = sa.select(*(sa.func.current_setting(name) for name in names))
    with unknown.transaction() as connection:
        assert connection.execute(asked).one() == ("30s", "1min", "1h")
    with unknown.session() as connection:
        assert connection.execute(asked).one() == ("0", "0", "0")
