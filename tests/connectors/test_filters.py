"""Reading with a filter and asking the condition of what arrives is asking it of everything: on real databases."""

# ruff: noqa: E501 - the values of one kind a line read best

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pymysql
import pytest

from connectors.builtin.mysql import MySQL
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.sqlite import SQLite
from connectors.spi import Connector, Context, ReadRequest
from rules.language import ExpressionError, Program, compile_expression
from rules.language.sql import push_down
from rules.schema import FieldType, Schema
from tests.connectors.databases import settings_of
from tests.rules.language.expressions import DATES, FLOATS, INTEGERS, TEXTS
from tests.rules.language.sql.conditions import Conditions

QUICK, FULL, ROWS = 25, 1500, 120

SQLITE = """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, code TEXT COLLATE NOCASE, any_, kind UUID, qty INTEGER, n BIGINT,
  price DECIMAL(12, 4), free NUMERIC, rate REAL, active BOOLEAN, born DATE, due DATE, seen TIMESTAMPTZ, local DATETIME, opens TIME,
  data JSON, bytes BLOB)"""
POSTGRESQL = """CREATE TABLE t (id bigint PRIMARY KEY, name text, code varchar(60) , fixed char(5), kind uuid,
  qty bigint, n smallint, price numeric(16, 4), free numeric, rate double precision, single real, active boolean, born date, due date,
  seen timestamptz, local timestamp, opens time, data jsonb, loose json, list int[], bytes bytea)"""
MARIADB = """CREATE TABLE t (id bigint PRIMARY KEY, name text COLLATE utf8mb4_general_ci, code varchar(60) COLLATE utf8mb4_unicode_ci,
  latin varchar(20) CHARACTER SET latin1, fixed char(5), kind enum('new', 'open', 'A', 'a b'), qty bigint, n tinyint unsigned,
  huge bigint unsigned, price decimal(16, 4), rate double, single float, active boolean, born date, due date NOT NULL,
  seen timestamp(6) NULL, local datetime(6), opens time(6), data json, bits bit(1), bytes varbinary(20))"""

_UUID = "00000000-0000-0000-0000-00000000000"
_STAMPS = (
    "1970-01-02 00:00:00",
    "1999-12-31 23:59:59.5",
    "2024-02-29 12:00:00",
    "2024-01-31 08:05:09",
    "2037-01-01 00:00:00.000001",
)
_OLD = ("0001-01-01 00:00:00", "1600-01-01 00:00:00.000001", "2300-01-01 00:00:00.5", "9999-12-31 23:59:59")
_DAYS = tuple(str(day) for day in DATES)
_TEXTS = tuple(text for text in TEXTS if "\x00" not in text)
_SHORT = tuple(text for text in _TEXTS if len(text) <= 5)
_PRICES = (
    "0",
    "1",
    "-1",
    "12.3456",
    "0.0001",
    "-0.5",
    "2.675",
    "100",
    "3.3333",
    "99999999999.9999",
    "123456789012.1234",
)
_JSONS = ('{"tier":"gold","n":5}', "[]", "null", '"\\u00e9"', "[" * 20 + "]" * 20)
_FINITE = tuple(number for number in FLOATS if number - number == 0)
_SMALL = (0, 1, 2, 3, 5, 40, 127)


@dataclass(frozen=True)
class Place:
    """A database with a table of difficult values."""

    source: Connector
    schema: Schema
    records: pl.DataFrame
    rejects: frozenset[str]

    @classmethod
    def of(cls, source: Connector) -> Place:
        schema = source.schema("t")
        pages = list(source.read(ReadRequest("t", schema)))
        rejects = frozenset(reject.place for page in pages for reject in page.rejects)
        return cls(source, schema, pl.concat([page.records for page in pages]), rejects)


def drawn(seed: int, pools: dict[str, tuple[Any, ...]], nulls: frozenset[str]) -> list[tuple[Any, ...]]:
    """Return rows of random values, with and without nulls."""
    dice = random.Random(seed)
    return [
        (
            number,
            *(None if name in nulls and dice.random() < 0.12 else dice.choice(pool) for name, pool in pools.items()),
        )
        for number in range(ROWS)
    ]


def sqlite_rows(seed: int) -> list[tuple[Any, ...]]:
    """Values as they should be, and values of other types wherever SQLite takes them."""
    stamps = (*_STAMPS, *_OLD, "2024-01-31T08:05:09", "2024-01-31 08:05", "2024-01-31 08:05:09+02:00")
    pools: dict[str, tuple[Any, ...]] = {
        "name": TEXTS, "code": (*TEXTS, b"\xff"), "any_": (*TEXTS, 12, 1.5), "kind": ("!", "12", "0012", "abc", "1e3", "Z"),
        "qty": INTEGERS, "n": (*_SMALL, "x", b"\xff", 1.5), "price": (0, 1, -1, 12.3456, 0.0001, 2.675, 1.23456, 99999999999.9999, 10**17),
        "free": (0, 1, -2, 0.1, 10**18, 7), "rate": FLOATS, "active": (0, 1, 0, 1, 2), "born": (*_DAYS, "2024-1-5", "2024-02-30"),
        "due": _DAYS, "seen": tuple(s + zone for s in stamps for zone in ("", "Z", "+00:00")), "local": stamps,
        "opens": ("09:30:00", "23:59:59.999999", "12:30"), "data": _JSONS, "bytes": (b"", b"abc"),
    }  # fmt: skip
    usual = pools | {
        "name": _TEXTS, "code": _TEXTS, "any_": _TEXTS, "kind": ("!", "abc", "Z"), "n": _SMALL, "price": (0, 1, -1, 12.3456, 2.675, 10**17),
        "free": (0, 1, -2, 7), "active": (0, 1), "born": _DAYS, "seen": ("1999-12-31 23:59:59", "2024-01-31 08:05:09Z"),
        "local": ("1999-12-31 23:59:59", "2024-01-31T08:05:09"), "opens": ("09:30:00",), "data": ("[]", "null"),
    }  # fmt: skip
    wild, plain = (drawn(seed, values, frozenset(pools)) for values in (pools, usual))
    return [wild[number] if number % 3 == 0 else plain[number] for number in range(ROWS)]


def postgresql_rows(seed: int) -> list[tuple[Any, ...]]:
    """Infinite dates, years before Christ, NaN and numbers of too many digits among the ordinary."""
    pools: dict[str, tuple[Any, ...]] = {
        "name": _TEXTS, "code": _TEXTS, "fixed": _SHORT, "kind": (_UUID + "1", _UUID + "2"), "qty": INTEGERS, "n": _SMALL,
        "price": (*_PRICES, "NaN"), "free": ("0", "1.5", "NaN", "1e30", "0.0000000000000000001", "Infinity"), "rate": FLOATS,
        "single": (0.1, 1.5, float("nan")), "active": (True, False), "born": (*_DAYS, "infinity", "0044-03-15 BC"),
        "due": _DAYS, "seen": (*(s + "+00" for s in (*_STAMPS, *_OLD)), "-infinity"), "local": (*_STAMPS, *_OLD, "infinity"),
        "opens": ("09:30", "24:00"), "data": _JSONS, "loose": (*_JSONS, '"\\ud800"'), "list": ("{1,2}", "{}"), "bytes": (b"", b"abc\x00"),
    }  # fmt: skip
    return drawn(seed, pools, frozenset(pools))


def mariadb_rows(seed: int) -> list[tuple[Any, ...]]:
    """Days of zero, durations, numbers beyond 64 bits and NULs among the ordinary."""
    days = tuple(day for day in _DAYS if day >= "1000")
    stamps = tuple(stamp for stamp in _STAMPS if stamp < "2038")
    pools: dict[str, tuple[Any, ...]] = {
        "name": TEXTS, "code": TEXTS, "latin": ("a", "A", "a ", "é", "e"), "fixed": _SHORT, "kind": ("new", "open", "A", "a b"),
        "qty": INTEGERS, "n": (*_SMALL, 255), "huge": (0, 5, 2**64 - 1, 2**63), "price": _PRICES, "rate": _FINITE,
        "single": (0.1, 1.5, 1e30), "active": (0, 1, 0, 1, 2), "born": (*days, "0000-00-00", "2024-00-10", "2024-02-30"),
        "due": (*days, "0000-00-00"), "seen": stamps, "local": (*_STAMPS, "1600-01-01 00:00:00.000001", "0000-00-00 00:00:00"),
        "opens": ("09:30:00", "100:00:00", "-01:00:00"), "data": _JSONS, "bits": (0, 1), "bytes": (b"", b"abc\x00"),
    }  # fmt: skip
    return drawn(seed, pools, frozenset(pools) - {"due"})


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A table of each database."""
    makers = {"sqlite": sqlite_place, "postgresql": postgresql_place, "mariadb": mariadb_place}
    with makers[request.param](request, tmp_path) as source:
        yield Place.of(source)


def sqlite_place(_request: pytest.FixtureRequest, folder: Path) -> Connector:
    """Fill a file."""
    with sqlite3.connect(folder / "t.db") as connection:
        connection.execute(SQLITE)
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * 18)})", sqlite_rows(7))
    connection.close()
    return SQLite({"path": str(folder / "t.db")}, Context(file_roots=(folder,)))


def postgresql_place(request: pytest.FixtureRequest, _folder: Path) -> Connector:
    """Fill a database."""
    settings = settings_of(request.getfixturevalue("postgres_url"))
    names = {"host": "host", "port": "port", "dbname": "database", "user": "user", "password": "password"}
    with psycopg.connect(**{name: settings[key] for name, key in names.items()}) as connection:
        connection.execute(POSTGRESQL)
        holes = ", ".join(["%s"] * 21)
        connection.cursor().executemany(f"INSERT INTO t VALUES ({holes})", postgresql_rows(7))
    return PostgreSQL(settings, Context())


def mariadb_place(request: pytest.FixtureRequest, _folder: Path) -> Connector:
    """Fill a database, by a session that allows days that do not exist."""
    settings = settings_of(request.getfixturevalue("mariadb_url"))
    with pymysql.connect(**settings, charset="utf8mb4", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        cursor.execute(MARIADB)
        cursor.executemany(f"INSERT INTO t VALUES ({', '.join(['%s'] * 21)})", mariadb_rows(7))
    return MySQL(settings, Context())


def compare(place: Place, seed: int, count: int) -> tuple[int, list[str]]:
    """Return how many records were left out of `count` reads, and where a read came to another end."""
    conditions = Conditions(seed, place.schema, lambda field: place.records[field.name].to_list() or [None], wild=False)
    dice, left_out, different, done = random.Random(seed), 0, [], 0
    while done < count:
        text = conditions.condition()
        try:
            program = compile_expression(text, place.schema, expect=FieldType.BOOLEAN)
        except ExpressionError:
            continue
        pushed = push_down(text, place.schema)
        request = ReadRequest("t", place.schema, page_size=dice.choice((7, 50, 1000)), filter=pushed.filter)
        asked = place.source.filterable(request)
        if asked is None:
            continue
        done += 1
        found, problem = one(place, replace(request, filter=asked), program)
        left_out += found
        different += [f"{text} -> {pushed.words}: {problem}"] if problem else []
    return left_out, different


def one(place: Place, request: ReadRequest, program: Program) -> tuple[int, str]:
    """Return how many records a read leaves out, and what is different."""
    pages = list(place.source.read(request))
    found = pl.concat([page.records for page in pages])
    rejects = frozenset(reject.place for page in pages for reject in page.rejects)
    left_out = sum(page.left_out for page in pages)
    if rejects != place.rejects:
        return left_out, f"cannot be read: {sorted(rejects ^ place.rejects)}"
    if found.height + left_out != place.records.height:
        return left_out, f"{found.height} sent, {left_out} left out of {place.records.height}"
    rest = place.source.left_out(request, "id", place.records["id"])
    if not rest.sort("id").equals(place.records.join(found.select("id"), on="id", how="anti").sort("id")):
        return left_out, "what is left out is not the rest"
    (wanted, failed), (got, failing) = scope(program, place.records), scope(program, found)
    same = got.equals(wanted) and failing == failed
    return left_out, "" if same else f"{wanted['id'].to_list()} {failed} became {got['id'].to_list()} {failing}"


def scope(program: Program, records: pl.DataFrame) -> tuple[pl.DataFrame, list[tuple[Any, ...]]]:
    """Return the records in scope with all their values, and those that fail with why."""
    evaluated = program.evaluate(records)
    errors = [(records["id"][e.row], str(e.message), e.column) for e in evaluated.errors]
    return records.filter(evaluated.values.fill_null(value=False)), errors


def test_some_reads_come_to_the_same_end(place: Place) -> None:
    """Some random conditions over difficult records, the same at each run."""
    left_out, different = compare(place, 20_261_122, QUICK)
    assert different == []
    assert left_out > QUICK * 5, "the test is worth something only if records are left out"


@pytest.mark.soak
def test_many_reads_come_to_the_same_end(place: Place) -> None:
    """Thousands of random conditions, others at each run."""
    seed = random.SystemRandom().randrange(2**32)
    _, different = compare(place, seed, FULL)
    assert different == [], f"seed {seed}"
