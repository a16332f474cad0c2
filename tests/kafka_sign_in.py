"""A gate before a Kafka broker that lets only those in who sign in: SASL PLAIN and SCRAM, over TLS if asked for.

No broker that signs users in is to be had from the package registries, so the gate does what KIP-12, KIP-43, KIP-84 and
KIP-152 say a broker does, and refuses everything else before it. Behind it is the real broker.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests import brokers
from tests.servers import LOOPBACK, certify, free_port

_VERSIONS, _HANDSHAKE, _AUTHENTICATE = 18, 17, 36
_UNSUPPORTED, _REFUSED = 33, 58
_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_ROUNDS = 4096


class NotLetInError(Exception):
    """What a client said is not what it may say now."""


@dataclass
class Gate:
    """The gate of one broker, and who has come in by which way."""

    broker: brokers.Broker
    host: str
    port: int
    user: str
    password: str
    context: ssl.SSLContext | None = None
    certificate: str = ""
    key: str = ""
    come_in: set[str] = field(default_factory=set)


@contextlib.contextmanager
def kafka(folder: Path, *, encrypted: bool) -> Iterator[Gate]:
    """Run a broker behind a gate; encrypted, it wants a certificate of each client, too."""
    host, port = "localhost" if encrypted else LOOPBACK, free_port()
    with brokers.kafka(f"{host}:{port}") as broker:
        gate = Gate(broker, host, port, "ada", "correct, horse")
        if encrypted:
            certificate, key = certify(folder)
            gate.certificate, gate.key = certificate.read_text(), key.read_text()
            gate.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            gate.context.load_cert_chain(certificate, key)
            gate.context.load_verify_locations(certificate)
            gate.context.verify_mode = ssl.CERT_REQUIRED
        with socket.create_server((LOOPBACK, port)) as listener:
            threading.Thread(target=_accept, args=(listener, gate), daemon=True).start()
            yield gate
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, gate: Gate) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, gate), daemon=True).start()


def _serve(client: socket.socket, gate: Gate) -> None:
    with contextlib.suppress(OSError, NotLetInError), client:
        near = gate.context.wrap_socket(client, server_side=True) if gate.context else client
        with near, socket.create_connection((LOOPBACK, gate.broker.port)) as far:
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Door(near, far, gate).let_in()
            while True:  # each request of ours is answered, in the order of the requests
                far.sendall(_framed(_frame(near)))
                near.sendall(_framed(_frame(far)))


class _Door:
    """What is said before a client is in."""

    def __init__(self, near: socket.socket, far: socket.socket, gate: Gate) -> None:
        self.near, self.far, self.gate = near, far, gate

    def let_in(self) -> None:
        """Answer until the client has signed in; raises `NotLetInError`."""
        mechanism = ""
        while True:
            request = _frame(self.near)
            kind, version, number = struct.unpack(">hhi", request[:8])
            if kind == _VERSIONS:
                self.far.sendall(_framed(request))
                self.near.sendall(_framed(_frame(self.far)))
            elif kind == _HANDSHAKE and not mechanism:
                mechanism = self._handshake(request, number)
            elif kind == _AUTHENTICATE and mechanism:
                self._authenticate(mechanism, (version, number, request))
                self.gate.come_in.add(mechanism)
                return
            else:
                raise NotLetInError

    def _handshake(self, request: bytes, number: int) -> str:
        asked = _text(_body(request))
        known = ["PLAIN", *_HASHES]
        code = 0 if asked in known else _UNSUPPORTED
        names = b"".join(_short(name.encode()) for name in known)
        self.near.sendall(_framed(struct.pack(">ihi", number, code, len(known)) + names))
        if code:
            raise NotLetInError
        return asked

    def _authenticate(self, mechanism: str, first: tuple[int, int, bytes]) -> None:
        version, number, request = first
        word = _long(_body(request))
        if mechanism == "PLAIN":
            good = word == f"\0{self.gate.user}\0{self.gate.password}".encode()
            self._answer(version, number, b"", good=good)
            return
        talk = _Scram(_HASHES[mechanism], self.gate.user, self.gate.password)
        self._answer(version, number, talk.challenge(word), good=True)
        request = _frame(self.near)
        kind, version, number = struct.unpack(">hhi", request[:8])
        if kind != _AUTHENTICATE:
            raise NotLetInError
        last = talk.last(_long(_body(request)))
        self._answer(version, number, last or b"", good=last is not None)

    def _answer(self, version: int, number: int, word: bytes, *, good: bool) -> None:
        said = struct.pack(">h", -1) if good else _short(b"Authentication failed")
        life = struct.pack(">q", 0) if version else b""
        head = struct.pack(">ih", number, 0 if good else _REFUSED)
        self.near.sendall(_framed(head + said + struct.pack(">i", len(word)) + word + life))
        if not good:
            raise NotLetInError


class _Scram:
    """The server's side of RFC 5802."""

    def __init__(self, hashed: str, user: str, password: str) -> None:
        self.hashed, self.user, self.password = hashed, user, password
        self.salt = secrets.token_bytes(16)
        self.about = ""

    def challenge(self, word: bytes) -> bytes:
        """Return the first word."""
        bare = word.decode().removeprefix("n,,")
        self.name = bare.split(",")[0].removeprefix("n=")
        nonce = bare.rpartition("r=")[2] + secrets.token_hex(8)
        said = f"r={nonce},s={base64.b64encode(self.salt).decode()},i={_ROUNDS}"
        self.about = f"{bare},{said}"
        return said.encode()

    def last(self, word: bytes) -> bytes | None:
        """Return the last word to one who knows the password, None to all others."""
        without, _, proof = word.decode().rpartition(",p=")
        salted = hashlib.pbkdf2_hmac(self.hashed, self.password.encode(), self.salt, _ROUNDS)
        about = f"{self.about},{without}".encode()
        key = hmac.digest(salted, b"Client Key", self.hashed)
        signature = hmac.digest(hashlib.new(self.hashed, key).digest(), about, self.hashed)
        wanted = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        if base64.b64decode(proof) != wanted or self.name != self.user:
            return None
        server = hmac.digest(hmac.digest(salted, b"Server Key", self.hashed), about, self.hashed)
        return b"v=" + base64.b64encode(server)


def _frame(connection: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    return _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        part = connection.recv(min(size - len(found), 1 << 20))
        if not part:
            raise NotLetInError
        found += part
    return bytes(found)


def _framed(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


def _body(request: bytes) -> bytes:
    (size,) = struct.unpack(">h", request[8:10])
    return request[10 + max(size, 0) :]


def _text(data: bytes) -> str:
    (size,) = struct.unpack(">h", data[:2])
    return data[2 : 2 + size].decode()


def _long(data: bytes) -> bytes:
    (size,) = struct.unpack(">i", data[:4])
    return data[4 : 4 + size]


def _short(word: bytes) -> bytes:
    return struct.pack(">h", len(word)) + word
