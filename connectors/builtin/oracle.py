"""Oracle Database from 12.1 on, by its own protocol in pure Python (the driver's thin mode): no client to install."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace
from decimal import Decimal
from typing import Any

import oracledb

from connectors.builtin.database_check import ServerDatabase, Untrusted
from connectors.builtin.database_settings import (
    CAPABILITIES,
    CATEGORY,
    VERIFIED_TLS_SETTING,
    server_settings,
)
from connectors.builtin.dialect_keys import SERVER_SETTINGS, DialectDatabase
from connectors.builtin.oracle_flavor import OracleFlavor
from connectors.spi import ConnectorSpec, Setting
from rules.text import N_, msg

_LARGE = {
    oracledb.DB_TYPE_CLOB: oracledb.DB_TYPE_LONG,
    oracledb.DB_TYPE_NCLOB: oracledb.DB_TYPE_LONG_NVARCHAR,
    oracledb.DB_TYPE_BLOB: oracledb.DB_TYPE_LONG_RAW,
}


class Oracle(DialectDatabase, ServerDatabase):
    """Tables and views of an Oracle database."""

    spec = ConnectorSpec(
        name="oracle",
        label="Oracle Database",
        category=CATEGORY,
        summary=N_("Tables and views of an Oracle database."),
        settings=(
            *(
                replace(setting, label=N_("Service")) if setting.name == "database" else setting
                for setting in server_settings(1521)
            ),
            Setting("schema", N_("Schema"), help=N_("Empty for the one that the user works in."), advanced=True),
            replace(VERIFIED_TLS_SETTING, default="disable"),
            *SERVER_SETTINGS,
        ),
        capabilities=replace(CAPABILITIES, filter=False, ranges=False),
    )
    flavor = OracleFlavor()
    url = "oracle+oracledb://"

    def open(self) -> Any:
        """Return a new connection to an address that may be reached."""
        address = self.address()
        connection = oracledb.connect(
            user=self.settings["user"], password=self.settings.get("password") or "",
            service_name=self.settings["database"], port=self.port, tcp_connect_timeout=self.context.timeout,
            driver_name="syncline", disable_oob=True, **self._place(address),
        )  # fmt: skip
        connection.outputtypehandler = _exact
        with connection.cursor() as cursor:
            cursor.execute("ALTER SESSION SET TIME_ZONE = '+00:00'")
        return connection

    def offers_tls(self, connection: socket.socket) -> bool | None:
        """Return what the settings say: a listener says nothing until it is asked for a service."""
        del connection
        return self.settings.get("tls") == "verify"

    def _place(self, address: str) -> dict[str, Any]:
        """Return where to connect to; with a certificate to check, the driver needs the name it is for."""
        if self.settings.get("tls") != "verify":
            return {"host": address}
        try:
            context = ssl.create_default_context(cadata=self.settings.get("tls_ca") or None)
        except (ssl.SSLError, ValueError) as error:
            raise Untrusted(msg("The certificate authority is no PEM text.")) from error
        return {"host": self.host, "protocol": "tcps", "ssl_context": context, "ssl_server_dn_match": True}


def _exact(cursor: Any, found: Any) -> Any:
    """Fetch numbers with all their digits, and large values as they are."""
    if found.type_code is oracledb.DB_TYPE_NUMBER:
        return cursor.var(Decimal, arraysize=cursor.arraysize)
    if found.type_code in _LARGE:
        return cursor.var(_LARGE[found.type_code], arraysize=cursor.arraysize)
    return None
