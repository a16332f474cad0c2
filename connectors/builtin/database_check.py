"""Databases that are reached over the network, and their connection test, one step for each thing that may be wrong."""

from __future__ import annotations

import socket
from abc import abstractmethod
from collections.abc import Callable, Iterator

from connectors import egress
from connectors.builtin.database import Database
from connectors.errors import ConnectorError, Misconfigured, Unavailable
from connectors.spi import ObjectInfo, Step
from connectors.steps import stepwise
from rules.text import N_, Message, msg

_PROBE_SECONDS = 5.0


class NoDatabase(Misconfigured):
    """The server has no database of the configured name."""


class Untrusted(Misconfigured):
    """The connection cannot be encrypted as the settings ask for."""


class ServerDatabase(Database):
    """A database behind a host and a port."""

    @abstractmethod
    def offers_tls(self, connection: socket.socket) -> bool | None:
        """Tell whether a fresh TCP connection offers encryption; None: another kind of server listens there."""

    def slow_writes(self) -> Message | None:
        """Return why many records are written more slowly than need be; None where they are not."""
        return None

    @property
    def host(self) -> str:
        """Return the host without stray spaces."""
        return str(self.settings["host"]).strip()

    @property
    def port(self) -> int:
        """Return the port."""
        return int(self.settings["port"])

    def address(self) -> str:
        """Return the address to connect to; raises `Forbidden` or `Unavailable`."""
        return egress.check_host(self.host, self.port, self.context.egress_allow)

    def check(self) -> Iterator[Step]:
        """Yield the steps of a connection test and stop behind the first that fails."""
        return stepwise(_ConnectionTest(self).steps())


class _ConnectionTest:
    """The steps in their order, and what one finds for the next."""

    def __init__(self, database: ServerDatabase) -> None:
        self._database = database
        self._address = ""
        self._offers_tls = False
        self._error: ConnectorError | None = None
        self._objects: list[ObjectInfo] = []

    def steps(self) -> Iterator[tuple[str, Callable[[], Message]]]:
        yield N_("Find the server"), self._find
        yield N_("Reach the port"), self._reach
        yield N_("Encrypt the connection"), self._encrypt
        yield N_("Sign in"), self._sign_in
        yield N_("Open the database"), self._open
        yield N_("Read"), self._read
        yield N_("Write"), self._write

    def _find(self) -> Message:
        self._address = self._database.address()
        return msg("{host} has the address {address}.", host=self._database.host, address=self._address)

    def _reach(self) -> Message:
        database, place = self._database, (self._address, self._database.port)
        values = {"host": database.host, "port": database.port, "database": msg(database.spec.label)}
        try:
            with socket.create_connection(place, min(database.context.timeout, _PROBE_SECONDS)) as connection:
                offers = database.offers_tls(connection)
        except ConnectionRefusedError as error:
            raise Unavailable(
                msg("Nothing listens on port {port} of {host}.", **values),
                msg("Check the port, and that the database runs and takes connections from other machines."),
            ) from error
        except TimeoutError as error:
            raise Unavailable(
                msg("{host} does not answer on port {port}.", **values),
                msg("Check host and port, and whether a firewall lies between."),
            ) from error
        except OSError as error:
            raise Unavailable(msg("{host} cannot be reached on port {port}.", **values)) from error
        if offers is None:
            raise Misconfigured(
                msg("What answers on port {port} of {host} is not {database}.", **values),
                msg("Check the port."),
            )
        self._offers_tls = offers
        return msg("{database} answers on port {port}.", **values)

    def _encrypt(self) -> Message:
        wanted = self._database.settings.get("tls") or "prefer"
        if wanted in {"require", "verify"} and not self._offers_tls:
            raise Untrusted(
                msg("The server offers no encryption, but the settings ask for it."),
                msg("Set encryption up on the server, or choose another setting."),
            )
        try:
            with self._database.session():
                pass
        except Untrusted:
            raise
        except ConnectorError as error:
            self._error = error
        if wanted == "disable" or not self._offers_tls:
            return msg("The connection is not encrypted.")
        return msg("The connection is encrypted.")

    def _sign_in(self) -> Message:
        if self._error is not None and not isinstance(self._error, NoDatabase):
            raise self._error
        return msg("{user} may sign in.", user=self._database.settings["user"])

    def _open(self) -> Message:
        if self._error is not None:
            raise self._error
        return msg("The database {database} is open.", database=self._database.settings["database"])

    def _read(self) -> Message:
        self._objects = self._database.objects()
        if not self._objects:
            return msg("There is no table or view that this user may read.")
        return msg("{count} tables and views can be read.", count=len(self._objects))

    def _write(self) -> Message:
        count = sum(found.writable for found in self._objects)
        if not count:
            return msg("This user may only read.")
        written, slow = msg("{count} tables and views can be written.", count=count), self._database.slow_writes()
        return written if slow is None else msg("{first} {second}", first=written, second=slow)
