"""The metadata database's revisions."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic import command

import config
from webapp.access import models as access
from webapp.extensions import Database, House, open_database
from webapp.installation import NotInitialised, initialise, require
from webapp.migrations import services
from webapp.migrations.tables import all_tables


@pytest.fixture
def db(empty_metadata_url: str) -> Iterator[Database]:
    db = open_database(empty_metadata_url)
    yield db
    db.engine.dispose()


@pytest.fixture
def house(db: Database, empty_metadata_url: str, tmp_path) -> House:
    environ = {"SYNCLINE_DATA": str(tmp_path), "SYNCLINE_DATABASE_URL": empty_metadata_url}
    return House(config.from_environment(environ), db)


def test_revisions_and_models_agree(db: Database) -> None:
    """After all revisions the database has exactly the tables, columns and indexes that the rooms declare."""
    with db.begin() as tx:
        services.upgrade(tx)
    with db.read() as connection:
        assert services.differences(connection) == []


def test_the_comparison_sees_a_difference(db: Database) -> None:
    """A column that the revisions do not know is reported, so the test above means something."""
    with db.begin() as tx:
        services.upgrade(tx)
        tx.execute(sa.text("ALTER TABLE audit_event ADD COLUMN forgotten INTEGER"))
    with db.read() as connection:
        assert len(services.differences(connection)) == 1


def test_tables_of_others_are_left_alone(db: Database) -> None:
    """Entities' tables and Flask-AppBuilder's are no difference, and an upgrade leaves them."""
    with db.begin() as tx:
        access.FAB_METADATA.create_all(tx)
        tx.execute(sa.text("CREATE TABLE e_customer (id INTEGER)"))
        services.upgrade(tx)
    with db.read() as connection:
        assert services.differences(connection) == []
        assert "e_customer" in sa.inspect(connection).get_table_names()


def test_second_upgrade_does_nothing(db: Database) -> None:
    """An upgrade at the newest revision changes nothing."""
    with db.begin() as tx:
        assert services.upgrade(tx) == (None, services.head())
    with db.begin() as tx:
        assert services.upgrade(tx) == (services.head(), services.head())


def test_downgrade_leaves_nothing(db: Database) -> None:
    """Going back from the first revision removes all of the rooms' tables."""
    with db.begin() as tx:
        services.upgrade(tx)
    with db.begin() as tx:
        command.downgrade(services._config(tx), "base")
    with db.read() as connection:
        assert not set(sa.inspect(connection).get_table_names()) & set(all_tables().tables)


def test_a_failed_upgrade_leaves_nothing(db: Database) -> None:
    """A revision that fails half-way is rolled back as a whole."""
    with db.begin() as tx:
        tx.execute(sa.text("CREATE TABLE quarantine (id INTEGER)"))
    with pytest.raises(sa.exc.DBAPIError), db.begin() as tx:
        services.upgrade(tx)
    with db.read() as connection:
        names = set(sa.inspect(connection).get_table_names())
    assert names <= {"quarantine", "alembic_version"}


def test_a_newer_database_is_refused(db: Database) -> None:
    """A revision that this version does not know is named, with what to do."""
    with db.begin() as tx:
        services.upgrade(tx)
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(services.NewerDatabase, match=r"9999.*install that one"), db.begin() as tx:
        services.upgrade(tx)


def test_starts_at_the_same_time_are_fine(house: House) -> None:
    """Of several processes that initialise at once one makes the first user; none fails."""
    results, errors = [], []

    def start() -> None:
        own = House(house.settings, open_database(house.settings.database_url))
        try:
            results.append(initialise(own))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(error)
        finally:
            own.db.engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(result.password is not None for result in results) == [False, False, False, True]
    with house.db.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(access.user)) == 1
        roles = connection.scalars(sa.select(access.role.c.name)).all()
    assert len(roles) == len(set(roles)) > 0


def test_what_was_not_initialised_is_refused(house: House) -> None:
    """A command on a database that was never prepared says what to run."""
    with pytest.raises(NotInitialised, match="syncline init"):
        require(house)
    initialise(house)
    require(house)
