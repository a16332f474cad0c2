"""Reaching a message broker: its address and port, encryption, and the first steps of the connection test."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

from connectors.builtin import client_certificate
from connectors.egress import check_host
from connectors.errors import Misconfigured, Unavailable
from connectors.spi import Context, Setting, SettingKind
from rules.text import N_, Message, msg

_PROBE_SECONDS = 5.0
TLS_SETTINGS = (
    Setting("tls", N_("Encryption"), SettingKind.CHOICE, default="disable", advanced=True,
            choices=(("disable", N_("Never")), ("require", N_("Always")),
                     ("verify", N_("Always, and check the server's certificate")))),
    Setting("tls_ca", N_("Certificate authority"), SettingKind.MULTILINE, advanced=True, when=("tls", ("verify",)),
            placeholder="-----BEGIN CERTIFICATE-----",
            help=N_("The PEM text of the authority that signed the server's certificate; empty for the well-known"
                    " ones.")),
    *client_certificate.settings(("tls", ("require", "verify"))),
)  # fmt: skip


def server_settings(port: int) -> tuple[Setting, ...]:
    """Return the settings of a broker that is reached over the network."""
    return (
        Setting("host", N_("Host"), required=True, placeholder="mq.example.com",
                help=N_("Name or address of the server.")),
        Setting("port", N_("Port"), SettingKind.INTEGER, default=port, minimum=1, maximum=65535),
        Setting("user", N_("User"), help=N_("A user with no more rights than the rules need.")),
        Setting("password", N_("Password"), SettingKind.SECRET),
    )  # fmt: skip


class Place:
    """Where a broker is."""

    def __init__(self, settings: Mapping[str, Any], context: Context, label: str) -> None:
        self.host, self.port = str(settings.get("host") or "").strip(), int(settings["port"])
        self.user, self.password = settings.get("user") or "", settings.get("password") or ""
        self.context, self.label = context, label
        self._tls, self._ca = settings.get("tls") or "disable", settings.get("tls_ca") or None
        self.certificate = client_certificate.of(settings)

    @property
    def names(self) -> dict[str, Any]:
        """Return what messages call the place."""
        return {"host": self.host, "port": self.port, "label": self.label}

    def address(self) -> str:
        """Return the address to connect to; raises `Forbidden` or `Unavailable`."""
        return check_host(self.host, self.port, self.context.egress_allow)

    def encryption(self) -> ssl.SSLContext | None:
        """Return how the connection is encrypted, None for not at all; raises `Misconfigured`."""
        if self._tls == "disable":
            return None
        try:
            context = ssl.create_default_context(cadata=self._ca)
        except (ssl.SSLError, ValueError) as error:
            raise Misconfigured(msg("The certificate authority is no PEM text.")) from error
        if self._tls == "require":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None:
            client_certificate.load(context, *self.certificate)
        return context

    def open(self) -> socket.socket:
        """Return a connection to the checked address, encrypted as the settings ask for it."""
        context = self.encryption()
        raw = self.plain()
        return raw if context is None else self.encrypted(raw, context)

    def plain(self) -> socket.socket:
        """Return a connection to the checked address that is not encrypted yet."""
        raw = socket.create_connection((self.address(), self.port), self.context.timeout)
        for option, value in ((socket.TCP_NODELAY, 1), (socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPCNT, 3)):
            raw.setsockopt(socket.IPPROTO_TCP, option, value)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return raw

    def encrypted(self, raw: socket.socket, context: ssl.SSLContext) -> socket.socket:
        """Return an open connection encrypted from now on; raises `Misconfigured`."""
        try:
            return context.wrap_socket(raw, server_hostname=self.host)
        except OSError as error:  # those of TLS are such errors, too
            raw.close()
            raise self.untrusted(error) from error

    def find(self) -> Message:
        """Resolve the host; a step of the connection test."""
        return msg("{host} has the address {address}.", host=self.host, address=self.address())

    def reach(self) -> Message:
        """Connect to the port; a step of the connection test."""
        try:
            place = (self.address(), self.port)
            with socket.create_connection(place, min(self.context.timeout, _PROBE_SECONDS)):
                return msg("Something answers on port {port}.", port=self.port)
        except ConnectionRefusedError as error:
            raise Unavailable(
                msg("Nothing listens on port {port} of {host}.", **self.names),
                msg("Check the port, and that the server runs and takes connections from other machines."),
            ) from error
        except OSError as error:
            raise Unavailable(
                msg("{host} does not answer on port {port}.", **self.names),
                msg("Check host and port, and whether a firewall lies between."),
            ) from error

    def refused(self) -> Message:
        """Return what is said where the broker does not let the user in."""
        return msg("{label} on {host} refuses the user '{user}' or the password.", user=self.user, **self.names)

    def lost(self, problem: object) -> Unavailable:
        """Return the error of a connection that cannot be made or breaks off."""
        return Unavailable(
            msg("The connection to {label} on {host} (port {port}) failed: {problem}.",
                problem=problem if isinstance(problem, Message) else str(problem) or type(problem).__name__,
                **self.names),
            msg("Check that the server runs."),
        )  # fmt: skip

    def untrusted(self, problem: object) -> Misconfigured:
        """Return the error of a connection that cannot be encrypted as the settings ask for it."""
        return Misconfigured(
            msg("The connection to {host} (port {port}) cannot be encrypted: {problem}.",
                problem=str(problem), **self.names),
            msg("Check the port, and the setting for encryption."),
        )  # fmt: skip
