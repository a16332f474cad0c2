"""Bringing the metadata database to the current revision, and making new revisions."""

from __future__ import annotations

import io
import logging
import re
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


_NAME = re.compile(r"(?P<number>\d+)(?:_needs_(?P<needs>\d+))?")
"""A revision's name. `0007` only adds what versions before do not mind; `0009_needs_0007` takes away what versions that
know 0007 use no more, and so do all that follow it."""

log = logging.getLogger(__name__)


class NewerDatabase(ForPeople):
    """The database was upgraded by a newer version of Syncline."""


class OlderDatabase(ForPeople):
    """The database was not prepared for this version yet."""


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


def require(connection: sa.Connection) -> None:
    """Check that this version may work on the database: it is at its revision, or a newer one leaves it what it uses.

    Raises:
        OlderDatabase: `syncline init` has to be called first.
        NewerDatabase: the database has lost what this version uses.
    """
    found, mine = current(connection), head()
    if found == mine:
        return
    if found is None or _number(found) <= _number(mine):
        raise OlderDatabase(
            f"SYNCLINE_DATABASE_URL: the database has {f'revision {found}' if found else 'no revision'} and this "
            f"version needs {mine}. Run 'syncline init' to bring it there."
        )
    if _needs(found) > _number(mine):
        raise NewerDatabase(
            f"SYNCLINE_DATABASE_URL: the database has revision {found}, and this version knows {mine}. A newer version "
            "has removed what this one uses: install the newer one, or restore a backup."
        )
    log.warning("The database has revision %s of a newer version; this one goes on until it is replaced.", found)


def _number(revision: str) -> int:
    found = _NAME.fullmatch(revision)
    return int(found["number"]) if found else 0


def _needs(revision: str) -> int:
    """Return the lowest revision that a version has to know to work beside this one."""
    found = _NAME.fullmatch(revision)
    return int((found and found["needs"]) or FIRST)


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


def revise(message: str, *, initial: bool = False, removes: bool = False) -> list[Path]:
    """Write a revision that leads from the newest one to all rooms' models, or with `initial` the first one anew.

    Args:
        message: What it does.
        initial: Write the first revision, in place of all others.
        removes: It takes away what only versions before the newest revision use.
    """
    if initial:
        for path in (FOLDER / "versions").glob("*.py"):
            path.unlink()
    scripts = ScriptDirectory(str(FOLDER))
    name = _next_name(len(list(scripts.walk_revisions())), removes=removes)
    engine = sa.create_engine("sqlite://")
    with engine.begin() as tx:
        if not initial:
            command.upgrade(_config(tx), "head")
        made = command.revision(_config(tx, batch=not initial), message, autogenerate=True, rev_id=name)
    engine.dispose()
    return [Path(script.path) for script in (made if isinstance(made, list) else [made]) if script]


def _next_name(known: int, *, removes: bool) -> str:
    needs = known if removes else _needs(head()) if known else int(FIRST)
    return f"{known + 1:04d}" + (f"_needs_{needs:04d}" if needs > int(FIRST) else "")


def _config(tx: sa.Connection, *, batch: bool = True) -> Config:
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = tx
    config.attributes["batch"] = batch
    return config
