"""How a secret is sealed: AES-256-GCM under a data key of its own, bound to its owner, the data key wrapped."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rules.text import msg
from webapp.vault.errors import SecretDamaged
from webapp.vault.providers import KEY_BYTES, NONCE_BYTES, KeyProvider

ALGORITHM: Final = "AES-256-GCM"


@dataclass(frozen=True)
class Owner:
    """What a secret belongs to: `Owner("connection", "erp")`."""

    kind: str
    name: str

    def path(self, secret: str) -> str:
        """Return the full name of one of its secrets: "connection/erp/password"."""
        parts = (self.kind, self.name, secret)
        if any(not part or "/" in part for part in parts):
            raise ValueError("the parts of a secret's name are not empty and hold no slash")
        return "/".join(parts)


@dataclass(frozen=True)
class Sealed:
    """A sealed secret as it is stored."""

    algorithm: str
    key_id: str
    wrapped_key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


def seal(provider: KeyProvider, path: str, value: str) -> Sealed:
    """Return `value` sealed for the secret called `path`, under a fresh data key."""
    bound = _bound(ALGORITHM, path)
    data_key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
    ciphertext = AESGCM(data_key).encrypt(nonce, value.encode(), bound)
    key_id, wrapped = provider.wrap(data_key, bound)
    return Sealed(ALGORITHM, key_id, wrapped, nonce, ciphertext)


def unseal(provider: KeyProvider, path: str, sealed: Sealed) -> str:
    """Return the value; raises `SecretDamaged` or `KeyUnavailable`."""
    return _opened(provider, path, sealed)[1]


def rewrap(provider: KeyProvider, path: str, sealed: Sealed) -> Sealed:
    """Return the same secret with its data key under the current key; the value itself is not touched.

    The data key has to open it: a place of keys that gives another one would lock the secret up for ever.
    """
    data_key, _value = _opened(provider, path, sealed)
    key_id, wrapped = provider.wrap(data_key, _bound(sealed.algorithm, path))
    return Sealed(sealed.algorithm, key_id, wrapped, sealed.nonce, sealed.ciphertext)


def _opened(provider: KeyProvider, path: str, sealed: Sealed) -> tuple[bytes, str]:
    data_key = _data_key(provider, path, sealed)
    try:
        text = AESGCM(data_key).decrypt(sealed.nonce, sealed.ciphertext, _bound(sealed.algorithm, path))
        return data_key, text.decode()
    except (InvalidTag, ValueError):
        raise _damaged(path) from None


def _data_key(provider: KeyProvider, path: str, sealed: Sealed) -> bytes:
    if sealed.algorithm != ALGORITHM:
        raise _damaged(path)
    data_key = provider.unwrap(sealed.key_id, sealed.wrapped_key, _bound(sealed.algorithm, path))
    if data_key is None:
        raise _damaged(path)
    return data_key


def _bound(algorithm: str, path: str) -> bytes:
    return f"{algorithm} {path}".encode()


def _damaged(path: str) -> SecretDamaged:
    return SecretDamaged(
        msg("The secret {secret} does not fit its seal: it was altered or moved.", secret=path),
        msg("Enter the secret again, and find out who changed the database."),
    )
