"""Signing in by SCRAM (RFC 5802, 7677): neither side sends the password, and each proves that it knows it. No I/O."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

HASHES: Final = {"SCRAM-SHA-512": "sha512", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
"""Mechanisms with their hashes, the strongest first."""
_FEWEST, _MOST = 4096, 10_000_000
"""Rounds: fewer would make the password easy to guess for a false server, more would keep us busy."""
_NO_BINDING = b"n,,"


class BrokenScramError(ValueError):
    """The server does not keep to the rules, or does not know the password."""


class Scram:
    """One conversation: `first`, then `proof` of what the server answers, then `verified` for its last word."""

    def __init__(self, mechanism: str, user: str, password: str, nonce: str | None = None) -> None:
        self._hash = HASHES[mechanism]
        self._password = password.encode()
        self._nonce = nonce or secrets.token_urlsafe(24)
        name = user.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={self._nonce}"
        self._signature = b""
        self.proven = False

    def first(self) -> bytes:
        """Return what is said first."""
        return _NO_BINDING + self._bare.encode()

    def proof(self, challenge: bytes) -> bytes:
        """Return the answer to the server's first word; raises `BrokenScramError`."""
        said = _parts(challenge)
        nonce, rounds = said.get("r", ""), int(said.get("i", "0")) if said.get("i", "").isdigit() else 0
        if not nonce.startswith(self._nonce) or nonce == self._nonce or not _FEWEST <= rounds <= _MOST:
            raise BrokenScramError("the server's first word does not fit")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, _decoded(said.get("s", "")), rounds)
        without = f"c={base64.b64encode(_NO_BINDING).decode()},r={nonce}"
        about = f"{self._bare},{challenge.decode()},{without}".encode()
        key = self._hmac(salted, b"Client Key")
        signature = self._hmac(hashlib.new(self._hash, key).digest(), about)
        self._signature = self._hmac(self._hmac(salted, b"Server Key"), about)
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return f"{without},p={base64.b64encode(proof).decode()}".encode()

    def verified(self, last: bytes) -> bytes:
        """Check that the server knows the password, too, and return the empty answer; raises `BrokenScramError`."""
        if not self._signature or not hmac.compare_digest(_decoded(_parts(last).get("v", "")), self._signature):
            raise BrokenScramError("the server does not prove that it knows the password")
        self.proven = True
        return b""

    def _hmac(self, key: bytes, text: bytes) -> bytes:
        return hmac.digest(key, text, self._hash)


def _parts(said: bytes) -> dict[str, str]:
    try:
        pairs = [part.partition("=") for part in said.decode().split(",")]
    except UnicodeDecodeError as error:
        raise BrokenScramError("the server's word is no text") from error
    return {name: value for name, _, value in pairs}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BrokenScramError("the server's word cannot be decoded") from error
