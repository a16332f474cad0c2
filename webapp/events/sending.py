"""Messages to the world outside: web hooks and e-mails, both to checked addresses only."""

from __future__ import annotations

import ipaddress
import json
import smtplib
import socket
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import config
from connectors.egress import check_host
from connectors.errors import Fatal, Misconfigured, Unavailable
from connectors.http_client import Limits, client
from connectors.spi import Context
from rules.text import N_, msg
from webapp.events.claims import Action
from webapp.events.hook_schemes import SCHEMES, Proof
from webapp.extensions import House
from webapp.runs.execution import installation_id
from webapp.vault import references
from webapp.vault.errors import VaultError

TIMEOUT = 15.0
LIMITS = Limits(size=1024 * 1024, seconds=60.0)
SMTP_PORTS = {"smtp": 587, "smtps": 465}


def idempotency_key(house: House, action: Action) -> str:
    """Return what tells a receiver that it has seen a request before."""
    return f"{installation_id(house)}-{action.id}"


def web_hook(house: House, action: Action, hook: Mapping[str, Any]) -> dict[str, Any]:
    """Send a web hook and return what was answered; raises `ConnectorError`."""
    body = json.dumps(hook["body"], ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key(house, action)}
    if hook.get("secret"):
        headers |= _signed(house, hook["secret"], body)
    allowed = Context(egress_allow=house.settings.egress_allow, timeout=TIMEOUT)
    with client(allowed, headers={"User-Agent": "Syncline"}, private=("x-syncline-signature",), limits=LIMITS) as http:
        response = http.send(http.build_request("POST", hook["url"], content=body, headers=headers))
    if response.status_code >= 500 or response.status_code in (408, 429):
        raise Unavailable(msg("{url} answered {status}.", url=hook["url"], status=response.status_code))
    if not response.is_success:
        raise Fatal(msg("{url} answered {status}.", url=hook["url"], status=response.status_code))
    return {"status": response.status_code}


def _signed(house: House, secret: str, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver knows who sends: signatures over time and body, and over the body alone.

    The time is that of this attempt, so that a receiver can refuse what is old.
    """
    reference = secret if references.is_reference(secret) else f"vault:{secret}"
    try:
        key = references.resolve(house, reference)
    except VaultError as error:
        raise Misconfigured(error.message) from None
    proof = Proof(str(int(house.clock().timestamp())), ())
    timed, bare = (SCHEMES[name].sign(key, proof, body) for name in ("syncline", "github"))
    return {"X-Syncline-Time": proof.time, "X-Syncline-Signature": f"sha256={bare},v1={timed}"}


def mail(house: House, action: Action, letter: Mapping[str, Any]) -> dict[str, Any]:
    """Send the e-mail of an action; raises `ConnectorError`."""
    return deliver(house, letter, idempotency_key(house, action))


def can_mail(house: House) -> bool:
    """Tell whether e-mails can be sent: a mail server and a sender are set."""
    return bool(house.settings.smtp_url and house.settings.mail_from)


def deliver(house: House, letter: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Send an e-mail, `to`, `subject` and `text`, under a name that tells it apart; raises `ConnectorError`."""
    settings = house.settings
    if not can_mail(house):
        text = N_("E-mails cannot be sent: SYNCLINE_SMTP_URL and SYNCLINE_MAIL_FROM are not set.")
        raise Misconfigured(msg(text), msg("Ask the operator to set them."))
    message = EmailMessage()
    message["From"], message["To"] = settings.mail_from, ", ".join(letter["to"])
    message["Subject"] = " ".join(letter["subject"].split())
    message["Message-ID"] = f"<{name}@syncline>"
    message.set_content(letter["text"])
    try:
        _deliver(settings, message)
    except smtplib.SMTPRecipientsRefused as error:
        raise Fatal(msg("The mail server refuses {addresses}.", addresses=", ".join(error.recipients))) from error
    except smtplib.SMTPAuthenticationError as error:
        raise Misconfigured(msg("The mail server refuses the user or password of SYNCLINE_SMTP_URL.")) from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(msg("The mail server does not take the message: {reason}", reason=str(error))) from error
    return {"to": list(letter["to"])}


class _Smtp(smtplib.SMTP):
    """Connects to a checked address of the host; the name that TLS checks stays that of the host."""

    def __init__(self, host: str, allow: tuple[str, ...]) -> None:
        self.allow = allow
        super().__init__(timeout=TIMEOUT)
        self._host = host

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((check_host(host, port, self.allow), port), timeout)


class _Smtps(_Smtp):
    """The same, encrypted from the first byte."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = super()._get_socket(host, port, timeout)
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def _deliver(settings: config.Settings, message: EmailMessage) -> None:
    url = urlsplit(settings.smtp_url)
    host = url.hostname or ""
    server = (_Smtps if url.scheme == "smtps" else _Smtp)(host, settings.egress_allow)
    server.connect(host, url.port or SMTP_PORTS[url.scheme])
    with server:
        server.ehlo()
        if url.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
        if url.username:
            _check_private(server, host)
            server.login(unquote(url.username), config.smtp_password())
        server.send_message(message)


def _check_private(server: smtplib.SMTP, host: str) -> None:
    """Refuse to send a password over a network in clear."""
    connection = server.sock
    if isinstance(connection, ssl.SSLSocket) or (connection is not None and _on_this_machine(connection)):
        return
    raise Misconfigured(
        msg("The mail server {host} offers no encryption, so the password is not sent to it.", host=host),
        msg("Ask the operator to use smtps:// in SYNCLINE_SMTP_URL, or to leave the user out of it."),
    )


def _on_this_machine(connection: socket.socket) -> bool:
    return ipaddress.ip_address(connection.getpeername()[0]).is_loopback
