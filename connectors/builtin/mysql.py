"""MySQL and MariaDB."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NoReturn

import pymysql
from pymysql.constants import CLIENT, FIELD_TYPE
from pymysql.converters import conversions

from connectors.builtin import mysql_listen
from connectors.builtin.database_captured import CapturedDatabase
from connectors.builtin.database_changes import WindowLog
from connectors.builtin.database_check import Untrusted
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
from connectors.builtin.mysql_changes import MariaDBLog, MySQLLog
from connectors.builtin.mysql_flavor import MySQLFlavor
from connectors.builtin.mysql_listen import Heard
from connectors.builtin.mysql_two_phase import MySQLBranches
from connectors.builtin.mysql_wire import Wire
from connectors.errors import Misconfigured, Unavailable
from connectors.spi import Capture, ConnectorSpec
from rules.text import N_, Message, msg

_SLOW = msg("The server does not allow 'local_infile', which would make writing many records faster.")
_OPTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SESSION = (
    "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION',"
    " sql_notes = 1, max_error_count = 65535"
)
_TEXTUAL = (
    FIELD_TYPE.DECIMAL,
    FIELD_TYPE.NEWDECIMAL,
    FIELD_TYPE.DATE,
    FIELD_TYPE.TIME,
    FIELD_TYPE.DATETIME,
    FIELD_TYPE.TIMESTAMP,
)
# what we parse ourselves, exactly, stays text
_CONVERSIONS: dict[Any, Any] = {**conversions, **dict.fromkeys(_TEXTUAL, str)}
_OURS = {"time_zone", "sql_mode", "sql_notes", "max_error_count"}
_PROTOCOL, _REFUSED = 10, 255
_HEADER = 5


class _NoClearText:
    """Refuses to send a password in clear because a server asks for it."""

    def __init__(self, _: Any) -> None:
        pass

    def authenticate(self, _: Any) -> NoReturn:
        raise pymysql.OperationalError(2059, "The server asks for the password in clear text.")


class MySQL(CapturedDatabase, TwoPhaseDatabase):
    """Tables and views of a MySQL or MariaDB database."""

    spec = ConnectorSpec(
        name="mysql",
        label="MySQL, MariaDB",
        category=CATEGORY,
        summary=N_("Tables and views of a MySQL or MariaDB database."),
        settings=(*server_settings(3306), *TLS_SETTINGS, QUERIES_SETTING, OWN_TABLE_SETTING, OPTIONS_SETTING),
        capabilities=replace(CAPABILITIES, capture=True, two_phase=True),
    )
    flavor = MySQLFlavor()
    branches = MySQLBranches()
    url = "mysql+pymysql://"
    kept = True

    def engine_options(self) -> dict[str, Any]:
        """Give parameters by position, which is how rows are given."""
        return {"paramstyle": "format"}

    def open(self) -> pymysql.Connection[Any]:
        """Return a new connection to an address that may be reached."""
        connection = Wire(
            host=self.host, port=self.port, user=self.settings["user"], database=self.settings["database"],
            password=(self.settings.get("password") or "").encode(), charset="utf8mb4", conv=_CONVERSIONS,
            client_flag=CLIENT.FOUND_ROWS | CLIENT.LOCAL_FILES, init_command=_SESSION, program_name="syncline",
            defer_connect=True,
            auth_plugin_map={"mysql_clear_password": _NoClearText, "dialog": _NoClearText}, **self._tls(),
        )  # fmt: skip
        options, network = self._options(), self._socket()
        try:
            connection.connect(network)
            with connection.cursor() as cursor:
                for name, value in options.items():
                    cursor.execute(f"SET SESSION {name} = %s", [value])
        except pymysql.Error:
            network.close()
            raise
        return connection

    def log(self, name: str, capture: Capture) -> WindowLog:
        """Return the log of a table."""
        kind = MariaDBLog if self._is_mariadb else MySQLLog
        return kind(self, name, capture, self.open)

    @cached_property
    def _is_mariadb(self) -> bool:
        with self.session() as connection:
            return bool(getattr(connection.dialect, "is_mariadb", False))

    def changed(self, names: Sequence[str], pause: float) -> Generator[frozenset[str]]:
        """Yield which of the tables were changed, over one stream for all of them."""
        place = self.log(names[0], Capture("syncline_listen", "")).end()
        yield frozenset()
        heard = Heard(self.settings["database"], names, place["gtid"], self._is_mariadb)
        try:
            yield from mysql_listen.changed(self.open, heard, pause)
        except self.flavor.driver_errors as error:
            raise self.flavor.fault(error, None) from error

    def offers_tls(self, connection: socket.socket) -> bool | None:
        """Read the greeting with which every MySQL server begins."""
        try:
            return _greets(connection) and bool(_capabilities(connection) & CLIENT.SSL)
        except (TimeoutError, ConnectionError):
            return None

    def slow_writes(self) -> Message | None:
        """Tell of a server that takes no load from memory."""
        with self.session() as connection:
            allowed = connection.exec_driver_sql("SELECT @@local_infile").scalar()
        return None if allowed else _SLOW

    def _socket(self) -> socket.socket:
        """Connect to the checked address, keep the connection alive, and see that MySQL is there."""
        try:
            connection = socket.create_connection((self.address(), self.port), self.context.timeout)
        except OSError as error:
            raise Unavailable(
                msg("{host} cannot be reached on port {port}.", host=self.host, port=self.port)
            ) from error
        for option, value in _KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            greets = _greets(connection)
        except OSError:
            greets = None
        if not greets:
            connection.close()
            raise Misconfigured(
                msg("What answers on port {port} of {host} is not MySQL.", host=self.host, port=self.port)
            )
        return connection

    def _tls(self) -> dict[str, Any]:
        mode = self.settings.get("tls") or "prefer"
        if mode == "disable":
            return {"ssl_disabled": True}
        if mode == "prefer":
            return {}
        try:
            context = ssl.create_default_context(cadata=self.settings.get("tls_ca") or None)
        except (ssl.SSLError, ValueError) as error:
            raise Untrusted(msg("The certificate authority is no PEM text.")) from error
        if mode == "require":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return {"ssl": context}

    def _options(self) -> dict[str, Any]:
        options = self.settings.get("options") or {}
        if not isinstance(options, dict) or not all(_OPTION.fullmatch(str(name)) for name in options):
            raise Misconfigured(msg("The session settings have to be an object of names and values."))
        return {name: value for name, value in options.items() if name.lower() not in _OURS}


_KEEPALIVE = (
    (socket.TCP_NODELAY, 1),
    (socket.TCP_KEEPIDLE, 30),
    (socket.TCP_KEEPINTVL, 10),
    (socket.TCP_KEEPCNT, 3),
)


def _greets(connection: socket.socket) -> bool | None:
    """Look at the first packet without taking it: its protocol number, or an error such as a blocked host."""
    start = connection.recv(_HEADER, socket.MSG_PEEK | socket.MSG_WAITALL)
    return True if len(start) == _HEADER and start[4] in {_PROTOCOL, _REFUSED} else None


def _capabilities(connection: socket.socket) -> int:
    """Return the low capability flags of a greeting: behind version text, thread (4), salt (8) and a zero."""
    packet = connection.recv(4096)[_HEADER:]
    rest = packet[packet.find(b"\0") + 1 + 13 :]
    return int.from_bytes(rest[:2], "little")
