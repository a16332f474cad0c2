"""Any database that SQLAlchemy has a dialect for: DB2, Firebird, CockroachDB, SAP HANA and others, by its URL.

The dialect and its driver are Python packages that an operator installs beside Syncline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors import egress
from connectors.builtin.database_queries import QUERIES_SETTING
from connectors.builtin.database_settings import CAPABILITIES, CATEGORY, OWN_TABLE_SETTING
from connectors.builtin.dialect_flavor import DialectFlavor
from connectors.builtin.dialect_keys import KEYS_SETTING, DialectDatabase
from connectors.builtin.dialect_url import arguments, check_password, check_url
from connectors.errors import Forbidden, Misconfigured
from connectors.spi import ConnectorSpec, Setting, SettingKind, Step
from connectors.steps import stepwise
from rules.text import N_, Message, msg

_ROOTS = "SYNCLINE_FILE_ROOTS"


class AnyDatabase(DialectDatabase):
    """Tables and views of any database."""

    spec = ConnectorSpec(
        name="sqlalchemy",
        label=N_("Other database"),
        category=CATEGORY,
        summary=N_("Tables and views of any database that SQLAlchemy has a dialect for, such as DB2 or Firebird."),
        settings=(
            Setting(
                "url",
                N_("Database URL"),
                help=N_("Dialect, user, host, port and database, no password. An operator installs the dialect."),
                required=True,
                placeholder="firebird+firebird://sync@db.example.com:3050/erp",
            ),
            Setting("password", N_("Password"), SettingKind.SECRET),
            Setting("schema", N_("Schema"), help=N_("Empty for the one that the user works in."), advanced=True),
            KEYS_SETTING,
            QUERIES_SETTING,
            OWN_TABLE_SETTING,
        ),
        capabilities=replace(CAPABILITIES, filter=False),
    )
    flavor = DialectFlavor()
    url = ""

    def open(self) -> Any:
        """Return a new connection of the driver; the engine makes them from the URL."""
        return self._engine.raw_connection()

    def target(self) -> sa.URL:
        """Return the URL of a database that may be reached; raises `Misconfigured` or `Forbidden`."""
        try:
            url = sa.make_url(str(self.settings["url"]).strip())
        except sa.exc.ArgumentError as error:
            raise Misconfigured(msg("The database URL has to look like dialect://user@host:port/database.")) from error
        check_url(url)
        if password := self.settings.get("password"):
            url = url.set(password=password)
        if url.host:
            return url.set(host=egress.check_host(url.host, url.port or 0, self.context.egress_allow))
        return url.set(database=str(self._file(url.database or "")))

    def _file(self, text: str) -> Path:
        """Return the file of a database without a host, in a folder that is released."""
        roots = [root.resolve() for root in self.context.file_roots]
        places = [(root / text).resolve() for root in roots] if text.strip(":") and "\0" not in text else []
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise Misconfigured(
                msg("The database URL names neither a host nor a database file that is there."),
                msg("Check the URL. A file has to lie in a folder of {setting}.", setting=_ROOTS),
            )
        if not any(path.is_relative_to(root) for root in roots):
            raise Forbidden(
                msg("The file {path} is not in a folder that is released for connections.", path=str(path)),
                msg("Ask the operator to add the folder to {setting}.", setting=_ROOTS),
            )
        return path

    def check(self) -> Iterator[Step]:
        """Yield the steps of a connection test and stop behind the first that fails."""
        steps = ((N_("Find the server"), self._find), (N_("Sign in"), self._open), (N_("Read"), self._readable))
        return stepwise(steps)

    def _find(self) -> Message:
        url = self.target()
        return msg("{place} may be reached.", place=url.host or url.database)

    def _open(self) -> Message:
        with self.session() as connection:
            return msg("The database is open ({dialect}).", dialect=connection.dialect.name)

    def _readable(self) -> Message:
        return msg("{count} tables and views can be read.", count=len(self.objects()))

    @cached_property
    def _engine(self) -> sa.Engine:
        target = self.target()
        try:
            engine = sa.create_engine(
                target, poolclass=sa.QueuePool, pool_size=1, max_overflow=4, hide_parameters=True, echo=False,
                connect_args=arguments(target),
            )  # fmt: skip
        except (sa.exc.NoSuchModuleError, ImportError) as error:
            text = msg("The dialect '{name}', or its driver, is not installed.", name=target.drivername)
            raise Misconfigured(text, msg("Ask the operator to install its Python package.")) from error
        check_password(engine.dialect, target)
        sa.event.listen(engine, "do_connect", _connect)
        return engine


def _connect(dialect: sa.Dialect, _record: Any, given: list[Any], named: dict[str, Any]) -> Any:
    try:
        return dialect.connect(*given, **named)
    except (TypeError, ValueError) as error:
        raise Misconfigured(msg("The database URL does not fit its dialect: {text}", text=str(error))) from error
