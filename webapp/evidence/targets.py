"""Places outside that keep checkpoints: a file, syslog, an e-mail address, a web hook; each an address in the settings.

A checkpoint is signed, so it needs no further protection on its way: nobody can be made to believe another one.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from babel.support import Translations

from connectors.egress import check_host
from connectors.errors import Fatal, Unavailable
from connectors.http_client import Limits, client
from connectors.spi import Context
from rules.text import N_, msg
from webapp.audit.canonical import stamp
from webapp.audit.notes import Checkpoint
from webapp.events.sending import deliver
from webapp.extensions import House
from webapp.web.language import TRANSLATIONS

TIMEOUT = 15.0
LIMITS = Limits(size=64 * 1024, seconds=60.0)
PORTS = {"syslog": 514, "syslog+tcp": 601, "syslog+tls": 6514}
_LOG_AUDIT_NOTICE = 13 * 8 + 5
_SECRETIVE = ("http", "https", "syslog", "syslog+tcp", "syslog+tls")
_TOKEN = 16
"""A part of a path that is so long may be a token, as in the addresses of chat services."""
_SUBJECT = N_("Audit log: checkpoint over {size} events")


def send(house: House, target: str, said: Checkpoint, note: str) -> None:
    """Send a checkpoint to a target; raises `ConnectorError`."""
    _SENDERS[urlsplit(target).scheme](house, target, said, note)


def shown(target: str) -> str:
    """Return a target without what may be a secret in it: users, passwords, tokens in paths and queries."""
    url = urlsplit(target)
    if url.scheme not in _SECRETIVE:
        return target
    user, at, place = url.netloc.rpartition("@")
    path = "/".join("***" if len(part) >= _TOKEN else part for part in url.path.split("/"))
    shortened = url._replace(netloc=f"***@{place}" if at and user else place, path=path)
    return shortened._replace(query="***" if url.query else "", fragment="").geturl()


def known_as(said: Checkpoint) -> str:
    """Return the name by which a receiver knows a checkpoint again; one of another log of the same size differs."""
    return f"{said.origin}-{said.size}-{said.root.hex()[:16]}"


def body(said: Checkpoint, note: str) -> str:
    """Return a checkpoint as one line of JSON."""
    told = {"origin": said.origin, "size": said.size, "root": said.root.hex(), "at": stamp(said.at), "note": note}
    return json.dumps(told, ensure_ascii=True)


def _file(_house: House, target: str, _said: Checkpoint, note: str) -> None:
    path = Path(unquote(urlsplit(target).path))
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        with os.fdopen(handle, "ab") as file:
            file.write(f"{note}\n".encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise Unavailable(msg("The file {path} cannot be written: {why}.", path=str(path), why=why)) from error


def _syslog(house: House, target: str, said: Checkpoint, note: str) -> None:
    """Send a message of RFC 5424: over UDP a datagram, else counted by its length (RFC 6587)."""
    url = urlsplit(target)
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    name = socket.gethostname() or "-"
    head = f"<{_LOG_AUDIT_NOTICE}>1 {stamp(said.at)} {name} syncline {os.getpid()} checkpoint - "
    message = (head + body(said, note)).encode()
    address = (check_host(host, port, house.settings.egress_allow), port)
    try:
        if url.scheme == "syslog":
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as wire:
                wire.sendto(message, address)
            return
        with socket.create_connection(address, TIMEOUT) as plain, _wrapped(plain, url.scheme, host) as wire:
            wire.sendall(b"%d %s" % (len(message), message))
    except OSError as error:
        text = "The log server {host} (port {port}) does not take the checkpoint: {why}"
        raise Unavailable(msg(text, host=host, port=port, why=str(error))) from error


def _wrapped(plain: socket.socket, scheme: str, host: str) -> socket.socket:
    if scheme != "syslog+tls":
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def _mail(house: House, target: str, said: Checkpoint, note: str) -> None:
    words = Translations.load(TRANSLATIONS, [house.settings.language])
    subject = words.gettext(_SUBJECT).format(size=said.size)
    letter = {"to": [unquote(urlsplit(target).path)], "subject": subject, "text": note}
    deliver(house, letter, f"checkpoint-{known_as(said).replace('/', '-')}")


def _hook(house: House, target: str, said: Checkpoint, note: str) -> None:
    allowed = Context(egress_allow=house.settings.egress_allow, timeout=TIMEOUT)
    headers = {"Content-Type": "application/json", "Idempotency-Key": known_as(said)}
    with client(allowed, headers={"User-Agent": "Syncline"}, limits=LIMITS) as http:
        request = http.build_request("POST", target, content=body(said, note).encode(), headers=headers)
        response = http.send(request)
    if not response.is_success:
        kind = Unavailable if response.status_code >= 500 or response.status_code in (408, 429) else Fatal
        raise kind(msg("{url} answered {status}.", url=shown(target), status=response.status_code))


_SENDERS: dict[str, Callable[[House, str, Checkpoint, str], None]] = {
    "file": _file,
    "syslog": _syslog,
    "syslog+tcp": _syslog,
    "syslog+tls": _syslog,
    "mailto": _mail,
    "http": _hook,
    "https": _hook,
}
