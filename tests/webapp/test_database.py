"""The metadata database of one process."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.houses import fresh_house
from tests.servers import Server
from webapp.audit import hooks
from webapp.extensions import open_database


def test_many_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    """SQLite refuses a second switch to its write-ahead log at once; opening waits instead of failing."""
    errors: list[Exception] = []

    def start(url: str, together: threading.Barrier) -> None:
        database = open_database(url)
        together.wait()
        try:
            with database.begin() as tx:
                tx.execute(sa.text("CREATE TABLE IF NOT EXISTS first (id INTEGER)"))
        except sa.exc.OperationalError as error:
            errors.append(error)
        finally:
            database.engine.dispose()

    for attempt in range(40):
        together = threading.Barrier(8)
        url = f"sqlite:///{tmp_path}/{attempt}.db"
        threads = [threading.Thread(target=start, args=(url, together)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []


def test_a_file_that_is_no_database_is_refused_at_once(tmp_path: Path) -> None:
    """Only a busy file is waited for."""
    path = tmp_path / "text.db"
    path.write_text("this is a letter, not a database" * 100)
    database = open_database(f"sqlite:///{path}")
    with pytest.raises(sa.exc.DatabaseError, match="not a database"), database.begin():
        pass
    database.engine.dispose()


def test_a_machine_that_is_gone_is_noticed(postgres_server: Server) -> None:
    """Connections to PostgreSQL ask a silent machine for a sign of life, as the address says or else within seconds."""
    s = postgres_server
    database = open_database(f"postgresql://{s.user}:{s.password}@{s.host}:{s.port}/postgres?keepalives_idle=30")
    with database.read() as tx:
        driver = tx.connection.driver_connection
        assert driver is not None
        found = driver.info.get_parameters()
    database.engine.dispose()
    assert (found["keepalives_idle"], found["keepalives_interval"], found["tcp_user_timeout"]) == ("30", "2", "10000")


def test_a_house_that_is_let_go_takes_its_database_along(tmp_path: Path) -> None:
    """What this process knows of a house by its database, its keys among it, keeps neither: they do not pile up."""
    with fresh_house(tmp_path) as house:
        with house.db.begin() as tx:
            assert hooks.guard(tx) is not None
        engine = weakref.ref(house.db.engine)
    del house, tx
    gc.collect()
    assert engine() is None
