"""How events travel: syslog over UDP, TCP and TLS; JSON or CEF over HTTPS, with a token or signed."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import select
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from connectors.egress import check_host
from connectors.errors import Misconfigured, Unavailable
from connectors.http_client import client, trust_store
from connectors.spi import Context
from rules.text import msg
from webapp.evidence import forward_formats as formats
from webapp.evidence import forwards
from webapp.evidence.forwards import Forward
from webapp.evidence.targets import LIMITS, PORTS, TIMEOUT, shown
from webapp.extensions import House
from webapp.vault import services as vault

_DATAGRAM = 8_000
"""Longer messages do not arrive in one datagram everywhere: what is longer goes without its values."""
_AT_ONCE, _BREATH = 20, 0.005
"""A receiver of datagrams drops what it has no room for: so many are sent at once, and then it gets time to read."""
_GOODBYE = 5.0
_RESET = 20
"""Milliseconds."""
_TOO_LARGE = 413


def send(house: House, target: Forward, events: Sequence[Any], origin: str) -> None:
    """Send events in their order; raises `ConnectorError` unless all of them have been taken."""
    if target.scheme in forwards.SYSLOG:
        _syslog(house, target, [_message(target, event, origin) for event in events])
    else:
        _post(house, target, events, origin)


def _message(target: Forward, event: Any, origin: str) -> bytes:
    body = ""
    if target.format == formats.JSON:
        body = formats.dumped(formats.as_json(event, origin))
    elif target.format == formats.CEF:
        body = formats.as_cef(event, origin)
    made = formats.as_syslog(event, origin, socket.gethostname(), body)
    if target.scheme == "syslog" and len(made) > _DATAGRAM:
        made = formats.as_syslog(event, origin, socket.gethostname(), "")[:_DATAGRAM]
    return made


def _syslog(house: House, target: Forward, messages: Sequence[bytes]) -> None:
    url = urlsplit(target.address)
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    address = (check_host(host, port, house.settings.egress_allow), port)
    try:
        if url.scheme == "syslog":
            _datagrams(address, messages)
        else:
            _stream(target, host, address, messages)
    except OSError as error:
        text = "The log server {host} (port {port}) does not take the events: {why}"
        raise Unavailable(msg(text, host=host, port=port, why=str(error))) from error


def _datagrams(address: tuple[str, int], messages: Sequence[bytes]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as wire:
        for number, message in enumerate(messages, 1):
            wire.sendto(message, address)
            if number % _AT_ONCE == 0:
                time.sleep(_BREATH)


def _stream(target: Forward, host: str, address: tuple[str, int], messages: Sequence[bytes]) -> None:
    """Send messages counted by their length (RFC 6587), and wait until the server has read them to the end."""
    with socket.create_connection(address, TIMEOUT) as plain, _wrapped(target, plain, host) as wire:
        wire.sendall(b"".join(b"%d %s" % (len(message), message) for message in messages))
        _farewell(wire)


def _farewell(wire: socket.socket) -> None:
    """Say that nothing more comes; a server that has read all closes, one that has gone resets the connection."""
    wire.settimeout(_GOODBYE)
    if isinstance(wire, ssl.SSLSocket):
        with contextlib.suppress(TimeoutError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            wire.unwrap()
        return
    wire.shutdown(socket.SHUT_WR)
    with contextlib.suppress(TimeoutError):
        wire.recv(1)
        _no_reset(wire)


def _no_reset(wire: socket.socket) -> None:
    """Raise `OSError` where a server has closed without reading all: then it resets the connection, if a bit later."""
    watched = select.poll()
    watched.register(wire, select.POLLERR)
    watched.poll(_RESET)
    code = wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _wrapped(target: Forward, plain: socket.socket, host: str) -> socket.socket:
    if target.scheme != "syslog+tls":
        return plain
    return _trust(target).wrap_socket(plain, server_hostname=host)


def _trust(target: Forward) -> ssl.SSLContext:
    return trust_store(str(target.settings.get("certificates") or ""))


def _post(house: House, target: Forward, events: Sequence[Any], origin: str) -> None:
    if target.format == formats.CEF:
        body = "".join(formats.as_cef(event, origin) + "\n" for event in events).encode()
        kind = "text/plain; charset=utf-8"
    else:
        told = {"log": origin, "events": [formats.as_json(event, origin) for event in events]}
        body, kind = formats.dumped(told).encode(), "application/json"
    name = f"{origin}-{events[0].seq}-{events[-1].seq}"
    headers = {"Content-Type": kind, "Idempotency-Key": name, **_signed(house, target, body)}
    context = Context(egress_allow=house.settings.egress_allow, timeout=TIMEOUT)
    agent = {"User-Agent": "Syncline"}
    with client(context, headers=agent, limits=LIMITS, trust=_trust(target), private=("X-Syncline-Signature",)) as http:
        response = http.send(http.build_request("POST", target.address, content=body, headers=headers))
    if response.status_code == _TOO_LARGE and len(events) > 1:
        half = len(events) // 2
        _post(house, target, events[:half], origin)
        _post(house, target, events[half:], origin)
    elif not response.is_success:
        kind_of = Unavailable if response.status_code >= 500 else Misconfigured
        raise kind_of(msg("{url} answered {status}.", url=shown(target.address), status=response.status_code))


def _signed(house: House, target: Forward, body: bytes) -> dict[str, str]:
    """Return the headers by which the receiver knows who sends: a token, or a signature over time and body."""
    sign = target.settings.get("sign")
    if sign not in ("bearer", "hmac"):
        return {}
    with house.db.read() as tx:
        secret = vault.get(tx, vault.keyring(house), forwards.owner(target.id), forwards.SECRET)
    if sign == "bearer":
        return {"Authorization": f"Bearer {secret}"}
    at = int(house.clock().timestamp())
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return {"X-Syncline-Signature": f"t={at},v1={digest}"}
