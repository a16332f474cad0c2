"""SQLite: the tables of one file in a folder that the operator released."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.builtin import sqlite_flavor, sqlite_stage
from connectors.builtin.database import WRITES
from connectors.builtin.database_pushing import PushingDatabase
from connectors.builtin.database_queries import QUERIES_SETTING
from connectors.builtin.database_settings import CAPABILITIES, CATEGORY, OWN_TABLE_SETTING
from connectors.builtin.sqlite_flavor import SQLiteFlavor
from connectors.builtin.sqlite_formula import SQLiteWords
from connectors.errors import Forbidden, Misconfigured
from connectors.spi import ConnectorSpec, Setting, SettingKind, Step
from connectors.steps import stepwise
from rules.text import N_, Message, msg

_ROOTS = "SYNCLINE_FILE_ROOTS"
_CACHE = "PRAGMA cache_size = -16384"
"""16 MB, taken as far as it is used: what many records change is then written once, when they are committed."""


class SQLite(PushingDatabase):
    """Tables and views of a SQLite file."""

    spec = ConnectorSpec(
        name="sqlite",
        label="SQLite",
        category=CATEGORY,
        summary=N_("Tables and views of a SQLite file."),
        settings=(
            Setting(
                "path",
                N_("File"),
                SettingKind.PATH,
                N_("The database file, in a folder that the operator released for connections."),
                required=True,
                placeholder="payroll.db",
            ),
            QUERIES_SETTING,
            OWN_TABLE_SETTING,
        ),
        capabilities=CAPABILITIES,
    )
    flavor = SQLiteFlavor()
    words = SQLiteWords()
    url = "sqlite://"

    @property
    def path(self) -> Path:
        """Return the file with all links followed; raises `Forbidden` or `Misconfigured`."""
        text = str(self.settings["path"]).strip()
        if not text or "\0" in text:
            raise Misconfigured(msg("The file of the connection is not set."))
        roots = [root.resolve() for root in self.context.file_roots]
        places = [(root / text).resolve() for root in roots] or [Path(text).resolve()]
        path = next((place for place in places if place.exists()), places[0])
        if not any(path.is_relative_to(root) for root in roots):
            raise Forbidden(
                msg("The file {path} is not in a folder that is released for connections.", path=str(path)),
                msg("Ask the operator to add the folder to {setting}.", setting=_ROOTS),
            )
        if not path.is_file():
            raise Misconfigured(
                msg("There is no file {path}.", path=str(path)), msg("Check the path of the connection.")
            )
        return path

    def place(self) -> Path:
        """Return the file."""
        return self.path

    def open(self) -> sqlite3.Connection:
        """Return a new connection to the file, which must exist."""
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw", uri=True, timeout=self.context.timeout, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        connection.text_factory = _text
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(_CACHE)
        sqlite_stage.prepare(connection)
        sqlite_flavor.prepare(connection)
        return connection

    def prepare(self, engine: sa.Engine) -> None:
        """Begin transactions ourselves: the driver's own way commits before some statements."""
        sa.event.listen(engine, "begin", _begin)

    def check(self) -> Iterator[Step]:
        """Yield the steps of a connection test and stop behind the first that fails."""
        steps = (
            (N_("Find the file"), self._find),
            (N_("Open the database"), self._open),
            (N_("Read"), self._readable),
            (N_("Write"), self._writable),
        )
        return stepwise(steps)

    def _find(self) -> Message:
        return msg("The file {path} is there.", path=str(self.path))

    def _open(self) -> Message:
        with self.session() as connection:
            version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
        return msg("The file is a SQLite database (schema version {version}).", version=version)

    def _readable(self) -> Message:
        return msg("{count} tables and views can be read.", count=len(self.objects()))

    def _writable(self) -> Message:
        try:
            with self.transaction():
                pass
        except Forbidden:
            return msg("The database file is read-only for Syncline, so it can only be read.")
        return msg("The database file can be written.")


def _begin(connection: sa.Connection) -> None:
    # a reader that becomes a writer later may find that it cannot; a writer asks at once
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")


def _text(raw: bytes) -> Any:
    """Return text, or the bytes where they are no UTF-8, which makes them a value of the wrong type."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
