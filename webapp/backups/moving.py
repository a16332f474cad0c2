"""An installation moves from SQLite to PostgreSQL: all of it in one transaction, or nothing.

Keys and files stay in the data folder. Nobody may have the old database open: who had would go on writing there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.backups import filling, rows
from webapp.backups.filling import Tell
from webapp.extensions import Actor, ForPeople, House, to_json
from webapp.migrations import services as migrations


class CannotMove(ForPeople):
    """An installation cannot be moved as things are; nothing was changed."""


@dataclass(frozen=True)
class Moved:
    """What was moved: how many rows each table has, each of them compared by digest."""

    tables: dict[str, int]

    @property
    def rows(self) -> int:
        """Return how many rows there are in all."""
        return sum(self.tables.values())


def source_path(address: str) -> Path:
    """Return the file that `sqlite:PATH` names; raises `CannotMove`."""
    scheme, _, rest = address.partition(":")
    text = rest.removeprefix("///") if rest.startswith("///") else rest
    path = Path("/" + text.lstrip("/") if rest.startswith("////") else text).expanduser()
    if scheme != "sqlite" or not text:
        raise CannotMove(f"--from: '{address}' is not sqlite:PATH, such as sqlite:data/syncline.db.")
    if not path.is_file():
        raise CannotMove(f"--from: there is no file {path}.")
    return path


def move(house: House, path: Path, actor: Actor, tell: Tell) -> Moved:
    """Move the installation in the SQLite file into the empty PostgreSQL database of `house`.

    Raises:
        CannotMove: the target is not PostgreSQL, or the source is in use, not an installation, or of another version.
        NotEmpty: the target holds something.
        Refused: a value does not fit into PostgreSQL.
    """
    if house.db.is_sqlite:
        raise CannotMove(
            "SYNCLINE_DATABASE_URL does not name PostgreSQL. Set it to postgresql://user:password@host/name, "
            "the address of an empty database."
        )
    with _alone(path) as source, house.db.begin() as tx:
        _of_this_version(source, path)
        migrations.lock(tx)
        filling.require_empty(tx, "The database that SYNCLINE_DATABASE_URL names")
        last = filling.last_ids(source)
        found = filling.fill(tx, lambda stored: rows.read(source, stored), last, tell)
        moved = Moved({name: digest.rows for name, digest in found.items()})
        after = {"from": "sqlite", "to": "postgresql", "tables": len(moved.tables), "rows": moved.rows}
        event = Event(Tag.INSTALLATION_MOVED, Subject("installation", "database"), after=after)
        record(tx, actor, house.clock(), event)
    with house.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")  # else the first queries are planned for empty tables
    return moved


@contextmanager
def _alone(path: Path) -> Iterator[sa.Connection]:
    """Read a SQLite database that no process has open, and keep others out meanwhile; raises `CannotMove`."""
    engine = sa.create_engine(
        f"sqlite:///{path}", poolclass=StaticPool, connect_args={"timeout": 0}, json_serializer=to_json
    )
    sa.event.listen(engine, "connect", _keep_to_itself)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN EXCLUSIVE"))
    try:
        with _refusing(path), engine.connect() as connection:
            connection.execute(sa.text("SELECT count(*) FROM sqlite_master"))
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except sa.exc.DatabaseError as error:
        name = getattr(error.orig, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise CannotMove(
                f"--from: a process has {path} open. Stop Syncline, on all machines, and call this again. "
                "Nothing was changed."
            ) from None
        if name.startswith("SQLITE_NOTADB"):
            raise CannotMove(f"--from: {path} is not a database of SQLite.") from None
        raise


def _keep_to_itself(connection: Any, _record: Any) -> None:
    """A process that has a database in WAL mode open holds a lock for as long, which this finds."""
    connection.isolation_level = None
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")


def _of_this_version(source: sa.Connection, path: Path) -> None:
    found = migrations.current(source)
    if found is None:
        raise CannotMove(f"--from: {path} holds no installation of Syncline.")
    if found != migrations.head():
        raise CannotMove(
            f"--from: {path} has revision {found} and this version needs {migrations.head()}. Upgrade it first: "
            "run 'syncline init' with SYNCLINE_DATABASE_URL left out, then call this again."
        )
