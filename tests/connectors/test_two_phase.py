"""Two-phase commit of PostgreSQL and MariaDB: what is prepared waits, whatever dies, until somebody decides."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from connectors.builtin.mysql import MySQL
from connectors.builtin.postgresql import PostgreSQL
from connectors.errors import Fenced, Unavailable
from connectors.spi import Context, Fence
from rules.schema import Change, Op
from tests.servers import postgres, postgres_database

TABLE = "CREATE TABLE item (id integer PRIMARY KEY, name varchar(20) NOT NULL)"
FENCE = Fence("x:r:left", 3, 7, 1)


class Side:
    """A database with one table, and as many connectors to it as a test wants."""

    def __init__(self, kind: type[Any], url: str) -> None:
        self.engine = sa.create_engine(url)
        address = self.engine.url
        self.kind = kind
        self.settings = {
            "host": address.host,
            "port": address.port,
            "database": address.database,
            "user": address.username,
        }
        self.settings |= {"password": address.password or ""}
        self.stack = contextlib.ExitStack()
        self.sql(TABLE)

    def connect(self) -> Any:
        return self.stack.enter_context(self.kind(self.settings, Context(timeout=2)))

    def sql(self, statement: str) -> list[Any]:
        with self.engine.begin() as connection:
            found = connection.exec_driver_sql(statement)
            return list(found) if found.returns_rows else []

    def names(self) -> list[str]:
        return [name for (name,) in self.sql("SELECT name FROM item ORDER BY id")]


@pytest.fixture(params=[PostgreSQL, MySQL])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    url = request.getfixturevalue("postgres_url" if request.param is PostgreSQL else "mariadb_url")
    made = Side(request.param, url)
    yield made
    with made.kind(made.settings, Context(timeout=5)) as last:
        for found in last.in_doubt("syncline:"):
            last.rollback_prepared(found.gid)
    made.stack.close()
    made.engine.dispose()


def rows(*names: str | None, first: int = 1) -> list[Change]:
    frame = pl.DataFrame(
        {"id": range(first, first + len(names)), "name": names}, schema={"id": pl.Int64, "name": pl.String}
    )
    return [Change(Op.CREATE, "id", frame)]


def prepare(connector: Any, changes: list[Change], gid: str, fence: Fence = FENCE) -> Any:
    return connector.write_prepared("item", connector.schema("item"), changes, fence, gid)


def test_what_is_prepared_is_seen_once_it_is_committed(side: Side):
    """It shows in doubt and nowhere else; committed by another connector it is there once, its fence with it."""
    one, other = side.connect(), side.connect()
    assert prepare(one, rows("Ann", "Bob"), "syncline:a:1:left").failures == ()
    assert side.names() == []
    assert other.applied(FENCE) is False
    assert [found.gid for found in other.in_doubt("syncline:a:")] == ["syncline:a:1:left"]
    one.close()
    assert other.commit_prepared("syncline:a:1:left")
    assert side.names() == ["Ann", "Bob"]
    assert other.applied(FENCE) is True
    assert other.in_doubt("syncline:") == []
    assert not other.commit_prepared("syncline:a:1:left")


def test_what_is_rolled_back_leaves_nothing(side: Side):
    """Neither records nor the fence stay, and a second time there is nothing to take back."""
    one = side.connect()
    prepare(one, rows("Ann"), "syncline:a:2:left")
    assert one.rollback_prepared("syncline:a:2:left")
    assert not one.rollback_prepared("syncline:a:2:left")
    assert (side.names(), one.applied(FENCE)) == ([], False)


def test_a_refused_record_keeps_no_other_from_being_prepared(side: Side):
    """Many records, some refused, take the ways of bulk writing, updates and deletions included."""
    one = side.connect()
    one.write("item", one.schema("item"), rows(*(f"n{number}" for number in range(1, 2001))))
    names: list[str | None] = [f"m{number}" if number % 500 else None for number in range(2001, 4001)]
    update = Change(Op.UPDATE, "id", pl.DataFrame({"id": range(1, 1001), "name": [f"u{n}" for n in range(1, 1001)]}))
    delete = Change(Op.DELETE, "id", pl.DataFrame({"id": list(range(1001, 1501))}))
    result = prepare(one, [*rows(*names, first=2001), update, delete], "syncline:a:3:left")
    assert {(f.change, f.row) for f in result.failures} == {(0, 499), (0, 999), (0, 1499), (0, 1999)}
    assert len(side.names()) == 2000
    assert one.commit_prepared("syncline:a:3:left")
    left = side.names()
    assert (len(left), left[0], left[1000]) == (2000 - 500 + 1996, "u1", "n1501")


def test_a_write_that_fails_is_not_in_doubt(side: Side):
    """An older token is refused and holds nothing, and a lock that nobody gives up is told of as such."""
    one, other = side.connect(), side.connect()
    prepare(one, rows("Ann"), "syncline:a:4:left")
    with pytest.raises(Unavailable):
        prepare(other, rows("Bob", first=2), "syncline:a:5:left")
    one.commit_prepared("syncline:a:4:left")
    with pytest.raises(Fenced):
        prepare(other, rows("Cid", first=3), "syncline:a:6:left", Fence(FENCE.scope, 2, 7, 2))
    assert other.in_doubt("syncline:") == []
    assert side.names() == ["Ann"]


def test_a_database_says_why_it_cannot_take_part(side: Side):
    """One that can has nothing to say; one where Syncline keeps no table could not tell what was committed."""
    assert side.connect().unfit() is None
    with side.kind({**side.settings, "own_table": False}, Context()) as closed:
        assert "could not tell what was committed" in str(closed.unfit())


def test_postgresql_that_prepares_nothing_says_which_setting_to_change():
    """PostgreSQL comes with prepared transactions switched off."""
    with postgres(max_prepared_transactions="0") as server, postgres_database(server) as name:
        settings = {
            "host": server.host,
            "port": server.port,
            "database": name,
            "user": server.user,
            "password": server.password,
        }
        with PostgreSQL(settings, Context()) as off:
            assert "max_prepared_transactions" in str(off.unfit())


def test_locks_are_named(postgres_url: str):
    """PostgreSQL tells since when and on what a prepared transaction holds locks."""
    side = Side(PostgreSQL, postgres_url)
    one = side.connect()
    prepare(one, rows("Ann"), "syncline:a:9:left")
    (found,) = one.in_doubt("syncline:a:9")
    assert found.since is not None
    assert found.locks == ("item", "syncline_fence")
    one.rollback_prepared(found.gid)
    side.stack.close()
    side.engine.dispose()
