"""The key that signs the audit log: its private half lies in the vault, all public halves stay with the log."""

from __future__ import annotations

import base64
import contextlib
from functools import lru_cache

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from webapp.audit import keys, marks
from webapp.audit.notes import Signer
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, Actor, House
from webapp.runs.execution import installation_id
from webapp.vault import services as vault
from webapp.vault.sealing import Owner

OWNER = Owner("audit", "log")


def origin(house: House) -> str:
    """Return the name of this installation's log."""
    return f"syncline/{installation_id(house)}"


def signer(house: House) -> Signer:
    """Return the key that signs now; the first one is made at first use. Raises `VaultError`, `SealBroken`."""
    name = origin(house)
    with house.db.read() as tx:
        found = _current(house, tx, name)
    if found is None:
        with contextlib.suppress(sa.exc.IntegrityError):  # another process was faster
            renew(house, SYSTEM)
        with house.db.read() as tx:
            found = _current(house, tx, name)
    if found is None:
        raise RuntimeError("the signing key was not stored")
    return found


def renew(house: House, actor: Actor) -> keys.KeyLine:
    """Make a new signing key, which the last one vouches for, and destroy the private half of the last one."""
    name, at = origin(house), house.clock()
    fresh = Signer(name, Ed25519PrivateKey.generate())
    ring = vault.keyring(house)
    with house.db.begin() as tx:
        known = keys.lines(tx)
        if (
            not known and marks.read(marks.place(house)) is not None
        ):  # a new first key would sign what was put in its place
            raise marks.unknown(marks.place(house))
        last = _current(house, tx, name)
        line = keys.add(tx, fresh, last, at)
        seed = base64.b64encode(fresh.private.private_bytes_raw()).decode()
        vault.put(tx, ring, OWNER, _secret(line.no), seed, actor, at)
        if known:
            vault.delete(tx, OWNER, _secret(known[-1].no), actor, at)
        record(tx, actor, at, Event(Tag.AUDIT_KEY_ADDED, Subject("audit", str(line.no)), after={"public": line.public}))
    return line


def _current(house: House, tx: sa.Connection, name: str) -> Signer | None:
    known = keys.lines(tx)
    if not known:
        return None
    seed = vault.get(tx, vault.keyring(house), OWNER, _secret(known[-1].no))
    return _signer(name, seed)


@lru_cache(maxsize=4)
def _signer(name: str, seed: str) -> Signer:
    return Signer(name, Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed)))


def _secret(number: int) -> str:
    return f"signing-{number}"
