"""Values that are encrypted in the metadata database: their data keys, and how one value becomes a token and back.

A data key lies in the vault like any secret, so `secrets rotate` covers it. A token names its data key and is bound to
the place that it belongs to: moved to another place, it cannot be read. Processes remember data keys; a key's name is
never given twice, so what they remember cannot be another one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from datetime import datetime
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rules.text import msg
from webapp.extensions import Actor, House
from webapp.vault import services
from webapp.vault.errors import SecretDamaged, VaultError
from webapp.vault.providers import KEY_BYTES, NONCE_BYTES
from webapp.vault.sealing import Owner

_PAD = 32
_END = b"\x80"
_DIGEST = 16
"""Bytes of an index entry: two values of one field have the same by chance in one of 2**64 fields of 2**32 values."""


class KeyRing:
    """The data keys of one house, as far as this process has needed them."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._known: dict[tuple[Owner, str], bytes] = {}
        self._ciphers: dict[tuple[Owner, str], AESGCM] = {}

    def provide(self, tx: sa.Connection, owner: Owner, name: str, actor: Actor, at: datetime) -> None:
        """Make a data key unless there is one of that name."""
        if name not in services.names(tx, owner):
            key = secrets.token_bytes(KEY_BYTES)
            services.put(tx, services.keyring(self._house), owner, name, b64encode(key).decode(), actor, at)
            self._known[owner, name] = key  # not to be read by others before the transaction has ended

    def digest(self, owner: Owner, name: str, value: str) -> str:
        """Return what stands for a value in an index: the same for the same value, under this key only."""
        found = hmac.digest(self._key(owner, name), value.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return b64encode(found[:_DIGEST]).decode().rstrip("=")

    def encrypt(self, owner: Owner, name: str, value: str, place: str) -> str:
        """Return the token of a value at a place; its length tells that of the value in steps of 32 bytes only."""
        text = value.encode("utf-8", "surrogatepass") + _END
        nonce = secrets.token_bytes(NONCE_BYTES)
        padded = text + bytes(-len(text) % _PAD)
        sealed = self._cipher(owner, name).encrypt(nonce, padded, _bound(owner, place))
        return f"{name}.{b64encode(nonce + sealed).decode()}"

    def decrypt(self, owner: Owner, token: str, place: str) -> str:
        """Return the value of a token; raises `SecretDamaged` where it does not belong to the place."""
        name, _, body = token.partition(".")
        try:
            raw = b64decode(body)
            text = self._cipher(owner, name).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(owner, place))
            return text[: text.rindex(_END)].decode("utf-8", "surrogatepass")
        except (InvalidTag, ValueError):
            raise SecretDamaged(
                msg("A value of {place} does not fit its encryption: it was altered or moved.", place=place),
                msg("Find out who changed the database, and take the value from a backup."),
            ) from None

    def _cipher(self, owner: Owner, name: str) -> AESGCM:
        found = self._ciphers.get((owner, name))
        if found is None:
            found = self._ciphers[owner, name] = AESGCM(self._key(owner, name))
        return found

    def _key(self, owner: Owner, name: str) -> bytes:
        found = self._known.get((owner, name))
        if found is None:
            with self._house.db.read() as tx:
                found = b64decode(services.get(tx, services.keyring(self._house), owner, name))
            self._known[owner, name] = found
        return found


_rings: WeakKeyDictionary[sa.Dialect, KeyRing] = WeakKeyDictionary()


def register(house: House) -> None:
    """Let column types of this house's database encrypt and decrypt; once a process."""
    _rings[house.db.engine.dialect] = KeyRing(house)


def ring(dialect: sa.Dialect) -> KeyRing:
    """Return the data keys of the database that speaks this dialect."""
    found = _rings.get(dialect)
    if found is None:
        raise VaultError(
            msg("This process has not opened the keys of encrypted fields."), msg("Call at_rest.register first.")
        )
    return found


def _bound(owner: Owner, place: str) -> bytes:
    return f"{owner.kind}/{owner.name}/{place}".encode()
