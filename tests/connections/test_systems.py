"""Connections to real systems: a PostgreSQL, a SQLite file, a folder of files."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from connectors.errors import ConnectorError
from rules.schema import FieldType
from tests.connections.test_services import ANN, CANARY
from webapp.connections import services
from webapp.connections.services import ConnectionInvalid
from webapp.extensions import House

SECONDS_OF_REST = {"settle": 0}


@pytest.fixture
def crm(module_postgres_url: str) -> dict[str, Any]:
    """Return the settings of a PostgreSQL database with one table."""
    url = sa.make_url(module_postgres_url)
    with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)) as connection:
        connection.execute("DROP TABLE IF EXISTS account")
        connection.execute(
            "CREATE TABLE account (id int PRIMARY KEY, name text NOT NULL, paid numeric(10,2), photo bytea)"
        )
        connection.execute("INSERT INTO account VALUES (1, '王伟', 12.50, 'x'), (2, 'Ann', NULL, NULL)")
    return {
        "host": url.host,
        "port": url.port,
        "database": url.database,
        "user": url.username,
        "password": url.password,
    }


def test_postgresql(house: House, crm: dict[str, Any]) -> None:
    """From the form's values to the first records, with the password in the vault only."""
    made = services.create(house, {"name": "crm", "connector": "postgresql", "settings": crm}, ANN)
    assert crm["password"] not in str(made)
    steps = services.check(house, "crm", ANN)
    assert all(step.ok for step in steps), [str(step.detail) for step in steps]
    assert [info.name for info in services.objects(house, "crm")] == ["account"]
    schema, rows, rejects = services.preview(house, "crm", "account")
    assert schema.key == ("id",)
    assert schema["paid"].type is FieldType.DECIMAL
    assert rows["name"].to_list() == ["王伟", "Ann"]
    assert rejects == ()
    assert services.object_schema(house, "crm", "account") == schema


def test_a_wrong_password_is_told_and_not_repeated(house: House, crm: dict[str, Any]) -> None:
    """A refused sign-in is a step with what to do; neither the given nor the stored password is in it."""
    services.create(house, {"name": "crm", "connector": "postgresql", "settings": crm}, ANN)
    steps = services.check_draft(house, "postgresql", {**crm, "password": CANARY}, keep_secrets_of="crm")
    assert not steps[-1].ok
    assert CANARY not in str(steps)
    assert crm["password"] not in str(steps)
    assert all(
        step.ok for step in services.check_draft(house, "postgresql", {**crm, "password": ""}, keep_secrets_of="crm")
    )


def test_sqlite(house: House) -> None:
    """A SQLite file in the data folder can be connected; Syncline's own database cannot."""
    services.prepare(house)
    path = house.settings.data / "files" / "payroll.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE employee (no INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO employee VALUES (1, 'Ann')")
    connection.close()
    services.create(house, {"name": "payroll", "connector": "sqlite", "settings": {"path": "files/payroll.db"}}, ANN)
    assert all(step.ok for step in services.check(house, "payroll", ANN))
    assert services.preview(house, "payroll", "employee").rows["name"].to_list() == ["Ann"]
    services.create(house, {"name": "own", "connector": "sqlite", "settings": {"path": "syncline.db"}}, ANN)
    (step,) = services.check(house, "own", ANN)
    assert "Syncline's own files" in str(step.detail)
    with pytest.raises(ConnectorError, match="Syncline's own files"):
        services.objects(house, "own")


@pytest.mark.parametrize("file", ["syncline.db", "files/../syncline.db", "secrets/x"])
def test_own_database_by_its_url(house: House, file: str) -> None:
    """Syncline's own database cannot be connected by a URL either: who writes to it makes administrators."""
    services.prepare(house)
    services.create(house, {"name": "own", "connector": "sqlalchemy", "settings": {"url": f"sqlite:///{file}"}}, ANN)
    with pytest.raises(ConnectorError, match="Syncline's own files"):
        services.objects(house, "own")


def test_files(house: House, tmp_path: Path) -> None:
    """A folder below the data folder can be read; a folder elsewhere only if it was granted."""
    folder = tmp_path / "etc" / "inbox"
    folder.mkdir(parents=True)
    (folder / "customers.csv").write_text("no,name\n1,王伟\n2,Ann\n", "utf-8")
    document = {
        "name": "inbox",
        "connector": "files",
        "settings": {"path": "inbox", "format": "csv", **SECONDS_OF_REST},
    }
    with house.db.begin() as tx:
        services.save(tx, house, document, ANN)
    assert not services.check(house, "inbox", ANN)[-1].ok
    with house.db.begin() as tx:
        services.save(tx, house, document, ANN, granted_roots=(tmp_path / "etc",))
    assert all(step.ok for step in services.check(house, "inbox", ANN))
    assert services.preview(house, "inbox", "customers.csv").rows["name"].to_list() == ["王伟", "Ann"]


def test_settings_of_builtin_connectors_are_checked(house: House) -> None:
    """A document's typed mistakes are found before anything is connected."""
    with pytest.raises(ConnectionInvalid) as wrong:
        services.create(house, {"name": "x", "connector": "postgresql", "settings": {"port": "many", "hots": "x"}}, ANN)
    places = {problem.path[-1] for problem in wrong.value.problems}
    assert {"port", "hots", "host", "database", "user"} <= places
