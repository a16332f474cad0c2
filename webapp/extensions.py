"""What every room stands on: the metadata database, its column types, the clock, who acts.

`Database.begin` is the one way to write: on SQLite it takes the write lock at once (BEGIN IMMEDIATE), so that no
transaction fails half-way for having read first.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from config import Settings

Clock = Callable[[], datetime]

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NullableJson = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class ForPeople(Exception):
    """An error at the command line whose text is written for a person: what happened and what to do."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An instant; stored as UTC, always read back with its zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse a time without a zone and store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Return the instant in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utcnow() -> datetime:
    """Return the current instant; the default clock of services, an argument everywhere else."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Database:
    """The metadata database of one process."""

    engine: sa.Engine

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open a writing transaction; commits at the end, rolls back on an error."""
        writer = self.engine.execution_options(syncline_write=True)
        with writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a reading connection; nothing it does is kept."""
        with self.engine.connect() as connection:
            yield connection

    @property
    def is_sqlite(self) -> bool:
        """Tell whether the database is SQLite."""
        return self.engine.dialect.name == "sqlite"


_AWAY = ("08", "57P01", "57P02", "57P03", "53300")
"""States in which PostgreSQL ends a connection or takes none: broken, stopped, crashed, starting, too many of them."""


RECYCLE = 1800
"""Seconds after which a connection to PostgreSQL is opened anew: what stands between may have forgotten it."""


def away(error: BaseException) -> bool:
    """Tell whether an error means that the metadata database does not answer for now, and not that it refuses."""
    if isinstance(error, sa.exc.TimeoutError):  # none of our connections has become free
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):  # locked for longer than we wait
        return (error.orig.sqlite_errorname or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_AWAY)
    return error.connection_invalidated or error.statement is None  # without a statement: it could not be opened


ALIVE = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""How a connection to PostgreSQL finds out in about ten seconds that the machine at the other end is gone; seconds, and
milliseconds for the last. An address may say otherwise."""


def open_database(url: str, *, pool_size: int = 10) -> Database:
    """Return the database behind `url`; connects at first use.

    On PostgreSQL `pool_size` connections are kept at the most, and as many again are opened while all are at work.
    Nothing is left behind in a session, so that PgBouncer may give each transaction another one: no prepared
    statements, and settings, locks and temporary tables end with their transaction.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        alive = {name: value for name, value in ALIVE.items() if name not in parsed.query}
        engine = sa.create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            pool_recycle=RECYCLE,
            connect_args={"prepare_threshold": None, **alive},
            json_serializer=to_json,
            hide_parameters=True,  # an error that is logged shows no values of records
        )
        return Database(engine)
    arguments = {"timeout": 30, "check_same_thread": False}
    engine = sa.create_engine(parsed, connect_args=arguments, json_serializer=to_json, hide_parameters=True)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return Database(engine)


_PRAGMAS = (
    "busy_timeout=30000", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-16000",
    # the log is copied into the file when it has 32 MB: at the usual 4 MB each chunk of a run would wait for the disk
    "wal_autocheckpoint=8000",
)  # fmt: skip


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    _use_write_ahead_log(connection)


def _use_write_ahead_log(connection: Any, patience: float = 30.0) -> None:
    """Switch the file to WAL; SQLite refuses at once, without its busy timeout, while another process does the same."""
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname[:11] not in ("SQLITE_BUSY", "SQLITE_LOCK") or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("syncline_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def insert_rows(tx: sa.Connection, table: sa.Table, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert many rows; SQLAlchemy's own way costs several times what the database does for each.

    Args:
        tx: Where to write.
        table: The table.
        names: The columns that are given; the others are filled by the database.
        rows: The values in the order of the names, as Python values of the columns' types.
    """
    insert = sa.insert(table).values({name: sa.bindparam(name) for name in names}).compile(dialect=tx.dialect)
    order = insert.positiontup or [*names]
    place = [(names.index(name), table.c[name].type.bind_processor(tx.dialect)) for name in order]
    columns = list(zip(*rows, strict=True))
    bound = (_bound(columns[at], process) for at, process in place) if columns else ()
    values = zip(*bound, strict=True)
    given = list(values) if insert.positional else [dict(zip(order, row, strict=True)) for row in values]
    if given:
        tx.exec_driver_sql(str(insert), given)


def _bound(values: Sequence[Any], process: Callable[[Any], Any] | None) -> Sequence[Any]:
    """Return values as the driver takes them; most of a column are often null."""
    if process is None:
        return values
    nothing = process(None)
    return [nothing if value is None else process(value) for value in values]


def to_json(value: Any) -> str:
    """Return JSON text in which decimals, dates and times are exact strings."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, (set, frozenset, tuple)):
        return sorted(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")


@dataclass(frozen=True)
class Actor:
    """Who acts: a person ("user"), an API key ("key"), the command line ("cli") or Syncline itself ("system")."""

    kind: str
    name: str
    id: str | None = None
    address: str | None = None
    request_id: str | None = None


SYSTEM = Actor("system", "Syncline")


@dataclass(frozen=True)
class House:
    """What services are handed: settings, database and clock of this process."""

    settings: Settings
    db: Database
    clock: Clock = utcnow


def open_house(settings: Settings, clock: Clock = utcnow) -> House:
    """Return the house for `settings`."""
    return House(settings, open_database(settings.database_url, pool_size=settings.database_pool), clock)
