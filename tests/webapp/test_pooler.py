"""The metadata database behind PgBouncer in transaction mode, where each transaction may get another session."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests import servers
from tests.installation import installed
from tests.runs.conftest import numbers, open_world
from webapp.extensions import Database, open_database
from webapp.runs.models import run

WEBAPP = Path(__file__).resolve().parents[2] / "webapp"
SESSION_STATE = re.compile(
    r"""\bSET\s+(?:SESSION\s+)?(?!LOCAL\b|NULL\b|DEFAULT\b)[a-z_]+\s*(?:=|\bTO\b)\s*\w+["']\)"""
    r"""|pg_(?:try_)?advisory_(?:un)?lock|\b(?:LISTEN|UNLISTEN|NOTIFY|DISCARD)\s+\w+["']"""
    r"""|\bTEMP(?:ORARY)?\s+TABLE(?!.*ON COMMIT DROP)|prepare_threshold=(?!None)|WITH HOLD"""
)


@pytest.fixture
def pooled(pgbouncer_server: servers.Server, postgres_url: str) -> str:
    """Return the URL of an empty database as PgBouncer offers it."""
    door = pgbouncer_server
    name = sa.make_url(postgres_url).database
    return f"postgresql://{door.user}:{door.password}@{door.host}:{door.port}/{name}"


@pytest.fixture
def database(pooled: str) -> Iterator[Database]:
    db = open_database(pooled, pool_size=20)
    yield db
    db.engine.dispose()


def test_an_installation_works_behind_a_pooler(pooled: str, tmp_path: Path) -> None:
    """It is prepared, rules run, and what has been written is found again."""
    with installed(tmp_path / "data", pooled), open_world(tmp_path / "data", pooled) as world:
        world.rule()
        world.customers(*(f"Ann {n}" for n in range(30)))
        assert numbers(world.run()) == {"read": 30, "created": 30}
        assert numbers(world.run()) == {"read": 30, "unchanged": 30}


def test_sessions_are_shared_without_a_trace(database: Database) -> None:
    """Twenty connections of ours use the same statements, often enough to be prepared, over five of PostgreSQL."""
    with database.begin() as tx:
        tx.execute(sa.text("CREATE TABLE run (id integer)"))
        tx.execute(sa.text("INSERT INTO run SELECT generate_series(1, 7)"))
    errors, sums = [], []

    def ask() -> None:
        try:
            for _ in range(30):
                with database.begin() as tx:  # the driver forgets what it has prepared when a transaction is undone
                    sums.append(tx.scalar(sa.select(sa.func.count(run.c.id))))
        except sa.exc.SQLAlchemyError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sums == [7] * 600


@pytest.mark.parametrize("line", [
    'tx.execute(sa.text("SET statement_timeout = 5"))', 'tx.exec_driver_sql("SET SESSION work_mem TO 5")',
    "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1)", 'exec_driver_sql("LISTEN runs")',
    "CREATE TEMP TABLE x (i int)", "connect_args={prepare_threshold=5}",
])  # fmt: skip
def test_the_search_for_session_state_finds_it(line: str) -> None:
    """The pattern of the next test means something."""
    assert SESSION_STATE.search(line)


def test_no_statement_leaves_anything_in_a_session() -> None:
    """Nothing of ours outlives its transaction: settings, advisory locks, temporary tables, prepared statements."""
    found = [
        f"{path.relative_to(WEBAPP)}: {line.strip()}"
        for path in WEBAPP.rglob("*.py")
        for line in path.read_text().splitlines()
        if SESSION_STATE.search(line)
    ]
    assert found == []
