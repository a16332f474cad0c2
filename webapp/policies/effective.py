"""What somebody may do with the records of an object, and why: every action and field with the words that decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.access import models
from webapp.policies import catalogue, hooks, services
from webapp.policies.catalogue import Counted, Found, Named
from webapp.policies.difference import level_words
from webapp.policies.levels import Access
from webapp.policies.objects import ACTION_LABELS, ACTIONS, READ, DataObject, PolicyField
from webapp.policies.reasons import Reason
from webapp.policies.rights import Rights
from webapp.policies.who import NOBODY, Who, who_of

USER, ROLE = "user", "role"


@dataclass(frozen=True)
class Told:
    """One answer: what it is about, what it is, and why; `good` is None for something in between."""

    label: str | Message
    answer: Message
    good: bool | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Answer:
    """Everything about one user and one data object; `counted` is None where records cannot be counted here."""

    rights: Rights
    actions: tuple[Told, ...]
    fields: tuple[Told, ...]
    counted: Counted | None


@dataclass(frozen=True)
class OfRecord:
    """Why somebody sees a record, or does not; `found` is None where there is none, or who asks may not see it."""

    key: str
    found: Found | None
    seen: bool = False
    reasons: tuple[Reason, ...] = ()
    hidden: bool = False


def who_named(tx: sa.Connection, text: str) -> Who | None:
    """Return the user of `user:anna`, or somebody who has just the role of `role:Sales`; None if there is none."""
    kind, _, name = text.partition(":")
    if kind == USER:
        number = tx.scalar(sa.select(models.user.c.id).where(models.user.c.username == name))
        found = None if number is None else who_of(tx, number)
        return Who(number, name) if found is NOBODY else found
    known = kind == ROLE and tx.scalar(sa.select(models.role.c.id).where(models.role.c.name == name)) is not None
    return Who(None, "", (name,)) if known else None


def people(tx: sa.Connection, most: int) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the first active users with their full names, and the roles, to choose from."""
    user = models.user
    query = (
        sa.select(user.c.username, user.c.first_name, user.c.last_name).where(user.c.active).order_by(user.c.username)
    )
    users = [(row.username, f"{row.first_name} {row.last_name}".strip()) for row in tx.execute(query.limit(most))]
    return users, list(tx.scalars(sa.select(models.role.c.name).order_by(models.role.c.name)))


def rights_on(tx: sa.Connection, who: Who, data: DataObject) -> Rights:
    """Return somebody's rights on an object, with its fields as far as they are known or named by a line."""
    known = list(hooks.known_fields(tx, data) or ())
    found = services.rights_of(tx, who, data, known)
    names = {name for grant in found.grants if grant.line is not None for name in grant.line.fields}
    more = [PolicyField(name) for name in sorted(names - {field.name for field in known})]
    return services.rights_of(tx, who, data, [*known, *more]) if more else found


def answer(tx: sa.Connection, who: Who, data: DataObject) -> Answer:
    """Return what somebody may do with an object's records, and why."""
    rights = rights_on(tx, who, data)
    actions = tuple(_action(rights, action) for action in ACTIONS)
    fields = tuple(_field(rights, field) for field in rights.fields)
    return Answer(rights, actions, fields, catalogue.counted(tx, rights))


def overview(tx: sa.Connection, who: Who, objects: Sequence[Named]) -> list[tuple[Named, dict[str, bool], bool]]:
    """Return for each object which actions are permitted, and whether it is all of its records and fields."""
    found = []
    for named in objects:
        rights = rights_on(tx, who, DataObject.of(named.on))
        found.append((named, {action: rights.may(action) for action in ACTIONS}, rights.sees_everything))
    return found


def of_record(tx: sa.Connection, who: Who, asking: Who, data: DataObject, key: str) -> OfRecord:
    """Return why `who` sees a record; nothing is told of one that who asks does not see."""
    found = catalogue.record(tx, data, key)
    if found is None:
        return OfRecord(key, None)
    if not rights_on(tx, asking, data).sees(found.values):
        return OfRecord(key, None, hidden=True)
    rights = rights_on(tx, who, data)
    seen = rights.sees(found.values)
    return OfRecord(key, found, seen, _deciding(rights.why(READ, record=found.values), seen=seen))


def viewers(tx: sa.Connection, asking: Who, data: DataObject, key: str, most: int) -> list[tuple[str, bool]] | None:
    """Return for the first active users whether they see a record; None for one that who asks does not see."""
    found = catalogue.record(tx, data, key)
    if found is None or not rights_on(tx, asking, data).sees(found.values):
        return None
    user = models.user
    query = sa.select(user.c.id).where(user.c.active).order_by(user.c.username).limit(most)
    people = [who_of(tx, number) for number in tx.scalars(query)]
    return [(who.username, rights_on(tx, who, data).sees(found.values)) for who in people]


def _deciding(reasons: tuple[Reason, ...], *, seen: bool) -> tuple[Reason, ...]:
    """Return what speaks for the answer: of a record that is seen only the roles that show this one."""
    if not seen:
        return tuple(reason for reason in reasons if not reason.allows) or reasons
    against = {reason.role for reason in reasons if not reason.allows}
    return tuple(reason for reason in reasons if reason.role not in against) or reasons


def _action(rights: Rights, action: str) -> Told:
    may = rights.may(action)
    return Told(Message(ACTION_LABELS[action]), msg("yes") if may else msg("no"), may, rights.why(action))


def _field(rights: Rights, field: PolicyField) -> Told:
    level = rights.level(field.name)
    of_object = rights.why(READ)
    why = tuple(reason for reason in rights.why(READ, field.name) if reason not in of_object)
    good = None if level.access is Access.MASK else level.access > Access.HIDE
    return Told(field.name, level_words(level), good, why)
