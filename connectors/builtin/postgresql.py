"""PostgreSQL: any version that is still maintained, and databases that speak its protocol."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import sqlalchemy as sa

from connectors.builtin.database_captured import CapturedDatabase
from connectors.builtin.database_changes import WindowLog
from connectors.builtin.database_pushing import PushingDatabase
from connectors.builtin.database_queries import QUERIES_SETTING
from connectors.builtin.database_settings import (
    CAPABILITIES,
    CATEGORY,
    OPTIONS_SETTING,
    OWN_TABLE_SETTING,
    TLS_SETTINGS,
    server_settings,
)
from connectors.builtin.database_two_phase import TwoPhaseDatabase
from connectors.builtin.postgresql_changes import PostgreSQLLog, publication_of
from connectors.builtin.postgresql_flavor import PostgreSQLFlavor
from connectors.builtin.postgresql_formula import PostgreSQLWords
from connectors.builtin.postgresql_listen import Listener
from connectors.builtin.postgresql_probe import offers_tls
from connectors.builtin.postgresql_two_phase import PostgreSQLBranches
from connectors.errors import ConnectorError, Misconfigured
from connectors.spi import DIGEST, Capture, ConnectorSpec, Digest, Setting
from rules.schema import FieldType
from rules.text import N_, Message, msg

_TLS = {"prefer": "prefer", "require": "require", "verify": "verify-full", "disable": "disable"}
_PLACE = sa.text("SELECT current_database(), pg_postmaster_start_time()::text, inet_server_port()")
_HINDRANCE = sa.text("""
SELECT current_setting('server_encoding'), coalesce(bool_or(row_security_active(c.oid)), false)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name
""")
_OPTION = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
# texts of dates, floats and bytes are parsed by us, so their form must not depend on the server's settings
_SESSION = {
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
_KEEPALIVE: dict[str, Any] = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


class PostgreSQL(CapturedDatabase, TwoPhaseDatabase, PushingDatabase):
    """Tables and views of one schema of a PostgreSQL database."""

    spec = ConnectorSpec(
        name="postgresql",
        label="PostgreSQL",
        category=CATEGORY,
        summary=N_("Tables and views of a PostgreSQL database."),
        settings=(
            *server_settings(5432),
            Setting("schema", N_("Schema"), default="public"),
            *TLS_SETTINGS,
            QUERIES_SETTING,
            OWN_TABLE_SETTING,
            OPTIONS_SETTING,
        ),
        capabilities=replace(CAPABILITIES, capture=True, two_phase=True),
    )
    flavor = PostgreSQLFlavor()
    branches = PostgreSQLBranches()
    words = PostgreSQLWords()
    url = "postgresql+psycopg://"
    kept = True

    @property
    def namespace(self) -> str:
        """Return the schema."""
        return str(self.settings.get("schema") or "public")

    def place(self) -> tuple[Any, ...]:
        """Return the database and when its server was started, which no two servers share."""
        with self.session() as connection:
            return tuple(connection.execute(_PLACE).one())

    def hindered(self, schema: str | None, name: str) -> Message | None:
        """Ask for row level security, and for an encoding that holds all characters."""
        with self.session(name) as connection:
            encoding, secured = connection.execute(_HINDRANCE, {"schema": schema, "name": name}).one()
        if encoding != "UTF8":
            return msg("The database has the encoding {encoding}; only in UTF8 it can do that.", encoding=encoding)
        return msg("Users of the database may see different records of '{object}'.", object=name) if secured else None

    def engine_options(self) -> dict[str, Any]:
        """Leave out what asks the server about types that we read as text anyway."""
        return {"use_native_hstore": False}

    def open(self) -> psycopg.Connection:
        """Return a new connection to an address that may be reached."""
        settings = {**_SESSION, **self._options()}
        connection = self._connect()
        try:
            calls = ", ".join("set_config(%s, %s, false)" for _ in settings)
            connection.execute(f"SELECT {calls}".encode(), [part for pair in settings.items() for part in pair])
        except psycopg.Error:
            connection.close()
            raise
        connection.autocommit = False
        return connection

    def digest(self, name: str, of: Sequence[str]) -> Digest | None:
        """Return digests as `hash_record_extended` makes them, which PostgreSQL has since version 14.

        It is not promised to be the same in other versions and on other machines.
        """
        columns = self._table(name).by_name
        if not of or not all(field in columns for field in of):
            return None
        tried = sa.text("SELECT version(), hash_record_extended(row(1, 'a'::text COLLATE \"C\"), 0)")
        try:
            with self.session(name) as connection:
                how = ":".join(map(str, connection.execute(tried).one()))
        except ConnectorError:
            return None
        return Digest(DIGEST, FieldType.INTEGER, nullable=False, of=tuple(of), how=how)

    def log(self, name: str, capture: Capture) -> WindowLog:
        """Return the log of a table."""
        return PostgreSQLLog(self, name, capture, self.replication)

    def changed(self, names: Sequence[str], pause: float) -> Generator[frozenset[str]]:
        """Yield which of the tables were changed, over one stream for all of them."""
        with self.replication() as connection:
            tables = {publication_of(self.namespace, name): name for name in names}
            listener = Listener(connection, self.namespace, tables)
            listener.begin()
            yield frozenset()
            yield from listener.changed(pause)

    @contextlib.contextmanager
    def replication(self) -> Iterator[psycopg.Connection]:
        """Yield a connection of the replication protocol, which gives texts as all others do."""
        options = " ".join(f"-c {name}={value.replace(' ', '')}" for name, value in _SESSION.items())
        try:
            with contextlib.closing(
                self._connect(replication="database", options=f"{options} -c wal_sender_timeout=0")
            ) as connection:
                yield connection
        except psycopg.Error as error:
            raise self.flavor.fault(error, None) from error

    def _connect(self, **more: Any) -> psycopg.Connection:
        address = self.address()
        with self._authority() as authority:
            return psycopg.connect(
                host=self.host, hostaddr=address, port=self.port, dbname=self.settings["database"],
                user=self.settings["user"], password=self.settings.get("password") or "", passfile=os.devnull,
                sslmode=_TLS[self.settings.get("tls") or "prefer"], sslrootcert=authority, sslcertmode="disable",
                gssencmode="disable", connect_timeout=max(2, round(self.context.timeout)), client_encoding="UTF8",
                application_name="syncline", prepare_threshold=None, autocommit=True, **_KEEPALIVE, **more,
            )  # fmt: skip

    def offers_tls(self, connection: socket.socket) -> bool | None:
        """Ask for encryption as every PostgreSQL client does."""
        return offers_tls(connection)

    def _options(self) -> dict[str, str]:
        options = self.settings.get("options") or {}
        if not isinstance(options, dict) or not all(_OPTION.fullmatch(str(name)) for name in options):
            raise Misconfigured(msg("The session settings have to be an object of names and values."))
        return {name: str(value) for name, value in options.items() if name.lower() not in _SESSION}

    @contextlib.contextmanager
    def _authority(self) -> Iterator[str | None]:
        """Yield the file with the certificates to trust; libpq takes no text, and checks whenever it has a file."""
        pem = self.settings.get("tls_ca")
        if self.settings.get("tls") != "verify":
            yield None
            return
        if not pem:
            yield ssl.get_default_verify_paths().cafile or "system"
            return
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(pem)
            file.flush()
            yield file.name
