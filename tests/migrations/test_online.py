"""Revisions on PostgreSQL while others work on the database."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests import houses
from tests.runs.conftest import World, numbers, open_world
from webapp.installation import GONE, initialise, notice_the_gone
from webapp.migrations import services
from webapp.runs.models import run

REVISION = '''"""Adds what the version before does not know."""
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0002", "0001"
branch_labels = depends_on = None


def upgrade():
    op.add_column("run", sa.Column("later", sa.Integer(), server_default="7", nullable=False))
    op.create_index("ix_quarantine_later", "quarantine", ["last_at"])


def downgrade():
    op.drop_column("run", "later")
'''


@pytest.fixture
def old(tmp_path: Path, postgres_url: str) -> Iterator[World]:
    """Return an installation of the version before, at work on PostgreSQL."""
    houses.prepare(postgres_url)
    with open_world(tmp_path / "data", postgres_url) as world:
        world.rule()
        world.customers("Ann", "Bob")
        yield world


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process a revision more than the database has."""
    folder = tmp_path / "migrations"
    shutil.copytree(services.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0002_later.py").write_text(REVISION)
    monkeypatch.setattr(services, "FOLDER", folder)


def test_the_version_before_goes_on(old: World, newer: None) -> None:
    """Nodes of the version before work while the database is upgraded, and afterwards."""
    runs, done = [], threading.Event()

    def work() -> None:
        while not done.is_set() or len(runs) < 3:
            runs.append(old.run())

    node = threading.Thread(target=work)
    node.start()
    try:
        made = initialise(old.house)
    finally:
        done.set()
        node.join()
    assert (made.before, made.after) == ("0001", "0002")
    assert {one.state for one in runs} == {"succeeded"}
    assert numbers(old.run()) == {"read": 2, "unchanged": 2}
    with old.house.db.read() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM run WHERE later = 7")) == len(runs) + 1


def test_nobody_waits_behind_a_revision_for_long(old: World, newer: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a long transaction keeps a table from being changed, others read and write it; then it is changed."""
    monkeypatch.setattr(services, "PATIENCE", services.PATIENCE / 10)
    slow, tries, read = old.house.db.engine.connect(), [], []
    slow.execute(sa.select(run.c.id))

    def pause(_seconds: float) -> None:
        tries.append(1)
        with old.house.db.read() as tx:
            read.append(tx.scalar(sa.select(sa.func.count()).select_from(run)))
        if len(tries) == 3:
            slow.close()

    def upgrade() -> tuple[str | None, str]:
        with old.house.db.begin() as tx:
            return services.upgrade(tx)

    assert services.beside_others(upgrade, pause) == ("0001", "0002")
    assert (len(tries), read) == (3, [0, 0, 0])


def test_a_transaction_that_never_ends_is_told_of(old: World, newer: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the end nothing was changed, and the error says where to look."""
    monkeypatch.setattr(services, "PATIENCE", services.PATIENCE / 100)

    def upgrade() -> tuple[str | None, str]:
        with old.house.db.begin() as tx:
            return services.upgrade(tx)

    with old.house.db.engine.connect() as slow:
        slow.execute(sa.select(run.c.id))
        with pytest.raises(services.TablesInUse, match="pg_stat_activity"):
            services.beside_others(upgrade, lambda _seconds: None)
    with old.house.db.read() as tx:
        assert services.current(tx) == "0001"


def test_the_locks_of_a_machine_that_is_gone_are_given_up_soon(old: World, postgres_url: str) -> None:
    """PostgreSQL asks for a sign of life; what an operator has set for our user stays."""
    name = sa.make_url(postgres_url).database
    with old.house.db.begin() as tx:
        tx.exec_driver_sql(f'ALTER ROLE CURRENT_USER IN DATABASE "{name}" SET tcp_keepalives_interval = 4')
    old.house.db.engine.dispose()
    with old.house.db.begin() as tx:
        notice_the_gone(tx)
    old.house.db.engine.dispose()
    with old.house.db.read() as tx:
        query = "SELECT name, reset_val FROM pg_settings WHERE name LIKE 'tcp\\_%'"
        found = {row.name: row.reset_val for row in tx.execute(sa.text(query))}
    assert found == {name: str(value) for name, value in GONE.items()} | {"tcp_keepalives_interval": "4"}
