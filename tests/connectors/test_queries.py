"""Own SQL as an object: one SELECT and nothing else, read like a table, on every kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.builtin.database import Database
from connectors.builtin.database_queries import problem, queries
from connectors.builtin.dialect import AnyDatabase
from connectors.builtin.mysql import MySQL
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.sqlite import SQLite
from connectors.errors import ConnectorError, Misconfigured
from connectors.spi import Context, Cursor, ReadRequest
from rules.schema import Change, FieldType, Op
from tests.connectors.databases import everything, run, settings_of
from tests.connectors.test_dialect import firebird_file

KINDS: dict[str, type[Database]] = {
    "postgres": PostgreSQL, "mariadb": MySQL, "sqlite": SQLite, "firebird": AnyDatabase,
}  # fmt: skip
TABLES = (
    "CREATE TABLE sale (nr integer NOT NULL PRIMARY KEY, shop varchar(20), amount decimal(12,2), made date)",
    "INSERT INTO sale VALUES (1, 'a:b%', 10.50, '2024-01-01')",
    "INSERT INTO sale VALUES (2, 'south', 2.25, '2024-02-29')",
    "INSERT INTO sale VALUES (3, 'south', 7.00, NULL)",
)
SOUTH = (
    "SELECT s.nr AS nr, s.shop, s.amount, s.made, CAST(s.nr * 2 AS integer) AS twice FROM sale s -- all (of them\n"
    "WHERE s.shop <> ':no %s' /* ) */;"
)
QUERIES = {
    "sales": {"sql": SOUTH, "key": "nr"},
    "twice": {"sql": "SELECT nr AS x, nr AS x FROM sale", "key": "x"},
    "keyless": "SELECT nr FROM sale",
    "lost": {"sql": "SELECT nr FROM sale", "key": ["no"]},
    "wrong": {"sql": "SELECT nr FROM nowhere", "key": ["nr"]},
}


@pytest.fixture(params=list(KINDS))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    settings: dict[str, Any] = {}
    if request.param == "sqlite":
        (tmp_path / "shop.db").touch()
        url, settings = f"sqlite:///{tmp_path / 'shop.db'}", {"path": "shop.db"}
    elif request.param == "firebird":
        url = firebird_file(tmp_path / "shop.fdb")
        settings = {"url": "firebird+firebird://SYSDBA@/shop.fdb?charset=UTF8"}
    else:
        url = request.getfixturevalue(f"{request.param}_url")
        settings = settings_of(url)
    run(url, TABLES[0])
    run(url, *TABLES[1:])
    kind = KINDS[request.param]
    with kind({**settings, "queries": QUERIES}, Context(file_roots=(tmp_path,), timeout=5)) as found:
        yield found  # type: ignore[misc]


def test_a_query_is_read_like_a_table(source: Database) -> None:
    """It has types and a key, is read page by page, by cursor and by key, and cannot be written."""
    listed = {one.name: (one.kind, one.writable) for one in source.objects()}
    assert listed["sales"] == ("query", False)
    assert listed["sale"] == ("table", True)
    schema = source.schema("sales")
    kinds = {field.name: field.type for field in schema.fields}
    assert kinds == {
        "nr": FieldType.INTEGER, "shop": FieldType.TEXT, "amount": FieldType.DECIMAL, "made": FieldType.DATE,
        "twice": FieldType.INTEGER,
    }  # fmt: skip
    assert schema.key == ("nr",)
    assert not schema["nr"].nullable
    pages = list(source.read(ReadRequest("sales", schema, page_size=2)))
    assert [page.records["twice"].to_list() for page in pages] == [[2, 4], [6]]
    assert pages[0].records["shop"].to_list() == ["a:b%", "south"]
    again = list(source.read(ReadRequest("sales", schema, after=pages[0].position)))
    assert pl.concat([page.records for page in again])["nr"].to_list() == [3]
    newer = source.read(ReadRequest("sales", schema, Cursor("amount", "nr", "7.00")))
    assert pl.concat([page.records for page in newer])["nr"].to_list() == [3, 1]
    assert source.lookup("sales", schema, "nr", pl.Series([3, 9]))["nr"].to_list() == [3]
    with pytest.raises(Misconfigured, match="can only be read"):
        source.write("sales", schema, [Change(Op.DELETE, "nr", pl.DataFrame({"nr": [1]}))])


def test_queries_that_cannot_be_read(source: Database) -> None:
    """A field twice, a key that is not there, and what the database refuses are told by the name of the query."""
    if isinstance(source, SQLite):
        assert source.schema("twice").names == ("x", "x:1"), "SQLite gives names itself"
    for name in ("lost", "wrong") if isinstance(source, SQLite) else ("twice", "lost", "wrong"):
        with pytest.raises(ConnectorError):
            source.schema(name)
    if isinstance(source, AnyDatabase):
        with pytest.raises(Misconfigured, match="has no key"):
            everything(source, "keyless")
    else:
        assert sorted(everything(source, "keyless")["nr"]) == [1, 2, 3]


def test_the_connection_test_says_what_a_query_lacks(tmp_path: Path) -> None:
    """Not only which query cannot be used, but why, so that a person can mend it."""
    (tmp_path / "shop.db").touch()
    source = SQLite({"path": "shop.db", "queries": {"open": {"read": "SELECT 1"}}}, Context(file_roots=(tmp_path,)))
    last = list(source.check())[-1]
    assert not last.ok
    assert str(last.detail).endswith("It needs its statement under 'sql', and its key under 'key'.")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1", "select * from t where a = ';' and b = 'it''s'", "WITH x AS (SELECT 1) SELECT * FROM x",
        'SELECT "update" FROM t', "SELECT `into` FROM t", "SELECT v$x.a FROM v$x", "SELECT 1 -- ; drop",
        "SELECT /* ; */ 1",
        "SELECT a #>> '{b,c}', b['c'] FROM t --", "SELECT [a b], ARRAY['a', 'b'] FROM t # (it\nWHERE 1 = 1)",
    ],
)  # fmt: skip
def test_one_select(sql: str) -> None:
    """What is one SELECT is taken, whatever its texts and comments hold."""
    assert problem(sql) is None


@pytest.mark.parametrize(
    "sql",
    [
        "", "DELETE FROM t", "SELECT 1; DROP TABLE t", "SELECT 1) q; DROP TABLE t", "SELECT (1", "SELECT 1 INTO t",
        "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "SELECT 1) x, (SELECT 2", "SELECT '", "SELECT 'a\\'",
        "SELECT * FROM t FOR UPDATE", "EXPLAIN SELECT 1", "SELECT /*! 1 */ ; 1", "(SELECT 1)) x (",
        "SELECT 1 /* /* */ ' */ ) x; DROP TABLE t; SELECT 1 FROM (SELECT 1 -- '",  # PostgreSQL's comments nest
        "SELECT 1 AS a$$) x; DROP TABLE t; SELECT 1 FROM (SELECT 1 AS b$$",  # a$$ is a name of PostgreSQL
        "SELECT 1 -- \r) x; DROP TABLE t; SELECT 1 FROM (SELECT 1 -- ",  # PostgreSQL's lines end here
        "SELECT 1 # '\n) x UNION SELECT 2 INTO OUTFILE '/t' FROM (SELECT 1 -- '",  # a comment of MySQL
        "SELECT 1 --1) x UNION SELECT 2 INTO OUTFILE '/t' FROM (SELECT 1",  # no comment of MySQL
        "SELECT 1 /*M!1 INTO OUTFILE '/t' */", 'SELECT "\\" , \'") x INTO OUTFILE \' -- \'',  # of MariaDB and MySQL
        "SELECT 1 AS [a'] ) x DROP TABLE t SELECT 1 FROM (SELECT 1 -- ']",  # a name of SQL Server
        "SELECT 1 ` ; DROP TABLE t; `", "SELECT $x$ ; $x$",
        # statements of others, which no transaction of ours holds back
        "SELECT * FROM OPENQUERY(erp, 'DELETE FROM t')", "SELECT * FROM OpenRowset('a', 'b', 'EXEC x')",
        "SELECT dblink_exec('x', 'DELETE FROM t')", "SELECT sys_exec('rm')",
    ],
)  # fmt: skip
def test_anything_else(sql: str) -> None:
    """What is not one SELECT is refused before it is sent."""
    assert problem(sql) is not None


@given(st.text(alphabet="();'\"`- \n*/$aS\\", max_size=30))
def test_a_bracket_never_closes_the_one_around(tail: str) -> None:
    """Whatever is taken leaves no text open, so what stands around it stays around it."""
    sql = f"SELECT {tail}"
    if problem(sql) is None:
        assert problem(f"SELECT x FROM (\n{sql}\n) q") is None


FUNCTION = {
    "postgres": "CREATE FUNCTION sold() RETURNS integer LANGUAGE sql AS 'INSERT INTO sale VALUES (9) RETURNING nr'",
    "mariadb": "CREATE FUNCTION sold() RETURNS integer DETERMINISTIC "
    "BEGIN INSERT INTO sale(nr) VALUES (9); RETURN 9; END",
}


@pytest.mark.parametrize("kind", sorted(FUNCTION))
def test_functions_change_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    """What a function of the database would change is refused, and what is written later is not."""
    url = request.getfixturevalue(f"{kind}_url")
    run(url, *TABLES[:2])
    run(url, FUNCTION[kind])
    own = {"sold": {"sql": "SELECT sold() AS nr", "key": "nr"}}
    with KINDS[kind]({**settings_of(url), "queries": own}, Context(timeout=5)) as found:
        with pytest.raises(ConnectorError):
            everything(found, "sold")
        assert everything(found, "sale")["nr"].to_list() == [1]
        found.write("sale", found.schema("sale"), [Change(Op.DELETE, "nr", pl.DataFrame({"nr": [1]}))])
        assert everything(found, "sale").height == 0


@pytest.mark.parametrize("told", [["SELECT 1"], {"a": 5}, {"a": {"key": "x"}}, {"a": {"sql": "DROP TABLE t"}}])
def test_settings_that_are_no_queries(told: Any) -> None:
    """What is no object of names and statements is told as that."""
    with pytest.raises(Misconfigured):
        queries({"queries": told})
