"""Mail servers: where they are, how the connection is encrypted, and how we say who we are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from connectors.builtin.queue_network import Place
from connectors.builtin.rest_auth import Credentials
from connectors.builtin.rest_settings import SPEC as REST
from connectors.builtin.rest_signing_in import credentials_of
from connectors.builtin.rest_tokens import Desk
from connectors.errors import Misconfigured
from connectors.http_flight import Sent
from connectors.spi import Context, Setting, SettingKind
from rules.text import N_, msg

_TOKENS = ("bearer", "oauth2_client", "oauth2_code")
_OF_TOKENS = ("token", "authorize_url", "token_url", "client_id", "client_secret", "scope", "client_auth",
              "refresh_token")  # fmt: skip
_REST = {setting.name: setting for setting in REST.settings}


def server_settings(host: str, port: int, *, encryption: str, guest: bool) -> tuple[Setting, ...]:
    """Return the settings of a mail server.

    Args:
        host: An example of a host.
        port: The usual port.
        encryption: The usual encryption.
        guest: Whether it may be used without saying who we are.
    """
    kinds = (("password", N_("User and password")), ("bearer", N_("Bearer token")),
             ("oauth2_client", N_("OAuth 2 with client credentials")),
             ("oauth2_code", N_("OAuth 2 with a person's consent")))  # fmt: skip
    nobody = (("none", N_("None")),) if guest else ()
    return (
        Setting("host", N_("Host"), required=True, placeholder=host, help=N_("Name or address of the server.")),
        Setting("port", N_("Port"), SettingKind.INTEGER, default=port, minimum=1, maximum=65535),
        Setting("encryption", N_("Encryption"), SettingKind.CHOICE, default=encryption,
                choices=(("tls", N_("From the beginning (TLS)")), ("starttls", N_("Started by a command (STARTTLS)")),
                         ("none", N_("None")))),
        Setting("authentication", N_("Authentication"), SettingKind.CHOICE, default="password",
                choices=(*kinds, *nobody)),
        Setting("user", N_("User"), when=("authentication", ("password", *_TOKENS)), placeholder="orders@example.com"),
        Setting("password", N_("Password"), SettingKind.SECRET, when=("authentication", ("password",))),
        *(_REST[name] for name in _OF_TOKENS),
    )  # fmt: skip


LAST_SETTINGS = (
    Setting("timeout", N_("Seconds to wait for an answer"), SettingKind.INTEGER, default=30, minimum=1, maximum=600,
            advanced=True),
    Setting("tls_ca", N_("Certificate authority"), SettingKind.MULTILINE, advanced=True,
            when=("encryption", ("starttls", "tls")), placeholder="-----BEGIN CERTIFICATE-----",
            help=N_("The PEM text of the authority that signed the server's certificate; empty for the well-known"
                    " ones.")),
    Setting("verify", N_("Check the certificate"), SettingKind.BOOLEAN, default=True, advanced=True,
            when=("encryption", ("starttls", "tls"))),
)  # fmt: skip


class MailServer:
    """A mail server as the settings describe it."""

    def __init__(self, settings: Mapping[str, Any], context: Context, label: str) -> None:
        context = replace(context, timeout=float(settings.get("timeout") or context.timeout))
        encrypted = "verify" if settings.get("verify", True) else "require"
        self.encryption = str(settings.get("encryption") or "tls")
        tls = "disable" if self.encryption == "none" else encrypted
        self.place = Place({**settings, "tls": tls}, context, label)
        self.authentication = str(settings.get("authentication") or "password")
        self._settings, self._context = settings, context

    @property
    def user(self) -> str:
        """Return who we are, empty for nobody; raises `Misconfigured`."""
        user = self.place.user.strip()
        if self.authentication == "none":
            return ""
        if not user or (self.authentication == "password" and not self.place.password):
            raise Misconfigured(
                msg("The mail server needs a user and a password."), msg("Enter them in the connection's settings.")
            )
        return str(user)

    @property
    def start_tls(self) -> bool:
        """Tell whether the connection is encrypted after it was opened."""
        return self.encryption == "starttls"

    def token(self) -> str | None:
        """Return the token that says who we are, None where a password does; raises `Misconfigured` or `AuthFailed`."""
        if self.authentication not in _TOKENS:
            return None
        made = self._credentials.headers(Sent("GET", "", {}, None))
        return str(made["Authorization"]).partition(" ")[2]

    def renew(self) -> bool:
        """Throw away a token that the server does not take any more; tell whether there is another to be had."""
        return self.authentication in _TOKENS and self._credentials.renew()

    @cached_property
    def _credentials(self) -> Credentials:
        settings = {**self._settings, "base_url": f"mail://{self.place.host}:{self.place.port}/{self.user}"}
        desk = Desk(self._context, str(self._settings.get("tls_ca") or ""), bool(self._settings.get("verify", True)))
        return credentials_of(settings, desk)

    def check(self) -> None:
        """Refuse settings that cannot work; raises `Misconfigured`."""
        if not self.place.host:
            raise Misconfigured(msg("The host is empty."), msg("Enter the name of the mail server."))
        _ = self.user
        self.place.encryption()


def bearer(user: str, token: str) -> bytes:
    """Return what says who we are by a token (XOAUTH2)."""
    return f"user={user}\x01auth=Bearer {token}\x01\x01".encode()
