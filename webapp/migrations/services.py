"""Bringing the metadata database to the current revision, and making new revisions."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from webapp.extensions import ForPeople
from webapp.migrations.tables import all_tables, ours

Result = TypeVar("Result")
FOLDER = Path(__file__).parent
FIRST = "0001"
LOCK_NOT_AVAILABLE = "55P03"
LOCK = 7_305_826_114_593
"""Any number, as long as nobody else uses it: the key of the lock on a PostgreSQL database."""


class NewerDatabase(ForPeople):
    """The database was upgraded by a newer version of Syncline."""


PATIENCE = timedelta(seconds=3)
"""How long a revision waits for a table: whoever wants to read it waits behind the revision meanwhile."""
ATTEMPTS = 20
"""So many times a database whose tables are in use is tried, with pauses in which the others get their turn."""


class TablesInUse(ForPeople):
    """A table that a revision changes is held by somebody's transaction, again and again."""


def lock(tx: sa.Connection) -> None:
    """Let one process at a time go on until its transaction ends; on SQLite every writing transaction does that."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))


def upgrade(tx: sa.Connection) -> tuple[str | None, str]:
    """Bring the database to the newest revision in the caller's transaction; returns the revisions before and after.

    Raises:
        NewerDatabase: the database has a revision that this version does not know.
    """
    lock(tx)
    before, newest = current(tx), head()
    if tx.dialect.name == "postgresql":  # ends with the transaction
        tx.execute(sa.text(f"SET LOCAL lock_timeout = {round(PATIENCE.total_seconds() * 1000)}"))
    if before != newest:
        try:
            command.upgrade(_config(tx), "head")
        except CommandError:
            raise NewerDatabase(
                f"SYNCLINE_DATABASE_URL: the database has revision {before}, which this version does not know. "
                "It was upgraded by a newer version: install that one, or restore a backup."
            ) from None
    return before, newest


def beside_others(deed: Callable[[], Result], pause: Callable[[float], None] = time.sleep) -> Result:
    """Do what upgrades in a transaction of its own, and again where others held a table for longer than `PATIENCE`.

    Raises:
        TablesInUse: they did so each time.
    """
    for _ in range(ATTEMPTS):
        try:
            return deed()
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
        pause(PATIENCE.total_seconds())
    raise TablesInUse(
        "SYNCLINE_DATABASE_URL: a table that has to change is in use by a long transaction. Nothing was changed. "
        "pg_stat_activity shows it by its xact_start; end it, or call this again when it has ended."
    )


def current(connection: sa.Connection) -> str | None:
    """Return the database's revision; None before the first."""
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """Return the newest revision that this version knows."""
    revision = ScriptDirectory(str(FOLDER)).get_current_head()
    if revision is None:
        raise RuntimeError("webapp/migrations/versions holds no revision")
    return revision


def differences(connection: sa.Connection) -> list[Any]:
    """Return what differs between the database and all rooms' models; empty when they agree."""
    options = {"include_object": ours, "compare_type": True, "compare_server_default": False}
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), all_tables())
    return found


def revise(message: str, *, initial: bool = False) -> list[Path]:
    """Write a revision that leads from the newest one to all rooms' models, or with `initial` the first one anew."""
    if initial:
        for path in (FOLDER / "versions").glob("*.py"):
            path.unlink()
    scripts = ScriptDirectory(str(FOLDER))
    number = f"{len(list(scripts.walk_revisions())) + 1:04d}"
    engine = sa.create_engine("sqlite://")
    with engine.begin() as tx:
        if not initial:
            command.upgrade(_config(tx), "head")
        made = command.revision(_config(tx, batch=not initial), message, autogenerate=True, rev_id=number)
    engine.dispose()
    return [Path(script.path) for script in (made if isinstance(made, list) else [made]) if script]


def _config(tx: sa.Connection, *, batch: bool = True) -> Config:
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = tx
    config.attributes["batch"] = batch
    return config
