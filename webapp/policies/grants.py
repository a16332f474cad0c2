"""What one role says of one data object, made ready for one user. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rules.language.problems import ExpressionError
from rules.predicate import EVERYTHING, Predicate
from webapp.access import roles
from webapp.policies import conditions
from webapp.policies.certain import NOTHING, certain
from webapp.policies.documents import Line, Policy
from webapp.policies.levels import WRITE, Level, least
from webapp.policies.objects import (
    ACTIONS,
    CREATE,
    DELETE,
    ENTITY,
    EXPORT,
    IMPORT,
    READ,
    UPDATE,
    DataObject,
    PolicyField,
)
from webapp.policies.questions import Condition
from webapp.policies.who import Who

Rooms = frozenset[tuple[str, str]]
"""(room, action) pairs that a role grants, such as ("Records", "update")."""
_SHOWING = ("Connections", "Rules", "Runs", "Quarantine", "Cases", "Audit")
_WRITING = frozenset({("Rules", roles.PUBLISH), ("Rules", roles.RUN), ("Quarantine", UPDATE), ("Cases", UPDATE)})


@dataclass(frozen=True)
class Grant:
    """A role's part in the rights of a user on an object."""

    role: str
    line: Line | None
    allow: frozenset[str]
    deny: frozenset[str]
    rows: Predicate
    """The rows that its actions are for."""
    free: Predicate
    """The rows that it does not take away from everybody."""
    personal: Level
    broken: bool = False
    """A condition of the line does not fit the object, so that it permits no rows."""

    def level(self, field: PolicyField) -> Level:
        """Return how much of a field the role shows."""
        if self.line is not None and field.name in self.line.fields:
            return self.line.fields[field.name]
        if field.key:
            return WRITE
        other = self.line.other_fields if self.line is not None else WRITE
        return other if not field.personal or other.denied else least(other, self.personal)


def grant(who: Who, role: tuple[str, Rooms, Policy], data: DataObject, fields: Sequence[PolicyField]) -> Grant:
    """Return what a role (name, permissions for rooms, policy) says of an object."""
    name, rooms, policy = role
    line = policy.line(data)
    allow = line.allow if line is not None and line.allow is not None else of_rooms(rooms, data)
    if line is None:
        return Grant(name, None, allow, frozenset(), EVERYTHING, EVERYTHING, policy.personal)
    rows = _certain(line.rows, fields, who, wanted=True)
    free = _certain(line.deny_rows, fields, who, wanted=False)
    broken = rows is None or free is None
    none = NOTHING
    return Grant(name, line, allow, line.deny, rows or none, free or none, policy.personal, broken)


def of_rooms(rooms: Rooms, data: DataObject) -> frozenset[str]:
    """Return what a role may do with an object's records by its permissions for rooms."""
    if data.kind == ENTITY:
        return frozenset(action for action in ACTIONS if ("Records", action) in rooms)
    found = set[str]()
    if any((room, READ) in rooms for room in _SHOWING):
        found.add(READ)
    if any((room, EXPORT) in rooms for room in _SHOWING):
        found.add(EXPORT)
    if rooms & _WRITING:
        found |= {CREATE, UPDATE, DELETE, IMPORT}
    return frozenset(found)


def _certain(text: str, fields: Sequence[PolicyField], who: Who, *, wanted: bool) -> Predicate | None:
    """Return the rows for which a condition comes to `wanted`, None where it does not fit the object."""
    if not text.strip():
        return EVERYTHING
    condition = _compiled(text, tuple(fields))
    return None if condition is None else certain(condition, who, wanted=wanted)


@lru_cache(maxsize=1000)
def _compiled(text: str, fields: tuple[PolicyField, ...]) -> Condition | None:
    """Return a condition, which is the same for all users; None where it does not fit the fields."""
    try:
        return conditions.compiled(text, fields)
    except ExpressionError:
        return None
