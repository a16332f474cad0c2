"""Keys that MariaDB and SQLite make for many records at once are those of the records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin import mysql_numbers, sqlite_write
from connectors.builtin.database_idle import KEPT
from connectors.builtin.mysql import MySQL
from connectors.builtin.sqlite import SQLite
from connectors.spi import Connector, Context
from rules.schema import Change, Op
from tests.connectors.databases import everything, rows, run, settings_of

MANY = 300
BAD = (7, 8, 250)
"""These have a name that is there already."""


@pytest.fixture
def source(mariadb_url: str) -> Iterator[MySQL]:
    """The connector on a fresh database, with numbers three apart."""
    with MySQL({**settings_of(mariadb_url), "options": {"auto_increment_increment": 3}}, Context()) as source:
        yield source


def named(count: int, bad: tuple[int, ...] = ()) -> pl.DataFrame:
    """Return records without keys."""
    return pl.DataFrame({"name": ["0" if row in bad else f"{row}" for row in range(count)]})


def made(source: Connector, url: str, records: pl.DataFrame) -> list[Any]:
    """Write records; check that each has the key that is told, and that the refused ones have none."""
    before = {name for _, name in rows(url, "SELECT id, name FROM t")}
    result = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", records)])
    (keys,) = result.keys
    assert keys is not None
    assert [row for row, key in enumerate(keys) if key is None] == [failure.row for failure in result.failures]
    told = {name: key for name, key in zip(records["name"], keys, strict=True) if key is not None}
    found = {name: key for key, name in rows(url, "SELECT id, name FROM t") if name not in before}
    assert told == found
    return keys.to_list()


@pytest.mark.parametrize("way", ["load", "statements", "one by one"])
def test_numbers_of_mariadb(source: MySQL, mariadb_url: str, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """A load, statements of many rows and single ones: the same records have keys, and others have none."""
    monkeypatch.setattr(mysql_numbers, "_HELD", 1 if way == "load" else -1)
    if way == "one by one":
        monkeypatch.setattr(mysql_numbers, "how", lambda *_: None)
    run(mariadb_url, "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, name varchar(9) UNIQUE) AUTO_INCREMENT = 50")
    keys = made(source, mariadb_url, named(MANY))
    assert keys == list(range(keys[0], keys[0] + 3 * MANY, 3))
    moved = named(MANY, BAD).with_columns(
        name=pl.when(pl.col("name") == "0").then("name").otherwise("x" + pl.col("name"))
    )
    assert [row for row, key in enumerate(made(source, mariadb_url, moved)) if key is None] == [0, *BAD]


def test_tables_of_mariadb_whose_numbers_are_not_certain(source: MySQL, mariadb_url: str) -> None:
    """Where a trigger gives numbers, rows are spread over parts or the key is no number, each record is asked for."""
    table = "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, name varchar(9)"
    trigger = "CREATE TRIGGER tens BEFORE INSERT ON t FOR EACH ROW SET NEW.name = CONCAT(NEW.name, '')"
    for statements in (
        [f"{table})", trigger],
        [f"{table}) PARTITION BY HASH (id) PARTITIONS 3"],
        ["CREATE TABLE t (id uuid DEFAULT uuid() PRIMARY KEY, name varchar(9))"],
    ):
        run(mariadb_url, "DROP TABLE IF EXISTS t", *statements)
        with MySQL(settings_of(mariadb_url), Context()) as fresh:
            made(fresh, mariadb_url, named(120))


@pytest.mark.parametrize("loads", [True, False])
def test_numbers_that_others_gave(
    source: MySQL, mariadb_url: str, monkeypatch: pytest.MonkeyPatch, *, loads: bool
) -> None:
    """Numbers that are not where they have to be are not believed: a trigger that nobody was told of gave them."""
    monkeypatch.setattr(mysql_numbers, "how", lambda *_: mysql_numbers.How(3, loads=loads))
    run(
        mariadb_url,
        "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, name varchar(9))",
        "CREATE TRIGGER tens BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 10 * CAST(NEW.name AS int) + 10",
    )
    result = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", named(120))])
    assert not result.failures
    assert len(rows(mariadb_url, "SELECT id FROM t")) == 120
    (keys,) = result.keys
    assert keys is not None
    assert dict(rows(mariadb_url, "SELECT id, name FROM t")) == dict(zip(keys, named(120)["name"], strict=True))


def test_trigger_made_while_a_connection_is_kept(mariadb_url: str) -> None:
    """What the run before knew of the table is not believed: each record has the key that it got since then."""
    run(mariadb_url, "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, name varchar(9))")
    turn = "CREATE TRIGGER turn BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 10000 - CAST(NEW.name AS int)"
    KEPT.begin(60)
    try:
        for statements in ((), ("DELETE FROM t", turn)):
            run(mariadb_url, *statements)
            with MySQL(settings_of(mariadb_url), Context()) as source:
                made(source, mariadb_url, named(20))
        assert rows(mariadb_url, "SELECT max(id) FROM t") == [(10000,)]
    finally:
        KEPT.end()


def test_keys_that_nobody_asked_for(source: MySQL, mariadb_url: str) -> None:
    """An invisible key that the database adds by itself, as MySQL 8 does, is a key like any other."""
    key = "my_row_id bigint unsigned NOT NULL AUTO_INCREMENT INVISIBLE PRIMARY KEY"
    run(mariadb_url, f"CREATE TABLE t ({key}, name varchar(9))")
    assert source.schema("t").key == ("my_row_id",)
    (keys,) = source.write("t", source.schema("t"), [Change(Op.CREATE, "my_row_id", named(MANY))]).keys
    assert keys is not None
    found = everything(source, "t")
    assert dict(found.rows()) == dict(zip(keys, named(MANY)["name"], strict=True))
    assert source.lookup("t", source.schema("t"), "my_row_id", keys[:2]).height == 2


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[SQLite, str]]:
    """The connector on an empty file, and its URL; some hundred records are staged."""
    monkeypatch.setattr(sqlite_write, "_STAGED", 100)
    (tmp_path / "data.db").touch()
    with SQLite({"path": "data.db"}, Context(file_roots=(tmp_path,))) as source:
        yield source, f"sqlite:///{tmp_path / 'data.db'}"


@pytest.mark.parametrize("kind", ["", "AUTOINCREMENT"])
def test_numbers_of_sqlite(file: tuple[SQLite, str], kind: str) -> None:
    """Rows are numbered behind the last one, also behind those that an AUTOINCREMENT remembers."""
    source, url = file
    run(url, f"CREATE TABLE t (id INTEGER PRIMARY KEY {kind}, name TEXT UNIQUE)")
    assert made(source, url, named(MANY)) == list(range(1, MANY + 1))
    run(url, "DELETE FROM t WHERE id > 100")
    first = MANY + 1 if kind else 101
    records = named(MANY, BAD).with_columns(
        name=pl.when(pl.col("name") == "0").then("name").otherwise("x" + pl.col("name"))
    )
    keys = made(source, url, records)
    assert keys[1] == first + 1
    assert [row for row, key in enumerate(keys) if key is None] == [0, *BAD]


def test_tables_of_sqlite_whose_numbers_are_not_certain(file: tuple[SQLite, str]) -> None:
    """The last number is given, a trigger may take the next one, a default makes the key: one by one, then."""
    source, url = file
    for statements in (
        ["CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)", f"INSERT INTO t VALUES ({2**63 - 1}, 'last')"],
        [
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)",
            "CREATE TRIGGER more AFTER INSERT ON t WHEN NEW.name = '3' BEGIN INSERT INTO t (name) VALUES ('more'); END",
        ],
        ["CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL DEFAULT (hex(randomblob(8))), name TEXT)"],
    ):
        run(url, "DROP TABLE IF EXISTS t", *statements)
        records = named(20)
        (keys,) = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", records)]).keys
        assert keys is not None
        found = {name: key for key, name in rows(url, "SELECT id, name FROM t")}
        assert all(found[name] == key for name, key in zip(records["name"], keys, strict=True))
