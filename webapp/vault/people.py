"""A data key for each person whose values stand in the audit log; it is stored like any secret, so rotation covers it.

Destroying the key erases all values that were hidden under it, in the database and in every copy of it that is made
from then on; copies that hold the key too have to be let go by their own retention.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.dialects import postgresql, sqlite

from config import Settings
from webapp.audit import hooks
from webapp.extensions import Clock, House, to_json
from webapp.vault import at_rest
from webapp.vault.errors import SecretMissing, VaultError
from webapp.vault.models import vault_secret
from webapp.vault.places import open_provider
from webapp.vault.providers import KEY_BYTES, NONCE_BYTES, KeyProvider
from webapp.vault.sealing import Owner, Sealed, seal, unseal
from webapp.vault.services import get, lock, overwrite, sealed_of

PERSON = "person"
_OWNER = hashlib.sha256().digest_size
_SIGNS = 0x2800
"""Hidden values are written in 256 signs that occur in no word (Braille patterns), so that no search meets them."""
_KEY = "key"
UNREADABLE = "$unreadable"
"""What is shown in the place of a value while the vault cannot be read: `{"$unreadable": why}`."""


class PersonGuard:
    """Hides values of people in events under AES-256-GCM; holds on to no database: each call brings its own."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock

    def hide(self, tx: sa.Connection, person: str, values: dict[str, Any]) -> dict[str, str]:
        """Return each value as a text, under the person's key, which is made at first use."""
        owner = _owner(person)
        key = AESGCM(_made(tx, open_provider(self._settings), owner, self._clock()))
        return {name: _encrypted(key, owner, value) for name, value in values.items()}

    def show(self, tx: sa.Connection, hidden: list[str]) -> dict[str, Any]:
        """Return the values that can still be read; a key that is gone, or another one, shows none."""
        found: dict[str, Any] = {}
        parts = {text: _parts(text) for text in hidden}
        sealed = sealed_of(tx, PERSON, {name for name, _ in parts.values()}, _KEY)
        ciphers = {name: self._cipher(name, one) for name, one in sealed.items()}
        for text, (name, body) in parts.items():
            cipher = ciphers.get(name)
            if isinstance(cipher, AESGCM):
                found |= _decrypted(cipher, name, text, body)
            elif cipher is not None:
                found[text] = {UNREADABLE: cipher}
        return found

    def _cipher(self, name: str, sealed: Sealed) -> AESGCM | str:
        """Return what decrypts a person's values, or why it cannot be had now."""
        try:
            keys = open_provider(self._settings)
            return AESGCM(base64.b64decode(unseal(keys, Owner(PERSON, name).path(_KEY), sealed)))
        except VaultError as error:  # the log has to be readable also where the vault is not
            return str(error.message)


def register(house: House) -> None:
    """Let the audit log of this house hide personal values, and its tables encrypt."""
    at_rest.register(house)
    hooks.guards[house.db.engine.url] = PersonGuard(house.settings, house.clock)


def destroy(tx: sa.Connection, person: str) -> bool:
    """Destroy the key of a person and tell whether there was one. The caller records it."""
    owner = _owner(person)
    overwrite(tx)
    mine = (vault_secret.c.owner_kind == owner.kind, vault_secret.c.owner_name == owner.name)
    return bool(tx.execute(sa.delete(vault_secret).where(*mine)).rowcount)


def _owner(person: str) -> Owner:
    """Return where a person's key is kept; its name tells nothing about the person."""
    return Owner(PERSON, hashlib.sha256(person.encode("utf-8", "surrogatepass")).hexdigest())


def _made(tx: sa.Connection, keys: KeyProvider, owner: Owner, at: datetime) -> bytes:
    try:
        return base64.b64decode(get(tx, keys, owner, _KEY))
    except SecretMissing:
        lock(tx, shared=True)
    sealed = asdict(seal(keys, owner.path(_KEY), base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()))
    place = {"owner_kind": owner.kind, "owner_name": owner.name, "name": _KEY}
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    values = {**place, **sealed, "created_at": at, "updated_at": at}
    tx.execute(insert(vault_secret).values(values).on_conflict_do_nothing())  # another one may make it at this moment
    return base64.b64decode(get(tx, keys, owner, _KEY))


def _encrypted(key: AESGCM, owner: Owner, value: Any) -> str:
    nonce = secrets.token_bytes(NONCE_BYTES)
    body = nonce + key.encrypt(nonce, to_json(value).encode(), owner.name.encode())
    return "".join(chr(_SIGNS + byte) for byte in bytes.fromhex(owner.name) + body)


def _parts(text: str) -> tuple[str, bytes]:
    """Return the owner's name and the ciphertext; what cannot be read belongs to nobody."""
    try:
        raw = bytes(ord(sign) - _SIGNS for sign in text)
    except ValueError:
        raw = b""
    return raw[:_OWNER].hex() or "-", raw[_OWNER:]


def _decrypted(key: AESGCM, name: str, text: str, body: bytes) -> dict[str, Any]:
    try:
        return {text: json.loads(key.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], name.encode()))}
    except (InvalidTag, ValueError):
        return {}
