"""A process that works for long keeps connections to databases open for the runs that follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from connectors.builtin.database import Database
from connectors.builtin.database_idle import KEPT, KeptEngines
from connectors.builtin.mysql import MySQL
from connectors.builtin.postgresql import PostgreSQL
from connectors.spi import Context
from tests.connectors.databases import settings_of

Opened = Callable[..., Database]


@pytest.fixture(params=["postgresql", "mariadb"])
def opened(request: pytest.FixtureRequest) -> Opened:
    """Open a connector of the database, which has so many seconds for a request."""
    url = request.getfixturevalue("postgres_url" if request.param == "postgresql" else "mariadb_url")
    kind = PostgreSQL if request.param == "postgresql" else MySQL
    return lambda timeout=30: kind(settings_of(url), Context(timeout=timeout))


@pytest.fixture
def kept() -> Iterator[KeptEngines]:
    KEPT.begin(60)
    yield KEPT
    KEPT.end()


def session_of(connector: Database) -> int:
    """Return by which number the server knows the connection."""
    asked = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
    with connector.session() as connection:
        return int(connection.execute(sa.text(asked[connection.dialect.name])).scalar_one())


def test_next_run_finds_it_open(opened: Opened, kept: KeptEngines) -> None:
    """Whoever opens the same database next has the same connection; a second one at the same time has its own."""
    with opened() as first:
        number = session_of(first)
    with opened() as second, opened() as third:
        assert session_of(second) == number
        assert session_of(third) != number
    with opened(timeout=7) as other:
        assert session_of(other) != number, "it may do something else"


def test_connection_that_has_died(opened: Opened, kept: KeptEngines) -> None:
    """A connection that the server has ended in between is replaced, and nobody notices."""
    with opened() as first:
        number = session_of(first)
    with opened(timeout=7) as other, other.session() as connection:
        ends = {"postgresql": f"SELECT pg_terminate_backend({number})", "mysql": f"KILL {number}"}
        connection.execute(sa.text(ends[connection.dialect.name]))
    with opened() as second:
        assert session_of(second) != number


def test_not_for_ever(opened: Opened, kept: KeptEngines) -> None:
    """What nobody has asked for in time is closed."""
    with opened() as first:
        number = session_of(first)
    kept.end()
    with opened() as second:
        assert session_of(second) != number
    KEPT.begin(0.05)
    with opened() as third:
        number = session_of(third)
    time.sleep(0.2)
    with opened() as fourth:
        assert session_of(fourth) != number


def test_only_where_it_is_wanted(opened: Opened) -> None:
    """A process that does not say so closes its connections at once."""
    with opened() as first:
        number = session_of(first)
    with opened() as second:
        assert session_of(second) != number


def test_what_a_failed_run_leaves(opened: Opened, kept: KeptEngines) -> None:
    """What was begun and not ended is not there for the next one, who has the same connection."""
    with opened() as first, first.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE begun (id integer)"))
    with opened() as first:
        number = session_of(first)
        with pytest.raises(RuntimeError), first.transaction() as connection:  # noqa: PT012 - it fails in the middle
            connection.execute(sa.text("INSERT INTO begun VALUES (1)"))
            raise RuntimeError
    with opened() as second:
        assert session_of(second) == number
        with second.session() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM begun")).scalar() == 0
