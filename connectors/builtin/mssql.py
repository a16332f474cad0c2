"""Microsoft SQL Server, also as Azure SQL, by its own protocol (TDS) in pure Python."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytds

from connectors.builtin.database_check import ServerDatabase, Untrusted
from connectors.builtin.database_settings import (
    CAPABILITIES,
    CATEGORY,
    VERIFIED_TLS_SETTING,
    server_settings,
)
from connectors.builtin.dialect_keys import SERVER_SETTINGS, DialectDatabase
from connectors.builtin.mssql_flavor import MSSQLFlavor
from connectors.errors import Unavailable
from connectors.spi import ConnectorSpec, Setting
from rules.text import N_, msg

# a PRELOGIN packet that offers encryption: MS-TDS, section 2.2.6.5
_PRELOGIN, _ANSWER, _LAST, _ENCRYPTION, _END = 0x12, 0x04, 0x01, 0x01, 0xFF
_OPTIONS = bytes([0, 0, 11, 0, 6, _ENCRYPTION, 0, 17, 0, 1, _END]) + bytes(6) + b"\x00"
_HEADER = 8
_NO_ENCRYPTION = 2


class MSSQL(DialectDatabase, ServerDatabase):
    """Tables and views of a SQL Server database."""

    spec = ConnectorSpec(
        name="mssql",
        label="Microsoft SQL Server",
        category=CATEGORY,
        summary=N_("Tables and views of a SQL Server or Azure SQL database."),
        settings=(
            *server_settings(1433),
            Setting("schema", N_("Schema"), default="dbo"),
            VERIFIED_TLS_SETTING,
            *SERVER_SETTINGS,
        ),
        capabilities=replace(CAPABILITIES, filter=False, ranges=False),
    )
    flavor = MSSQLFlavor()
    url = "mssql+pytds://"

    def open(self) -> Any:
        """Return a new connection to an address that may be reached."""
        address = self.address()
        try:
            network = socket.create_connection((address, self.port), self.context.timeout)
        except OSError as error:
            raise Unavailable(
                msg("{host} cannot be reached on port {port}.", host=self.host, port=self.port)
            ) from error
        try:
            with self._authority() as authority:
                return pytds.connect(
                    dsn=self.host, port=self.port, database=self.settings["database"], user=self.settings["user"],
                    password=self.settings.get("password") or "", sock=network, cafile=authority, appname="syncline",
                    login_timeout=self.context.timeout, disable_connect_retry=True, use_tz=None,
                )  # fmt: skip
        except Exception as error:
            network.close()
            if isinstance(error, (pytds.Error, OSError)):
                raise
            # the driver says so by an error of no kind of its own
            raise Untrusted(
                msg("The server wants the sign-in to be encrypted, or its encryption is not to be trusted."),
                msg("Choose another encryption, or check the certificate authority."),
            ) from error

    def offers_tls(self, connection: socket.socket) -> bool | None:
        """Say hello as every client does, and read what the server says of encryption."""
        size = (_HEADER + len(_OPTIONS)).to_bytes(2)
        connection.sendall(bytes([_PRELOGIN, _LAST]) + size + bytes(4) + _OPTIONS)
        try:
            answer = connection.recv(4096)
        except (TimeoutError, ConnectionError):
            return None
        if len(answer) <= _HEADER or answer[0] != _ANSWER:
            return None
        return _encryption(answer[_HEADER:])

    @contextlib.contextmanager
    def _authority(self) -> Iterator[str | None]:
        """Yield the file with the certificates to trust, None without encryption."""
        if self.settings.get("tls") == "disable":
            yield None
        elif not self.settings.get("tls_ca"):
            yield ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
        else:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(self.settings["tls_ca"])
                file.flush()
                yield file.name


def _encryption(options: bytes) -> bool | None:
    """Return what the answer to a PRELOGIN says of encryption."""
    for at in range(0, len(options) - 4, 5):
        if options[at] == _END:
            return None
        if options[at] == _ENCRYPTION:
            place = int.from_bytes(options[at + 1 : at + 3])
            return options[place] != _NO_ENCRYPTION if place < len(options) else None
    return None
