"""SQL Server and Oracle: their SQL as their dialects write it, their errors, and what can be had of their protocols.

Neither server can be had here, so what a real one answers is not tested.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import oracledb
import polars as pl
import pytds
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql as mssql_types
from sqlalchemy.dialects import oracle as oracle_types
from sqlalchemy.dialects.oracle.oracledb import OracleDialect_oracledb
from sqlalchemy_pytds.dialect import MSDialect_pytds

from connectors.builtin import dialect_catalog, dialect_errors
from connectors.builtin.database_check import NoDatabase, Untrusted
from connectors.builtin.database_filter import CannotTest
from connectors.builtin.database_queries import Query
from connectors.builtin.database_read import Reader
from connectors.builtin.database_types import Column, Table
from connectors.builtin.mssql import MSSQL, _encryption
from connectors.builtin.mssql_flavor import MSSQLFlavor, MSSQLLoader
from connectors.builtin.oracle import Oracle, _exact
from connectors.builtin.oracle_flavor import OracleFlavor
from connectors.errors import AuthFailed, ConnectorError, Forbidden, Misconfigured, ObjectMissing, Unavailable
from connectors.spi import Context, Cursor
from rules.schema import Field, FieldType, Schema

FIELDS = (
    Field("id", FieldType.INTEGER, nullable=False, generated=True), Field("name", FieldType.TEXT),
    Field("at", FieldType.LOCAL_DATETIME),
)  # fmt: skip
TABLE = Table("sale", tuple(Column(field, "") for field in FIELDS), ("id",))
SOURCE: Any = sa.table("sale", *(sa.column(field.name) for field in FIELDS), schema="dbo")


class Recorder:
    """Takes down the statements that a connection is given."""

    def __init__(self, dialect: Any, rows: list[Any] | None = None) -> None:
        self.dialect, self.found, self.rows = dialect, list[str](), rows or []

    def execute(self, statement: Any, values: Any = None) -> Any:
        self.found.append(" ".join(str(statement.compile(dialect=self.dialect)).split()))
        return SimpleNamespace(fetchall=lambda: self.rows, __iter__=None)

    def exec_driver_sql(self, statement: str, rows: Any = None) -> None:
        self.found.append(" ".join(statement.split()) if rows is None else f"{' '.join(statement.split())} {rows}")


def page(flavor: Any, dialect: Any, cursor: Cursor | None, behind: list[Any]) -> str:
    reader = Reader(flavor, SOURCE, TABLE, Schema(FIELDS, ("id",)))
    statement = reader._page(reader._phases(cursor)[-1], behind, 10)
    return " ".join(str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": False})).split())


def test_pages_of_sql_server() -> None:
    """A page is the first rows behind a place, by key or by cursor, without comparing rows of values."""
    dialect = MSDialect_pytds()
    first = page(MSSQLFlavor(), dialect, None, [])
    assert "TOP" in first
    assert first.endswith("FROM dbo.sale ORDER BY id")
    assert "WHERE id > " in page(MSSQLFlavor(), dialect, None, [5])
    newer = page(MSSQLFlavor(), dialect, Cursor("at", "id", "2024-01-01 00:00:00"), ["2024-01-01 00:00:00.000000", 5])
    assert "WHERE at >= " in newer
    assert newer.endswith("ORDER BY at, id")


def test_pages_of_oracle() -> None:
    """A page of Oracle is limited by its standard clause, and says where nulls stand."""
    dialect = OracleDialect_oracledb()
    dialect._supports_offset_fetch = True
    first = page(OracleFlavor(), dialect, Cursor("name", "id"), [])
    assert "FETCH FIRST" in first
    assert "ORDER BY name" in first
    assert OracleFlavor().nulls_first(sa.column("x")).compile(dialect=dialect).string == "x NULLS FIRST"
    json = Column(Field("x", FieldType.JSON), "")
    assert "json_serialize" in str(OracleFlavor().wire(json))
    assert str(OracleFlavor().wire(TABLE.by_name["id"])) == "id"


def test_sql_server_takes_many_rows_at_once() -> None:
    """Records go by statements of many rows; keys that the server gives out can be given, and rows are locked."""
    recorder: Any = Recorder(MSDialect_pytds())
    loader = MSSQLLoader(MSSQLFlavor(), recorder, SOURCE, TABLE)
    loader.create(pl.DataFrame({"id": range(1001), "name": ["x"] * 1001}))
    assert recorder.found[0] == "SET IDENTITY_INSERT dbo.sale ON"
    assert recorder.found[-1] == "SET IDENTITY_INSERT dbo.sale OFF"
    assert len(recorder.found) == 4
    assert recorder.found[1].startswith("INSERT INTO dbo.sale (id, name) VALUES (")
    recorder.found.clear()
    loader.create(pl.DataFrame({"name": ["x"]}))
    assert len(recorder.found) == 1
    assert "WITH (UPDLOCK, ROWLOCK)" in str(loader.locked(sa.select(SOURCE)).compile(dialect=recorder.dialect))
    MSSQLFlavor().begin(recorder, 2.5)
    assert recorder.found[-1] == "SET LOCK_TIMEOUT 2500"
    assert isinstance(MSSQLFlavor().loader(recorder, SOURCE, TABLE), MSSQLLoader)
    assert MSSQLFlavor().nulls_first(SOURCE.c.id) is SOURCE.c.id


def test_oracle_takes_arrays() -> None:
    """Records go as arrays of values by name."""
    recorder: Any = Recorder(OracleDialect_oracledb())
    OracleFlavor().loader(recorder, SOURCE, TABLE).create(pl.DataFrame({"name": ["x", "y"]}))
    assert "VALUES (:v0)" in recorder.found[0]
    assert "{'v0': 'x'}, {'v0': 'y'}" in recorder.found[0]


@pytest.mark.parametrize(
    ("native", "kinds", "kind", "more"),
    [
        (mssql_types.BIT(), MSSQLFlavor.kinds, FieldType.BOOLEAN, {}),
        (mssql_types.MONEY(), MSSQLFlavor.kinds, FieldType.DECIMAL, {}),
        (mssql_types.DATETIMEOFFSET(3), MSSQLFlavor.kinds, FieldType.DATETIME, {"scale": 3}),
        (mssql_types.DATETIME2(7), MSSQLFlavor.kinds, FieldType.LOCAL_DATETIME, {"scale": 7}),
        (mssql_types.UNIQUEIDENTIFIER(), MSSQLFlavor.kinds, FieldType.TEXT, {}),
        (mssql_types.NVARCHAR(20), MSSQLFlavor.kinds, FieldType.TEXT, {"length": 20}),
        (mssql_types.TIMESTAMP(), MSSQLFlavor.kinds, FieldType.BINARY, {}),
        (oracle_types.NUMBER(10, 0), OracleFlavor.kinds, FieldType.INTEGER, {}),
        (oracle_types.NUMBER(38, 0), OracleFlavor.kinds, FieldType.DECIMAL, {"precision": 38, "scale": 0}),
        (oracle_types.NUMBER(12, 2), OracleFlavor.kinds, FieldType.DECIMAL, {"precision": 12, "scale": 2}),
        (oracle_types.NUMBER(), OracleFlavor.kinds, FieldType.DECIMAL, {}),
        (oracle_types.DATE(), OracleFlavor.kinds, FieldType.LOCAL_DATETIME, {}),
        (oracle_types.CLOB(), OracleFlavor.kinds, FieldType.TEXT, {}),
        (oracle_types.RAW(16), OracleFlavor.kinds, FieldType.BINARY, {"length": 16}),
        (oracle_types.BINARY_DOUBLE(), OracleFlavor.kinds, FieldType.FLOAT, {}),
        (oracle_types.TIMESTAMP(timezone=True), OracleFlavor.kinds, FieldType.DATETIME, {}),
    ],
)
def test_types(native: Any, kinds: Any, kind: FieldType, more: dict[str, Any]) -> None:
    """Types of both systems become field types with their digits."""
    told = ("x", None, None, None, 0, -127, True)
    found = dialect_catalog.column({"name": "x", "type": native}, told, kinds).field
    assert found.type is kind
    assert {name: getattr(found, name) for name in more} == more


def test_what_sql_server_tells_of_a_query() -> None:
    """The server names the types of an own query; one that it cannot describe is refused."""
    query = Query("q", "SELECT 1 AS a", ("a",))
    rows = [
        SimpleNamespace(name="a", native="decimal(12,2)", nullable=True),
        SimpleNamespace(name="b", native="nvarchar(20)", nullable=False),
        SimpleNamespace(name="c", native="int", nullable=True),
        SimpleNamespace(name="d", native="varchar(max)", nullable=True),
    ]
    found = MSSQLFlavor().described(Recorder(MSDialect_pytds(), rows), query)  # type: ignore[arg-type]
    kinds = [column.field.type for column in found]
    assert kinds == [FieldType.DECIMAL, FieldType.TEXT, FieldType.INTEGER, FieldType.TEXT]
    assert (found[0].field.precision, found[0].field.scale, found[1].field.length) == (12, 2, 20)
    with pytest.raises(Misconfigured, match="own query"):
        MSSQLFlavor().described(Recorder(MSDialect_pytds()), query)  # type: ignore[arg-type]


def numbered(number: int) -> Exception:
    error = pytds.DatabaseError("no")
    error.number = number
    return error


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (18456, AuthFailed), (4060, NoDatabase), (208, ObjectMissing), (229, Forbidden), (1205, Unavailable),
        (9, Misconfigured),
    ],
)  # fmt: skip
def test_errors_of_sql_server(number: int, kind: type[ConnectorError]) -> None:
    """Errors are told by their numbers."""
    assert isinstance(MSSQLFlavor().fault(numbered(number), "t"), kind)
    assert MSSQLFlavor().refusal(numbered(number)) is None
    assert MSSQLFlavor().refusal(numbered(2627)) is not None


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (SimpleNamespace(code=1017), AuthFailed), (SimpleNamespace(code=12514), NoDatabase),
        (SimpleNamespace(code=942), ObjectMissing), (SimpleNamespace(code=1031), Forbidden),
        (SimpleNamespace(code=60), Unavailable), ("DPY-6005: cannot connect", Unavailable),
        ("DPY-6001: service is not registered", NoDatabase), (SimpleNamespace(code=0), Misconfigured),
    ],
)  # fmt: skip
def test_errors_of_oracle(told: Any, kind: type[ConnectorError]) -> None:
    """Errors are told by their numbers, those of the driver by their names."""
    assert isinstance(OracleFlavor().fault(Exception(told), "t"), kind)
    assert OracleFlavor().refusal(Exception(told)) is None
    assert OracleFlavor().refusal(Exception(SimpleNamespace(code=12899))) is not None
    assert OracleFlavor().refusal(Exception()) is None


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """Listen on a port and answer what comes in with each of these, then end the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        for answer in answers:
                            connection.recv(8192)
                            connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]


def prelogin(encryption: int) -> bytes:
    body = bytes([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF]) + bytes(6) + bytes([encryption])
    return bytes([4, 1]) + (8 + len(body)).to_bytes(2) + bytes(4) + body


SETTINGS = {"host": "127.0.0.1", "database": "d", "user": "u", "password": "secret", "schema": "dbo"}


@pytest.mark.parametrize(
    ("answer", "tls", "told"),
    [
        (prelogin(2), "verify", "offers no encryption"),
        (prelogin(0), "disable", "wants the sign-in to be encrypted"),
        (prelogin(2), "disable", "does not answer or has ended"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "disable", "is not Microsoft SQL Server"),
    ],
)
def test_a_server_that_says_hello_only(answer: bytes, tls: str, told: str) -> None:
    """The connection test tells what keeps it from going on."""
    with answering(answer) as port, MSSQL({**SETTINGS, "port": port, "tls": tls}, Context(timeout=2)) as source:
        steps = list(source.check())
    assert not steps[-1].ok
    assert told in str(steps[-1].detail)


def test_answers_to_hello() -> None:
    """What is no answer to a hello says nothing of encryption."""
    assert _encryption(prelogin(1)[8:]) is True
    assert _encryption(bytes([0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 0])) is None
    assert _encryption(bytes([1, 0, 99, 0, 1, 0, 0])) is None
    assert _encryption(bytes(12)) is None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.01)
        assert MSSQL(SETTINGS, Context()).offers_tls(ours) is None


def test_certificates_of_sql_server() -> None:
    """A certificate authority is given to the driver as a file, the well-known ones by default."""
    with MSSQL({**SETTINGS, "tls": "verify", "tls_ca": "PEM"}, Context())._authority() as path:
        assert path
        assert Path(path).read_text() == "PEM"
    with MSSQL({**SETTINGS, "tls": "verify"}, Context())._authority() as path:
        assert path
    with MSSQL({**SETTINGS, "port": 1}, Context(timeout=1)) as source, pytest.raises(Unavailable):
        source.objects()


def test_an_oracle_listener_without_the_service() -> None:
    """A listener that refuses is told in words; so is a certificate authority that is none."""
    text = b"(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=12514)(ERROR_STACK=(ERROR=(CODE=12514)(EMFI=4))))"
    body = bytes([0, 0]) + len(text).to_bytes(2) + text
    refuse = (8 + len(body)).to_bytes(2) + bytes([0, 0, 4, 0, 0, 0]) + body
    with answering(refuse) as port, Oracle({**SETTINGS, "port": port, "tls": "disable"}, Context(timeout=3)) as source:
        steps = list(source.check())
        assert not steps[-1].ok
        assert "no such service" in str(steps[-1].detail)
        assert source.namespace == "dbo"
        wrong = Oracle({**SETTINGS, "port": port, "tls": "verify", "tls_ca": "none"}, Context(timeout=3))
        with pytest.raises(Untrusted):
            wrong.open()
        with socket.socket() as unused:
            assert wrong.offers_tls(unused) is True
        well = Oracle({**SETTINGS, "port": port, "tls": "verify"}, Context())
        assert well._place("10.0.0.1")["protocol"] == "tcps"


def test_what_oracle_is_fetched_as() -> None:
    """Numbers come with all their digits, large texts as texts, all else as the driver has it."""
    made: list[Any] = []
    cursor = SimpleNamespace(arraysize=5, var=lambda kind, arraysize: made.append((kind, arraysize)))
    for code in (oracledb.DB_TYPE_NUMBER, oracledb.DB_TYPE_CLOB, oracledb.DB_TYPE_DATE):
        _exact(cursor, SimpleNamespace(type_code=code))
    assert [kind.__name__ if isinstance(kind, type) else kind.name for kind, _ in made] == ["Decimal", "DB_TYPE_LONG"]
    assert dialect_errors.said(ValueError("a  b")) == "a b"


def test_sessions_of_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new session is in UTC and gives numbers with all their digits."""
    said: list[str] = []
    cursor = SimpleNamespace(execute=said.append)
    connection = SimpleNamespace(cursor=lambda: contextlib.nullcontext(cursor), outputtypehandler=None)
    monkeypatch.setattr(oracledb, "connect", lambda **_: connection)
    assert Oracle({**SETTINGS, "port": 1521}, Context()).open() is connection
    assert connection.outputtypehandler is _exact
    assert said == ["ALTER SESSION SET TIME_ZONE = '+00:00'"]


def test_keys_where_nothing_is_returned() -> None:
    """Where a dialect cannot return what it has inserted, the driver tells the last key."""
    recorder: Any = SimpleNamespace(
        dialect=SimpleNamespace(insert_returning=False), execute=lambda _: SimpleNamespace(lastrowid=7)
    )
    assert MSSQLLoader(MSSQLFlavor(), recorder, SOURCE, TABLE).create_one({"name": "x"}, "id") == 7


def test_nothing_to_write() -> None:
    """No rows are no statement."""
    recorder: Any = Recorder(MSDialect_pytds())
    loader = OracleFlavor().loader(recorder, SOURCE, TABLE)
    loader.create(pl.DataFrame({"name": []}, schema={"name": pl.String}))
    assert recorder.found == []


def test_what_no_dialect_promises() -> None:
    """Filters are not tested by any dialect, and what is no key has no digest of its own."""
    with pytest.raises(CannotTest):
        MSSQLFlavor.tests.has(TABLE.columns[0], None)  # type: ignore[arg-type]
    assert MSSQLFlavor().sha256(SOURCE.c.id) is SOURCE.c.id
