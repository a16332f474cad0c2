"""Values that are encrypted in the metadata database: their data keys, and how one value becomes a token and back.

A data key lies in the vault like any secret, so `secrets rotate` covers it. A token names its data key and is bound to
the place that it belongs to: moved to another place, it cannot be read. Processes remember data keys; a key's name is
never given twice, so what they remember cannot be another one.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rules.text import msg
from webapp.extensions import Actor, House
from webapp.vault import services
from webapp.vault.errors import SecretDamaged, VaultError
from webapp.vault.providers import KEY_BYTES, NONCE_BYTES
from webapp.vault.sealing import Owner

JOURNAL = Owner("journal", "values")
"""Whose key encrypts what runs, cases, events and imports keep of records."""
LATE = 1.0
"""After so many seconds every process knows that the first field was encrypted."""
_SURE = 60.0
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
        self._journal: str | None = None
        self._look = 0.0

    def provide(self, tx: sa.Connection, owner: Owner, name: str, actor: Actor, at: datetime) -> None:
        """Make a data key unless there is one of that name."""
        if name not in services.names(tx, owner):
            key = secrets.token_bytes(KEY_BYTES)
            services.put(tx, services.keyring(self._house), owner, name, b64encode(key).decode(), actor, at)
            self._known[owner, name] = key  # not to be read by others before the transaction has ended

    @property
    def journal(self) -> str | None:
        """Return the name of the key for what is kept about records elsewhere; None while no field is encrypted.

        Only what is committed counts, so that nothing is encrypted under a key that is taken back.
        """
        now = time.monotonic()
        if now >= self._look:
            with self._house.db.read() as tx:
                self._journal = next(iter(services.names(tx, JOURNAL)), None)
            self._look = now + (_SURE if self._journal else LATE)
        return self._journal

    def bring(self, tx: sa.Connection) -> bool:
        """Take the key of what is kept about records from a transaction that only its own connection sees.

        Return whether there is one that opens.
        """
        names = services.names(tx, JOURNAL)
        try:
            for name in names:
                text = services.get(tx, services.keyring(self._house), JOURNAL, name)
                self._known[JOURNAL, name] = b64decode(text)
        except VaultError:
            return False
        self._journal, self._look = next(iter(names), None), math.inf
        return bool(names)

    def look(self) -> None:
        """Ask the database again which key that is, however lately it was asked."""
        self._look = 0.0

    def digest(self, owner: Owner, name: str, value: str) -> str:
        """Return what stands for a value in an index: the same for the same value, under this key only."""
        found = hmac.digest(self._key(owner, name), value.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return b64encode(found[:_DIGEST]).decode().rstrip("=")

    def encrypt(self, owner: Owner, name: str, value: str, place: str) -> str:
        """Return the token of a value at a place; its length tells that of the value in steps of 32 bytes only."""
        text = value.encode("utf-8", "surrogatepass") + _END
        sealed = self.encrypt_bytes(owner, name, text + bytes(-len(text) % _PAD), place)
        return f"{name}.{b64encode(sealed).decode()}"

    def encrypt_bytes(self, owner: Owner, name: str, data: bytes, place: str) -> bytes:
        """Return what is kept of bytes."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher(owner, name).encrypt(nonce, data, _bound(owner, place))

    def decrypt(self, owner: Owner, token: str, place: str) -> str:
        """Return the value of a token; raises `SecretDamaged` where it does not belong to the place."""
        name, _, body = token.partition(".")
        try:
            text = self.decrypt_bytes(owner, name, b64decode(body), place)
            return text[: text.rindex(_END)].decode("utf-8", "surrogatepass")
        except ValueError:
            raise _damaged(place) from None

    def decrypt_bytes(self, owner: Owner, name: str, raw: bytes, place: str) -> bytes:
        """Return the bytes; raises `SecretDamaged` where they do not belong to the place."""
        try:
            return self._cipher(owner, name).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(owner, place))
        except (InvalidTag, ValueError):
            raise _damaged(place) from None

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


_RING = "syncline_keys"
"""Where a dialect has its keys: with it, so that they go when the database is let go."""


def register(house: House) -> None:
    """Let column types of this house's database encrypt and decrypt; once a process."""
    vars(house.db.engine.dialect)[_RING] = KeyRing(house)


@contextmanager
def brought(house: House, tx: sa.Connection) -> Iterator[None]:
    """Let column types use the keys that came into the database with a transaction, while it is under way.

    Where a key does not open, what it encrypts stays encrypted.
    """
    here, keys = vars(tx.dialect), KeyRing(house)
    before = here.get(_RING)
    if keys.bring(tx):
        here[_RING] = keys
    try:
        yield
    finally:
        here[_RING] = before


def ring(dialect: sa.Dialect) -> KeyRing:
    """Return the data keys of the database that speaks this dialect."""
    found = _ring(dialect)
    if found is None:
        raise VaultError(
            msg("This process has not opened the keys of encrypted fields."), msg("Call at_rest.register first.")
        )
    return found


def _ring(dialect: sa.Dialect) -> KeyRing | None:
    found: KeyRing | None = vars(dialect).get(_RING)
    return found


def salted(tx: sa.Connection, blob: bytes) -> bytes:
    """Return what is kept of a blob whose digest is told elsewhere: the digest is to tell nothing of its values."""
    keys = _ring(tx.dialect)
    return blob if keys is None or keys.journal is None else blob + secrets.token_bytes(_DIGEST)


def _damaged(place: str) -> SecretDamaged:
    return SecretDamaged(
        msg("A value of {place} does not fit its encryption: it was altered or moved.", place=place),
        msg("Find out who changed the database, and take the value from a backup."),
    )


def _bound(owner: Owner, place: str) -> bytes:
    return f"{owner.kind}/{owner.name}/{place}".encode()
