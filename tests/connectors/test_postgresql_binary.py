"""PostgreSQL's binary form gives what its texts give, to read and to write, and is only used where it does."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin import database_read, database_write, postgresql_stage
from connectors.builtin.database_cells import PADDING, NotPlainError
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.postgresql_copy import copied
from connectors.builtin.postgresql_flavor import PostgreSQLFlavor
from connectors.builtin.postgresql_unpack import unpack
from connectors.builtin.postgresql_wire import copied as copied_page
from connectors.errors import Misconfigured
from connectors.spi import Context, Cursor, Page, ReadRequest
from rules.schema import Change, Op
from tests.connectors.databases import everything, run, settings_of
from tests.connectors.test_database_round_trip import json_values

TABLE = """CREATE TABLE many (id bigint PRIMARY KEY, small smallint, whole integer, free numeric, money numeric(14,2),
deep numeric(38,30), ratio double precision, single real, yes boolean, born date, opens time, seen timestamptz,
local timestamp, made timestamptz(0), note text, code char(4), short varchar(12), data jsonb, raw json, tag uuid,
bytes bytea, number oid, price money, list integer[])"""
PLAIN = TABLE.replace("TABLE many", "TABLE plain").replace(" price money,", "")  # with money a table takes no COPY
KINDS = {
    "plain": "other", "small smallint": "small bigint", "money numeric(14,2)": "money numeric",
    "note text": "note varchar(40)", "code char(4)": "code text", "short varchar(12)": "short char(12)",
    "data jsonb": "data json", "raw json": "raw jsonb",
}  # fmt: skip
OTHER = functools.reduce(lambda made, pair: made.replace(*pair), KINDS.items(), PLAIN)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
BAD = ["infinity", "-infinity", "10000-01-01", "0044-03-15 BC"]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "whole": st.integers(-(2**31), 2**31 - 1),
    "free": st.one_of(
        st.sampled_from(["NaN", "Infinity", "1e30", "-1e-20", "1e15", "9999999999999999.5", "0.0001", "1e-18"]),
        st.decimals(-(10**14), 10**14, places=5).map(str),
        st.integers(-(10**19), 10**19).map(lambda n: str(Decimal(n).scaleb(-18))),
    ),
    "money": st.decimals(-(10**11), 10**11, places=2).map(str) | st.just("NaN"),
    "deep": st.decimals(-(10**7), 10**7, places=30).map(str),
    "ratio": st.floats().map(repr),
    "single": st.floats(width=32).map(repr),
    "yes": st.booleans(),
    "born": st.dates().map(str) | st.sampled_from(BAD),
    "opens": st.times().map(str) | st.just("24:00:00"),
    "seen": st.datetimes().map(lambda at: f"{at}+00") | st.sampled_from(BAD),
    "local": st.datetimes().map(str) | st.sampled_from(BAD),
    "made": st.datetimes().map(lambda at: f"{at.replace(microsecond=0)}+00"),
    "note": texts,
    "code": texts.map(lambda text: text[:4]),
    "short": texts.map(lambda text: text[:12]),
    "data": json_values.map(json.dumps),
    "raw": json_values.map(lambda value: json.dumps(value, indent=1)),
    "tag": st.uuids().map(str),
    "bytes": st.binary(max_size=20),
    "number": st.integers(0, 2**32 - 1),
    "price": st.decimals(-(10**9), 10**9, places=2).map(str),
    "list": st.lists(st.integers(-9, 9), max_size=3),
}
PACKED = sorted(VALUES.keys() - {"deep", "single", "number", "price", "list"})
"""The others always go as texts."""
record = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})


@pytest.fixture(scope="module")
def source(module_postgres_url: str) -> Iterator[PostgreSQL]:
    run(module_postgres_url, TABLE, TABLE.replace("TABLE many", "TABLE again"), PLAIN, OTHER)
    with PostgreSQL(settings_of(module_postgres_url), Context()) as connector:
        yield connector


def fill(source: PostgreSQL, records: list[dict[str, Any]]) -> None:
    names = ", ".join(("id", *VALUES))
    holes = ", ".join(f"CAST(%s AS {_cast(source, name)})" for name in ("id", *VALUES))
    with source.transaction() as connection:
        connection.exec_driver_sql("TRUNCATE many, again")
        for number, record in enumerate(records):
            values = (number, *(record[name] for name in VALUES))
            connection.exec_driver_sql(f"INSERT INTO many ({names}) VALUES ({holes})", values)


def _cast(source: PostgreSQL, name: str) -> str:
    return source._table("many").by_name[name].cast


def pages(source: PostgreSQL, bulk: int, names: Sequence[str] = (), **more: Any) -> list[Page]:
    schema = source.schema("many")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_read, "BULK", bulk)
        return list(source.read(ReadRequest("many", schema.select(tuple(names)) if names else schema, **more)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(record, max_size=5), size=st.sampled_from([2, 100]))
def test_read_alike(source: PostgreSQL, data: list[dict[str, Any]], size: int) -> None:
    """Records, rejects and positions are those that texts give, whatever the values."""
    fill(source, data)
    for cursor in (None, Cursor("seen", "id"), Cursor("ratio", "code")):
        bulk, plain = (pages(source, limit, page_size=size, cursor=cursor) for limit in (0, 10**9))
        assert [(p.position, p.rejects) for p in bulk] == [(p.position, p.rejects) for p in plain]
        assert all(a.records.equals(b.records) for a, b in zip(bulk, plain, strict=True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.data(), name=st.sampled_from(sorted(VALUES)))
def test_each_column_read_alike(source: PostgreSQL, value: st.DataObject, name: str) -> None:
    """A single column of any type gives the same by both ways, so that no odd neighbour hides it."""
    records = value.draw(st.lists(st.none() | VALUES[name], min_size=1, max_size=8))
    fill(source, [{**dict.fromkeys(VALUES), name: found} for found in records])
    bulk, plain = pages(source, 0)[0], pages(source, 10**9)[0]
    assert bulk.records.equals(plain.records)
    assert bulk.rejects == plain.rejects


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.data(), name=st.sampled_from(sorted(VALUES)))
def test_each_column_written_alike(source: PostgreSQL, value: st.DataObject, name: str) -> None:
    """What a column of any type holds after a create is the same by both ways."""
    records = value.draw(st.lists(st.none() | VALUES[name], min_size=1, max_size=8))
    fill(source, [{**dict.fromkeys(VALUES), name: found} for found in records])
    read = pages(source, 10**9)[0].records.select("id", name)
    found, into = [], "again" if name == "price" else "plain"
    for least in (0, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(postgresql_stage, "PACKED", least)
            failures = source.write(into, source.schema(into), [Change(Op.CREATE, "id", read)]).failures
        with source.transaction() as connection:
            texts = connection.exec_driver_sql(f"SELECT id, {name}::text FROM {into} ORDER BY id").fetchall()
            connection.exec_driver_sql(f"TRUNCATE {into}")
        found.append((failures, texts))
    assert found[0] == found[1]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(record, min_size=1, max_size=5),
    names=st.builds(
        list.__getitem__,
        st.permutations(sorted(VALUES.keys() - {"price"})),
        st.integers(1, 4).map(slice) | st.just(slice(None)),
    ),
    made=st.integers(0, 20),
    into=st.sampled_from(["plain", "other"]),
)
def test_what_is_copied_is_stored_alike(
    source: PostgreSQL, data: list[dict[str, Any]], names: list[str], made: int, into: str
) -> None:
    """Fields that are only copied are stored as their values are, whatever stands beside them and in whatever order."""
    fill(source, data)
    names = ["id", *names]
    read = pages(source, 0, names)[0].records.select(names[::-1])
    read = read.with_columns(
        values.gather([*range(read.height)]) for values in read[:, made : made + 1]
    )  # as if computed
    found = []
    for copies, packs in ((True, 0), (False, 0), (False, 10**9)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(postgresql_stage, "PACKED", packs)
            if not copies:
                patch.setattr(postgresql_stage, "copied", lambda *_: None)
            failures = source.write(into, source.schema(into), [Change(Op.CREATE, "id", read)]).failures
        with source.transaction() as connection:
            rows = connection.exec_driver_sql(f"SELECT t::text FROM {into} t ORDER BY id").fetchall()
            connection.exec_driver_sql(f"TRUNCATE {into}")
        found.append((failures, rows))
    assert found[0] == found[1] == found[2]


def test_rows_are_sent_as_they_came(source: PostgreSQL) -> None:
    """Columns in the memory of those of a page are known; its bytes are sent where all have one form on both sides."""
    values = {"free": "1.5", "small": 3, "note": "x" * 20, "data": '{"b": 1.50, "a": [1e2]}', "raw": '{"a":  2}'}
    fill(source, [dict.fromkeys(VALUES), {**dict.fromkeys(VALUES), **values}])
    table = source._table("plain")
    names = ["id", "small", "whole", "money", "yes", "seen", "note", "code", "short", "data", "bytes"]
    read = pages(source, 0, names)[0].records
    frame = pl.DataFrame([read[name] for name in reversed(names)]).with_row_index("number").drop("number")
    came = copied_page(frame, table)
    assert came is not None
    assert bytes(came.rows).count(b"x" * 20) == 1
    assert came.names == names
    changed = [frame[::-1], frame.drop("note"), frame.with_columns(pl.col("small") + 0), frame.rename({"note": "tag"})]
    assert [copied_page(other, table) for other in changed] == [None] * len(changed)
    for name in ("free", "raw", "tag"):
        odd = pages(source, 0, ["id", name])[0].records
        assert copied_page(odd, table) is None
    assert copied_page(pages(source, 0, ["id", "small"])[0].records, source._table("other")) is None


def test_uses_the_binary_form(source: PostgreSQL) -> None:
    """Ordinary values of all types but none are read in the binary form; a record of every kind of null is too."""
    fill(source, [dict.fromkeys(VALUES), {**dict.fromkeys(VALUES), "free": "12345678901234.000000000000000001"}])
    table = source._table("many")
    reader = source._reader(ReadRequest("many", table.schema))
    with source.session() as connection:
        found = copied(connection, reader._select(()), table.columns, ())
    assert found is not None
    assert found.height == 2


def test_what_is_no_copy() -> None:
    """Bytes of another form are told from rows."""
    head, empty = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\0\1" + b"\xff" * 4
    cases = (b"PGCOPY", head + b"\0\2" + empty[2:], head + empty + b"more", head + b"\0\1\0\0\x10\0short")
    for raw in cases:
        with pytest.raises(NotPlainError):
            unpack(raw + PADDING, [len(raw)], [12])
    (cells,) = unpack(head + empty + PADDING, [len(head + empty)], [12])
    assert cells.size.tolist() == [-1]


def test_error_in_the_middle(source: PostgreSQL, module_postgres_url: str) -> None:
    """An error behind some thousand rows is told as for any query, and the connection can be used afterwards."""
    run(
        module_postgres_url,
        "DROP VIEW IF EXISTS late",
        "CREATE VIEW late AS SELECT repeat('x', 100) || 10 / (9000 - n) AS note FROM generate_series(1, 10000) n",
    )
    table = source._table("late")
    reader = source._reader(ReadRequest("late", table.schema))
    for _ in range(2):
        with pytest.raises(Misconfigured, match="22012"), source.session() as connection:
            copied(connection, reader._select(()), table.columns, ())
    assert everything(source, "again").is_empty()


def test_server_without_copy(source: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not know this COPY is asked for rows, and not asked for a COPY again."""
    monkeypatch.setattr("connectors.builtin.postgresql_copy._FORM", "IN NO FORM")
    monkeypatch.setattr(database_read, "BULK", 0)
    fill(source, [dict.fromkeys(VALUES)])
    source.close()
    for _ in range(2):
        assert everything(source, "many").height == 1
    source.close()


def test_flavor_falls_back(source: PostgreSQL) -> None:
    """Places of a kind that COPY does not carry are read as rows."""
    table = source._table("many")
    with source.session() as connection:
        statement = source._reader(ReadRequest("many", table.schema))._select((table.by_name["bytes"],))
        assert copied(connection, statement, table.columns, (table.by_name["bytes"],)) is None
        assert (
            PostgreSQLFlavor().fetch(connection, statement, table.columns, (table.by_name["bytes"],)).rows is not None
        )


def test_refused_alike(source: PostgreSQL, module_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad ones among many records are refused with the same words as one by one; the others are there."""
    run(
        module_postgres_url,
        "CREATE TABLE parent (id bigint PRIMARY KEY)",
        "INSERT INTO parent VALUES (1)",
        """CREATE TABLE picky (id bigint PRIMARY KEY, parent bigint REFERENCES parent, name text UNIQUE,
        size integer CONSTRAINT positive CHECK (size > 0), "odd "" $$ name" text, state text, r text)""",
        """CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN IF NEW.name = 'n50' THEN RAISE 'not this one'; END IF; RETURN NEW; END$$""",
        "CREATE TRIGGER no BEFORE INSERT ON picky FOR EACH ROW EXECUTE FUNCTION no()",
    )
    ids = [40 if n == 41 else n for n in range(100)]
    names = ["n1" if n == 90 else f"n{n}" for n in range(100)]
    frame = pl.DataFrame(
        {
            "id": ids,
            "parent": [7 if n == 20 else 1 for n in range(100)],
            "name": names,
            "size": [0 if n in {30, 31} else 1 for n in range(100)],
            'odd " $$ name': "x",
            "state": "here",
            "r": None,
        }
    )
    schema, found = source.schema("picky"), []
    for many in (16, 10**9):
        monkeypatch.setattr(database_write, "_MANY", many)
        failures = source.write("picky", schema, [Change(Op.CREATE, "id", frame)]).failures
        found.append((failures, everything(source, "picky")))
        run(module_postgres_url, "DELETE FROM picky")
    assert found[0][0] == found[1][0]
    assert [failure.row for failure in found[0][0]] == [20, 30, 31, 41, 50, 90]
    assert found[0][1].equals(found[1][1])
    assert found[0][1].height == 94


def test_without_temporary_tables(source: PostgreSQL, module_postgres_url: str) -> None:
    """A user who may make no temporary table has the bad records found by halves."""
    run(
        module_postgres_url,
        "CREATE TABLE few (id bigint PRIMARY KEY)",
        "CREATE ROLE modest LOGIN PASSWORD 'modest'",
        "GRANT SELECT, INSERT ON few TO modest",
        "REVOKE TEMPORARY ON DATABASE " + str(settings_of(module_postgres_url)["database"]) + " FROM PUBLIC",
    )
    login = {"user": "modest", "password": "modest", "own_table": False}
    with PostgreSQL({**settings_of(module_postgres_url), **login}, Context()) as modest:
        frame = pl.DataFrame({"id": [*range(40), 3]})
        result = modest.write("few", modest.schema("few"), [Change(Op.CREATE, "id", frame)])
    assert [failure.row for failure in result.failures] == [40]
    run(module_postgres_url, "DROP OWNED BY modest", "DROP ROLE modest")


def test_waits_let_other_threads_go_on(source: PostgreSQL, module_postgres_url: str) -> None:
    """A connector that was opened here reads and writes in another thread, and while it waits this one goes on."""
    run(
        module_postgres_url,
        "DROP TABLE IF EXISTS shared",
        "CREATE TABLE shared (id bigint PRIMARY KEY, note text)",
        "INSERT INTO shared SELECT n, 'x' FROM generate_series(1, 2000) n",
        "CREATE VIEW slow AS SELECT id, note, pg_sleep(0.4)::text AS late FROM shared WHERE id = 1",
        """CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END$$""",
        "CREATE TRIGGER dawdle AFTER INSERT ON shared EXECUTE FUNCTION dawdle()",
    )
    table, schema = source._table("slow"), source.schema("shared")
    assert everything(source, "shared").height == 2000

    def read() -> None:
        statement = source._reader(ReadRequest("slow", table.schema))._select(())
        with source.session() as connection:
            found = copied(connection, statement, table.columns, ())
        assert found is not None
        assert found.height == 1

    def write() -> None:
        frame = pl.DataFrame({"id": range(5000, 5500), "note": "y"})
        assert not source.write("shared", schema, [Change(Op.CREATE, "id", frame)]).failures

    for work in (read, write):
        with ThreadPoolExecutor(1) as pool:
            done, ticks = pool.submit(work), 0
            while not done.done():
                time.sleep(0.01)
                ticks += 1
            done.result()
        assert ticks > 5
    assert everything(source, "shared").height == 2500


def test_texts_without_an_encoding(source: PostgreSQL, module_postgres_url: str) -> None:
    """What is no UTF-8 never comes as text: a server looks at the texts of a database without an encoding itself."""
    run_alone(module_postgres_url, "CREATE DATABASE plain_bytes ENCODING 'SQL_ASCII' TEMPLATE template0")
    try:
        url = str(sa.make_url(module_postgres_url).set(database="plain_bytes").render_as_string(hide_password=False))
        run_alone(url, "CREATE TABLE words (id integer PRIMARY KEY, word text)")
        run_alone(url, "INSERT INTO words VALUES (1, '客户 wörter')")
        with PostgreSQL({**source.settings, "database": "plain_bytes"}, Context()) as other:
            table = other._table("words")
            statement = other._reader(ReadRequest("words", table.schema))._select(())
            with other.session() as connection:
                found = copied(connection, statement, table.columns, ())
                assert found is not None
                assert found.columns[1].values.to_list() == ["客户 wörter"]
            run_alone(url, "INSERT INTO words SELECT 2, convert_from('\\xff41'::bytea, 'SQL_ASCII')")
            with pytest.raises(Misconfigured, match="22021"), other.session() as connection:
                copied(connection, statement, table.columns, ())
    finally:
        run_alone(module_postgres_url, "DROP DATABASE plain_bytes WITH (FORCE)")


def run_alone(url: str, statement: str) -> None:
    """Run a statement that takes no transaction."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True, client_encoding="UTF8") as connection:
        connection.execute(statement.encode())
