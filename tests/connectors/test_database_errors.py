"""Errors of the drivers in our words: what the caller should do, and a sentence for each."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pymysql
import pytest

from connectors.builtin import mysql_errors, postgresql_errors, sqlite_errors
from connectors.builtin.database_check import NoDatabase, Untrusted
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.sqlite import SQLite
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    Retriable,
    Unavailable,
)
from connectors.spi import Context
from tests.connectors.databases import run


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("08006", Unavailable), ("40001", Unavailable), ("40P01", Unavailable), ("53300", Unavailable),
        ("57P01", Unavailable), ("57014", Unavailable), ("58030", Unavailable), ("XX000", Unavailable),
        ("55P03", Unavailable), ("25P03", Unavailable), ("28P01", AuthFailed), ("3D000", NoDatabase),
        ("42501", Forbidden), ("25006", Forbidden), ("42P01", ObjectMissing), ("42703", ObjectMissing),
        ("3F000", Misconfigured), ("428C9", Misconfigured), ("42883", Misconfigured),
    ],
)  # fmt: skip
def test_postgresql_by_its_states(state: str, kind: type[ConnectorError]) -> None:
    """An SQLSTATE or its class decides what the caller should do."""
    error = psycopg.errors.lookup(state)("told")
    found = postgresql_errors.fault(error, "orders")
    assert type(found) is kind
    assert found.object_name == "orders"
    assert postgresql_errors.refusal(error) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('FATAL:  role "x" does not exist', AuthFailed), ("FATAL:  no pg_hba.conf entry for host", AuthFailed),
        ('FATAL:  role "x" is not permitted to log in', AuthFailed), ("connection timeout expired", Unavailable),
        ('FATAL:  permission denied for database "d"', Forbidden), ("server does not support SSL, but", Untrusted),
        ("FATAL:  the database system is starting up", Unavailable), ("something unheard of", Unavailable),
        ("received invalid response to SSL negotiation: H", Misconfigured), ("Connection refused", Unavailable),
    ],
)  # fmt: skip
def test_postgresql_that_does_not_let_in(text: str, kind: type[ConnectorError]) -> None:
    """An error of connecting is told by its text."""
    assert type(postgresql_errors.fault(psycopg.OperationalError(text), None)) is kind


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1045, AuthFailed), (1129, AuthFailed), (1044, Forbidden), (1142, Forbidden), (1290, Forbidden),
        (1288, Forbidden), (1146, ObjectMissing), (1054, ObjectMissing), (1049, NoDatabase), (1205, Unavailable),
        (1213, Unavailable), (1305, Unavailable),
        (1040, Unavailable), (1021, Unavailable), (3024, Unavailable), (2013, Unavailable),
        (1153, Misconfigured), (1064, Misconfigured), (1906, Misconfigured), (2026, Untrusted),
    ],
)  # fmt: skip
def test_mysql_by_its_numbers(number: int, kind: type[ConnectorError]) -> None:
    """The number of an error decides what the caller should do."""
    error = pymysql.err.OperationalError(number, "told")
    assert type(mysql_errors.fault(error, "orders")) is kind
    assert mysql_errors.refusal(error) is None
    assert type(mysql_errors.fault(pymysql.InterfaceError("closed"), None)) is Unavailable


@pytest.mark.parametrize(
    ("number", "text", "sentence", "field"),
    [
        (1048, "Column 'name' cannot be null", "'name' must not be empty.", "name"),
        (1364, "Field 'name' doesn't have a default value", "'name' must not be empty.", "name"),
        (1062, "Duplicate entry 'x' for key 't.code'", "A record with the same values exists already (code).", None),
        (3819, "Check constraint 'grown' is violated.", "The database's rule 'grown' does not allow this record.",
         None),
        (1644, "not this one", "The database refuses the record: not this one.", None),
        (1264, "Out of range value for column 'n' at row 1", "The database refuses the record: {}.", "n"),
        (1366, "Incorrect string value: 'x' for column `d`.`t`.`n` at row 1", "The database refuses the record: {}.",
         "n"),
    ],
)  # fmt: skip
def test_mysql_refusals(number: int, text: str, sentence: str, field: str | None) -> None:
    """A refusal has a plain sentence, and the field where the server tells it."""
    refusal = mysql_errors.refusal(pymysql.err.DataError(number, text))
    assert refusal is not None
    assert (str(refusal.message), refusal.field) == (sentence.format(text), field)


def test_sqlite_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A missing table or field, a directory in the way and a full disk are told apart."""
    (tmp_path / "x.db").touch()
    url = f"sqlite:///{tmp_path / 'x.db'}"
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with SQLite({"path": "x.db"}, Context(file_roots=(tmp_path,))) as source:
        for statement, kind in {
            "SELECT * FROM gone": ObjectMissing,
            "SELECT gone FROM t": ObjectMissing,
            "INSERT INTO t (gone) VALUES (1)": ObjectMissing,
            "SELECT nothing_of_it(": Misconfigured,
        }.items():
            with pytest.raises(kind), source.session("t") as connection:
                connection.exec_driver_sql(statement)
    kinds = {"SQLITE_FULL": Unavailable, "SQLITE_IOERR_READ": Unavailable, "SQLITE_READONLY_DIRECTORY": Forbidden}
    for name, kind in kinds.items():
        error = sqlite3.OperationalError("told")
        error.sqlite_errorname = name
        assert type(sqlite_errors.fault(error, None)) is kind
    mismatch = sqlite3.IntegrityError("datatype mismatch")
    mismatch.sqlite_errorname = "SQLITE_MISMATCH"
    assert sqlite_errors.refusal(mismatch) is not None


def test_a_read_only_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be written passes the test, which says so."""
    run(f"sqlite:///{tmp_path / 'x.db'}", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with SQLite({"path": "x.db"}, Context(file_roots=(tmp_path,))) as source:

        def refuse(*_: object) -> None:
            error = sqlite3.OperationalError("attempt to write a readonly database")
            error.sqlite_errorname = "SQLITE_READONLY"
            raise error

        monkeypatch.setattr(type(source.flavor), "begin", refuse)
        steps = list(source.check())
        assert all(step.ok for step in steps)
        assert "can only be read" in str(steps[-1].detail)


@contextlib.contextmanager
def _deaf() -> Iterator[int]:
    """Yield the port of a listener that takes no more connections."""
    with socket.socket() as listener, contextlib.ExitStack() as clients:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


SETTINGS = {"host": "127.0.0.1", "database": "d", "user": "u", "password": "p"}


def test_a_server_that_does_not_answer() -> None:
    """A firewall that swallows everything is told after the time allowed."""
    with _deaf() as port:
        step = list(PostgreSQL({**SETTINGS, "port": port}, Context(timeout=0.2)).check())[-1]
    assert not step.ok
    assert "does not answer on port" in str(step.detail)


def test_a_network_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other trouble of the network is worth another try."""

    def unreachable(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    step = list(PostgreSQL({**SETTINGS, "port": 5432}, Context()).check())[-1]
    assert not step.ok
    assert "cannot be reached" in str(step.detail)
    assert issubclass(Unavailable, Retriable)
