"""Passkeys and security keys: the second factor of a user, or, where the user wants it, all that lets in."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.access import ceremonies, identities, models, once, recovery
from webapp.access.ceremonies import Made, Place, WrongAnswer
from webapp.access.errors import Missing, Refused
from webapp.access.passwords import digest
from webapp.access.users import full_name, proven
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House

PATIENCE = timedelta(minutes=10)
"""For so long a challenge can be answered."""
MOST = 20
_LONGEST = 64


class Lapsed(WrongAnswer):
    """The passkey is right, but the company has not let its user in for too long."""


@dataclass(frozen=True)
class Passkey:
    """A passkey as its user sees it."""

    id: int
    name: str
    alone: bool
    synced: bool
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True)
class Wanted:
    """A new passkey: its name, whether it lets in without a password, the challenge and the browser's answer."""

    name: str
    alone: bool
    challenge: str
    answer: str


def of_user(tx: sa.Connection, user_id: int) -> list[Passkey]:
    """Return the passkeys of a user, the oldest first."""
    table = models.access_passkey
    columns = (table.c.id, table.c.name, table.c.alone, table.c.synced, table.c.created_at, table.c.last_used_at)
    query = sa.select(*columns).where(table.c.user_id == user_id).order_by(table.c.id)
    return [Passkey(*row) for row in tx.execute(query)]


def exist(tx: sa.Connection) -> bool:
    """Tell whether anybody signs in by a passkey alone."""
    table = models.access_passkey
    return tx.scalar(sa.select(table.c.id).where(table.c.alone).limit(1)) is not None


def begin_adding(house: House, user_id: int, *, alone: bool) -> tuple[str, str]:
    """Return what the browser is asked for a new passkey, and the challenge to be kept; raises `Refused`."""
    where, table = _place(house), models.access_passkey
    with house.db.read() as tx:
        row = tx.execute(models.users().where(models.user.c.id == user_id)).one()
        known = tx.execute(sa.select(table.c.credential, table.c.handle).where(table.c.user_id == user_id)).all()
    # a name by chance: passkeys tell nobody who their user is
    handle = known[0].handle if known else secrets.token_urlsafe(32)
    user = (handle, row.username, full_name(row.first_name, row.last_name) or row.username)
    verification = house.settings.passkey_verification
    asked, challenge = ceremonies.to_make(where, user, [one.credential for one in known], verification, alone=alone)
    return asked, f"{challenge}.{handle}"


def add(house: House, user_id: int, wanted: Wanted, actor: Actor) -> tuple[str, ...]:
    """Keep a new passkey of a user.

    Returns:
        Recovery codes, to be shown once, where the user had none.

    Raises:
        Refused: Its name is taken, there are too many, or the answer is wrong.
    """
    name = wanted.name.strip()
    challenge, _dot, handle = wanted.challenge.partition(".")
    with house.db.begin() as tx:
        _check(tx, user_id, name)
        verified = wanted.alone or house.settings.passkey_verification == "required"
        try:
            made = ceremonies.made(_place(house), challenge, wanted.answer, verified=verified)
        except WrongAnswer:
            raise Refused("", msg("The passkey was not made. Try again.")) from None
        if not once.used(tx, challenge, house.clock(), house.clock() + PATIENCE):
            raise Refused("", msg("The passkey was not made. Try again."))
        row = tx.execute(models.users().where(models.user.c.id == user_id)).one()
        _insert(tx, made, {"user_id": user_id, "name": name, "alone": wanted.alone, "handle": handle}, house.clock())
        after = {"passkey": name, "alone": wanted.alone}
        record(tx, actor, house.clock(), Event(Tag.PASSKEY_ADDED, Subject("user", row.username), after=after))
        return () if recovery.left(tx, user_id) else recovery.make(tx, user_id)


def _check(tx: sa.Connection, user_id: int, name: str) -> None:
    names = {known.name.lower() for known in of_user(tx, user_id)}
    if not 1 <= len(name) <= _LONGEST:
        raise Refused("name", msg("Enter a name of at most {count} characters, such as the device's.", count=_LONGEST))
    if name.lower() in names:
        raise Refused("name", msg("You have a passkey '{name}' already.", name=name))
    if len(names) >= MOST:
        raise Refused("name", msg("You have {count} passkeys. Remove one that you do not need.", count=len(names)))


def _insert(tx: sa.Connection, made: Made, values: dict[str, Any], now: datetime) -> None:
    table = models.access_passkey
    number = digest(made.credential)
    if tx.scalar(sa.select(table.c.id).where(table.c.digest == number)) is not None:
        raise Refused("", msg("This passkey is known already."))
    told = {"credential": made.credential, "public_key": made.public_key, "sign_count": made.sign_count}
    more = {"digest": number, "transports": made.transports, "synced": made.synced, "created_at": now}
    tx.execute(sa.insert(table).values(**values, **told, **more))


def remove(house: House, user_id: int, passkey_id: int, password: str | None, actor: Actor) -> str:
    """Remove a passkey of a user and return its name; raises `Refused` where the password is wrong, or `Missing`."""
    table = models.access_passkey
    mine = (table.c.id == passkey_id, table.c.user_id == user_id)
    with house.db.begin() as tx:
        user = proven(tx, user_id, password)
        name = tx.scalar(sa.select(table.c.name).where(*mine))
        if name is None:
            raise Missing
        tx.execute(sa.delete(table).where(*mine))
        _note_removal(tx, house, user, (name, actor))
        if user.second_factor_at is None and not of_user(tx, user_id):
            recovery.forget(tx, user_id)
        return str(name)


def forget(tx: sa.Connection, house: House, user: Any, actor: Actor) -> None:
    """Remove all passkeys of a user, in the caller's transaction."""
    for known in of_user(tx, user.id):
        _note_removal(tx, house, user, (known.name, actor))
    tx.execute(sa.delete(models.access_passkey).where(models.access_passkey.c.user_id == user.id))


def _note_removal(tx: sa.Connection, house: House, user: Any, what: tuple[str, Actor]) -> None:
    name, actor = what
    event = Event(Tag.PASSKEY_REMOVED, Subject("user", user.username), before={"passkey": name})
    record(tx, actor, house.clock(), event)


def begin_answer(house: House, user_id: int | None) -> tuple[str, str]:
    """Return what the browser is asked to sign by a passkey of a user, or by any that lets in alone; and the challenge.

    Raises:
        Refused: There are no passkeys at the console's address.
    """
    if user_id is None:
        return ceremonies.to_answer(_place(house), (), "required", alone=True)
    table = models.access_passkey
    with house.db.read() as tx:
        query = sa.select(table.c.credential, table.c.transports).where(table.c.user_id == user_id)
        known = [(row.credential, row.transports) for row in tx.execute(query)]
    if not known:
        raise Refused("", msg("There is no passkey."))
    return ceremonies.to_answer(_place(house), known, house.settings.passkey_verification)


def answered(house: House, user_id: int | None, challenge: str, answer: str) -> Any:
    """Return the row of the user whose passkey has signed a challenge; it counts only once.

    Args:
        house: The house.
        user_id: Whose passkey it has to be; None for any that lets in alone.
        challenge: What was kept.
        answer: What the browser sends.

    Raises:
        WrongAnswer: The answer does not count.
        Lapsed: It would, but the user has to come by the company first.
    """
    where, told = ceremonies.place(house.settings), ceremonies.read(answer)
    if where is None or not challenge:
        raise WrongAnswer("Nothing was asked of a passkey here.")
    with house.db.begin() as tx:
        row = _row(tx, told, user_id)
        alone = user_id is None
        verified = alone or house.settings.passkey_verification == "required"
        key = (row.public_key, row.sign_count)
        count = ceremonies.counted(where, challenge, told, key, verified=verified)
        if not once.used(tx, challenge, house.clock(), house.clock() + PATIENCE):
            raise WrongAnswer("The challenge has been answered before.")
        table = models.access_passkey
        mine = sa.update(table).where(table.c.id == row.id, table.c.sign_count == row.sign_count)
        if tx.execute(mine.values(sign_count=count, last_used_at=house.clock())).rowcount != 1:
            raise WrongAnswer("The passkey was used at the same time elsewhere.")
        user = tx.execute(models.users().where(models.user.c.id == row.user_id)).one_or_none()
        if user is None or not user.active:
            raise WrongAnswer("The user is disabled.")
        known = identities.confirmed(house, house.settings.company_days)
        if alone and tx.scalar(sa.select(models.user.c.id).where(models.user.c.id == user.id, known)) is None:
            raise Lapsed(f"{user.username} has not signed in by the company for {house.settings.company_days} days.")
        return user


def _row(tx: sa.Connection, told: dict[str, Any], user_id: int | None) -> Any:
    table = models.access_passkey
    row = tx.execute(sa.select(table).where(table.c.digest == digest(told["id"]))).one_or_none()
    if row is None:
        raise WrongAnswer("The passkey is not known here.")
    handle = told["response"].get("userHandle")
    named = ceremonies.handle_of(handle) if handle else None
    if user_id is None and not row.alone:
        raise WrongAnswer("The passkey does not let in without a password.")
    if (user_id is not None and row.user_id != user_id) or (named is None and user_id is None):
        raise WrongAnswer("The passkey belongs to another user.")
    if named is not None and named != row.handle:
        raise WrongAnswer("The passkey belongs to another user.")
    return row


def _place(house: House) -> Place:
    found = ceremonies.place(house.settings)
    if found is None:
        raise Refused("", msg("Passkeys need the console at an address with a name and https."))
    return found
