"""Handing mails over to a mail server (SMTP): all recipients of a mail or none, and what a refusal means."""

from __future__ import annotations

import base64
import smtplib
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from connectors.builtin.mail_server import MailServer, bearer
from connectors.errors import AuthFailed, ConnectorError, Misconfigured, RecordRejected, Unavailable
from rules.text import msg

_BUSY = 400
_REFUSED = 500
_GONE = 421
_PERSISTENT = (530, 534, 535, 538)
Said = tuple[int, bytes]


class Later(Unavailable):
    """A mail that the server takes later; it takes others."""


class _Checked(smtplib.SMTP):
    """A client that connects to the checked address of its host, encrypted as the settings ask for it."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        place = server.place
        super().__init__(place.host, place.port, local_hostname="syncline.invalid", timeout=place.context.timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del host, port
        place = self._server.place
        made = place.plain() if self._server.start_tls else place.open()
        made.settimeout(timeout)
        return made


class Outbox:
    """A signed-in connection."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        try:
            self._client = _Checked(server)
        except (OSError, smtplib.SMTPException) as error:
            raise self._lost(error) from error
        try:
            self._begin()
        except ConnectorError:
            self.close()
            raise
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise self._lost(error) from error

    def close(self) -> None:
        """Say good-bye and close the connection."""
        with suppress(OSError, smtplib.SMTPException):
            self._client.quit()
        self._client.close()

    @property
    def largest(self) -> int | None:
        """Return how many bytes a mail may have, None where the server does not tell."""
        size = self._client.esmtp_features.get("size", "")
        return int(size) if size.isdecimal() and int(size) else None

    def send(self, sender: str, recipients: Sequence[str], raw: bytes) -> None:
        """Hand a mail over; it goes to all of its recipients or to none.

        Raises:
            RecordRejected: The server refuses the mail, its sender or a recipient.
            Later: It does so for now.
            Unavailable: The connection was lost; nobody knows whether the mail was taken.
        """
        try:
            self._send(sender, recipients, raw)
        except (OSError, smtplib.SMTPException) as error:
            raise self._lost(error) from error

    def _send(self, sender: str, recipients: Sequence[str], raw: bytes) -> None:
        wide = not all(address.isascii() for address in (sender, *recipients))
        if wide and not self._client.has_extn("smtputf8"):
            raise RecordRejected(msg("The mail server takes only addresses of letters without accents (SMTPUTF8)."))
        options = [f"size={len(raw)}"] if self._client.has_extn("size") else []
        options += ["SMTPUTF8"] if wide else []
        options += ["BODY=8BITMIME"] if wide and self._client.has_extn("8bitmime") else []
        if wide:
            self._client.command_encoding = "utf-8"
        self._judged(self._client.mail(sender, options), sender)
        for address in recipients:
            self._judged(self._client.rcpt(address), address)
        self._judged(self._data(raw), "")

    def _data(self, raw: bytes) -> Said:
        try:
            return self._client.data(raw)
        except smtplib.SMTPDataError as error:
            return error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""

    def _judged(self, said: Said, address: str) -> None:
        """Go on, or give the mail up so that nothing of it is sent."""
        code, words = said[0], _words(said)
        if code < _BUSY:
            return
        if code == _GONE:
            raise self.server.place.lost(words)
        with suppress(OSError, smtplib.SMTPException):
            self._client.rset()
        if code < _REFUSED or code in _PERSISTENT:
            raise Later(
                msg("The mail server does not take the mail for now ({code}): {said}.", code=code, said=words),
                msg("It is tried again."),
            )
        if address:
            raise RecordRejected(
                msg("The mail server refuses the address {address} ({code}): {said}.",
                    address=address, code=code, said=words)
            )  # fmt: skip
        raise RecordRejected(msg("The mail server refuses the mail ({code}): {said}.", code=code, said=words))

    def _begin(self) -> None:
        self._client.ehlo_or_helo_if_needed()
        if self.server.start_tls:
            self._encrypt()
        if self.server.user:
            self._sign_in(self.server.user)

    def _encrypt(self) -> None:
        context = self.server.place.encryption()
        if not self._client.has_extn("starttls"):
            raise Misconfigured(
                msg("The mail server on {host} does not encrypt port {port} (STARTTLS): {said}.",
                    said="-", **self.server.place.names),
                msg("Choose the encryption from the beginning and its port, or ask the operator of the server."),
            )  # fmt: skip
        try:
            self._client.starttls(context=context)
        except OSError as error:
            raise self.server.place.untrusted(error) from error
        self._client.ehlo()

    def _sign_in(self, user: str) -> None:
        offered = self._client.esmtp_features.get("auth", "").upper().split()
        if not offered:
            raise AuthFailed(
                msg("The mail server takes no password over this connection."),
                msg("Choose an encryption in the connection's settings, or no authentication."),
            )
        said = self._offered(user, offered)
        if said[0] // 100 == 5 and self.server.renew():
            said = self._offered(user, offered)
        if said[0] // 100 == 4:
            raise Unavailable(
                msg("The mail server takes nobody in at the moment: {said}.", said=_words(said)),
                msg("Try again later."),
            )
        if said[0] // 100 != 2:
            raise AuthFailed(self.server.place.refused(), msg("Check both in the connection's settings."))

    def _offered(self, user: str, offered: Sequence[str]) -> Said:
        token, password = self.server.token(), str(self.server.place.password)
        if token is not None:
            return self._asked("XOAUTH2", bearer(user, token))
        if "PLAIN" in offered:
            return self._asked("PLAIN", f"\0{user}\0{password}".encode())
        return self._by_login(user, password)

    def _asked(self, mechanism: str, first: bytes) -> Said:
        said = self._client.docmd("AUTH", f"{mechanism} {base64.b64encode(first).decode()}")
        return self._client.docmd("") if said[0] == 334 else said  # it asks to be told that we know why it refuses

    def _by_login(self, user: str, password: str) -> Said:
        said: Said = self._client.docmd("AUTH", "LOGIN")
        for text in (user, password):
            if said[0] == 334:
                said = self._client.docmd(base64.b64encode(text.encode()).decode())
        return said

    def _lost(self, error: Exception) -> Unavailable:
        if isinstance(error, smtplib.SMTPResponseException):
            return self.server.place.lost(_words((error.smtp_code, error.smtp_error)))
        return self.server.place.lost(error)


def _words(said: tuple[int, Any]) -> str:
    """Return the server's words in one line."""
    text = said[1].decode("utf-8", "replace") if isinstance(said[1], bytes) else str(said[1])
    return " ".join(text.split()).rstrip(".")[:200] or str(said[0])
