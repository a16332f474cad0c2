"""What permissions say of an object by its name holds: no other spelling of the name leads to its records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.builtin.dialect import AnyDatabase
from connectors.builtin.mysql import MySQL
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.sqlite import SQLite
from connectors.errors import ConnectorError
from connectors.spi import Connector, Context, ReadRequest
from rules.schema import Field, FieldType, Schema
from tests import servers
from tests.connectors.databases import run, settings_of

SPELLINGS = (
    "PEOPLE", "People", "people ", " people", '"people"', "`people`", "[people]", "public.people", '"public"."people"',
    "main.people", "main`.`people", 'main"."people', "people\0", "pe\u017fple", "people;", "people--", "(people)", "",
)  # fmt: skip
MAKE = ("CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(40))", "INSERT INTO people VALUES (1, 'Ada')")
SCHEMA = Schema((Field("id", FieldType.INTEGER), Field("name")), ("id",))


@contextlib.contextmanager
def _url(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    if kind == "caseless":
        request.getfixturevalue("mariadb_server")  # skips where there is none
        with servers.mariadb("--lower-case-table-names=1") as server, servers.mariadb_database(server) as name:
            yield f"mysql+pymysql://{server.user}:{server.password}@{server.host}:{server.port}/{name}"
    elif kind in {"sqlite", "dialect"}:
        yield f"sqlite:///{folder / 'people.db'}"
    else:
        yield request.getfixturevalue(f"{kind}_url")


def _connector(kind: str, url: str, context: Context) -> Connector:
    if kind == "sqlite":
        return SQLite({"path": "people.db"}, context)
    if kind == "dialect":
        return AnyDatabase({"url": url}, context)
    return (PostgreSQL if kind == "postgres" else MySQL)(settings_of(url), context)


@pytest.fixture(params=["postgres", "mariadb", "caseless", "sqlite", "dialect"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connector]:
    """A database with a table of people; `caseless`: MariaDB as on Windows, where names of tables have no case."""
    with _url(request.param, request, tmp_path) as url:
        run(url, *MAKE)
        with _connector(request.param, url, Context(file_roots=(tmp_path,))) as connector:
            yield connector


def test_a_table_has_one_name(source: Connector) -> None:
    """A table is read and described by the name that the database lists it by, and by no other."""
    assert [one.name for one in source.objects()] == ["people"]
    assert next(iter(source.read(ReadRequest("people", SCHEMA)))).records.height == 1
    for name in SPELLINGS:
        with pytest.raises(ConnectorError):
            source.schema(name)
        with pytest.raises(ConnectorError):
            list(source.read(ReadRequest(name, SCHEMA)))
