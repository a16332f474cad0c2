"""The second factor: codes of an authenticator app (TOTP, RFC 6238), beside passkeys, with recovery codes for both.

The key of the app lies in the vault. A code counts once: one that was seen over somebody's shoulder is of no use.
"""

from __future__ import annotations

import hmac
import unicodedata
from typing import Any

import pyotp
import sqlalchemy as sa

from rules.text import msg
from webapp.access import models, passkeys, recovery, sessions
from webapp.access.errors import Refused
from webapp.access.users import owned, proven, refuse_oneself
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, Actor, House
from webapp.vault import services as vault
from webapp.vault.services import Owner

ISSUER = "Syncline"
_NAME = "authenticator"
_PERIOD = 30
_DRIFT = (-1, 0, 1)
"""A clock may be wrong by one period."""


def new_key() -> str:
    """Return a key for an authenticator app, in base32."""
    return pyotp.random_base32()


def address(username: str, key: str) -> str:
    """Return the address that an authenticator app reads as a picture (`otpauth://`)."""
    return pyotp.TOTP(key).provisioning_uri(name=username, issuer_name=ISSUER)


def is_set(tx: sa.Connection, user_id: int) -> bool:
    """Tell whether a user has an authenticator app."""
    profile = models.access_profile
    return tx.scalar(sa.select(profile.c.second_factor_at).where(profile.c.user_id == user_id)) is not None


def asked_of(row: Any) -> bool:
    """Tell whether the user of a row of `models.users` signs in with a second factor of any kind."""
    return row.second_factor_at is not None or bool(row.has_passkeys)


def any_of(tx: sa.Connection, user_id: int) -> bool:
    """Tell whether a user signs in with a second factor of any kind."""
    return is_set(tx, user_id) or bool(passkeys.of_user(tx, user_id))


def set_up(house: House, user_id: int, given: tuple[str | None, str, str], actor: Actor) -> tuple[str, ...]:
    """Ask for a code at each sign-in from now on.

    Args:
        house: The house.
        user_id: Whose factor it is.
        given: The user's password (None: proven otherwise), the key, and a code of the app, which shows that it has it.
        actor: The user.

    Returns:
        Recovery codes, to be shown once.

    Raises:
        Refused: The password or the code is wrong.
    """
    password, key, code = given
    with house.db.begin() as tx:
        user = proven(tx, user_id, password)
        step = _step(house, key, code, 0)
        if step is None:
            raise Refused("code", msg("This is not the code that the app shows now. Look at the clock of the device."))
        vault.put(tx, vault.keyring(house), Owner("user", user.username), _NAME, key, actor, house.clock())
        _store(tx, user_id, second_factor_at=house.clock(), second_factor_step=step)
        record(tx, actor, house.clock(), Event(Tag.FACTOR_SET, Subject("user", user.username)))
        return recovery.make(tx, user_id)


def renew_recovery(house: House, user_id: int, password: str | None, actor: Actor) -> tuple[str, ...]:
    """Return new recovery codes, to be shown once; the old ones count no more. Raises `Refused`."""
    with house.db.begin() as tx:
        user = proven(tx, user_id, password)
        _require(tx, user_id)
        record(tx, actor, house.clock(), Event(Tag.RECOVERY_RENEWED, Subject("user", user.username)))
        return recovery.make(tx, user_id)


def remove(house: House, user_id: int, password: str | None, actor: Actor) -> None:
    """Ask for no code any more; raises `Refused` where the password is wrong."""
    with house.db.begin() as tx:
        user = proven(tx, user_id, password)
        if not is_set(tx, user_id):
            raise Refused("", msg("There is no second factor."))
        _forget(tx, house, user, actor)


def take_away(house: House, user_id: int, actor: Actor) -> None:
    """Remove the second factor of a user who has lost it; all sessions end. Raises `Refused`."""
    with house.db.begin() as tx:
        user = owned(tx, user_id, actor)
        refuse_oneself(tx, user_id, actor)
        _require(tx, user_id)
        drop(tx, house, user, actor)
        sessions.forget(tx, user_id)


def drop(tx: sa.Connection, house: House, user: Any, actor: Actor = SYSTEM) -> None:
    """Remove all second factors of a user, in the caller's transaction."""
    passkeys.forget(tx, house, user, actor)
    if is_set(tx, user.id):
        _forget(tx, house, user, actor)
    recovery.forget(tx, user.id)


def passes(house: House, user_id: int, code: str) -> str:
    """Return by what a user gets in, "code" or "recovery code", or an empty text; each counts only once."""
    plain = unicodedata.normalize("NFKC", "".join(code.split())).replace("-", "").lower()
    with house.db.begin() as tx:
        row = tx.execute(models.users().where(models.user.c.id == user_id)).one_or_none()
        if row is None or not row.active or not asked_of(row):
            return ""
        if not plain.isdecimal():
            return "recovery code" if recovery.use(tx, user_id, plain) else ""
        if row.second_factor_at is None:
            return ""
        key = vault.get(tx, vault.keyring(house), Owner("user", row.username), _NAME)
        step = _step(house, key, plain, row.second_factor_step)
        return "code" if step is not None and _used(tx, user_id, step) else ""


def _used(tx: sa.Connection, user_id: int, step: int) -> bool:
    """Note a code as used; False where another request has done so meanwhile."""
    profile = models.access_profile
    mine = sa.update(profile).where(profile.c.user_id == user_id, profile.c.second_factor_step < step)
    return tx.execute(mine.values(second_factor_step=step)).rowcount == 1


def _require(tx: sa.Connection, user_id: int) -> None:
    if not any_of(tx, user_id):
        raise Refused("", msg("There is no second factor."))


def _step(house: House, key: str, code: str, last: int) -> int | None:
    """Return which period a code is of; None where it is of none, or of one that has been used."""
    now, app = int(house.clock().timestamp()) // _PERIOD, pyotp.TOTP(key)
    plain = unicodedata.normalize("NFKC", "".join(code.split())).encode()
    fits = [
        now + by for by in _DRIFT if hmac.compare_digest(app.generate_otp(now + by).encode(), plain) and now + by > last
    ]
    return min(fits, default=None)


def _forget(tx: sa.Connection, house: House, user: Any, actor: Actor) -> None:
    if not passkeys.of_user(tx, user.id):
        recovery.forget(tx, user.id)
    _store(tx, user.id, second_factor_at=None, second_factor_step=0)
    vault.delete(tx, Owner("user", user.username), _NAME, actor, house.clock())
    record(tx, actor, house.clock(), Event(Tag.FACTOR_REMOVED, Subject("user", user.username)))


def _store(tx: sa.Connection, user_id: int, **values: Any) -> None:
    profile = models.access_profile
    tx.execute(sa.update(profile).where(profile.c.user_id == user_id).values(**values))
