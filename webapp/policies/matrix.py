"""The matrix of a role: what its policy says of each data object, and what becomes of the policy when cells change.

A cell says that an action is allowed, denied, or nothing of it. Cells show what counts: where no line names an object,
what a wider line says, and else what the role's areas permit. An object whose cells change gets a line of its own.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from webapp.policies.catalogue import Named
from webapp.policies.documents import Line, Policy
from webapp.policies.grants import Rooms, of_rooms
from webapp.policies.levels import WRITE
from webapp.policies.objects import ACTIONS, CONNECTION, ENTITY, EVERYTHING, DataObject

ALLOW, DENY, SILENT = "allow", "deny", ""
WIDE = (EVERYTHING, f"{ENTITY}/{EVERYTHING}", f"{CONNECTION}/{EVERYTHING}")
"""Data objects that are there in every installation: all, all entities, all of connections."""

States = Mapping[str, str]
"""Action -> `allow`, `deny` or nothing."""


@dataclass(frozen=True)
class Row:
    """A data object with what counts for it; `by` is the line that says it, empty where the role's areas do."""

    on: str
    title: str
    by: str
    states: States
    line: Line | None = None

    @property
    def own(self) -> bool:
        """Tell whether a line names just this."""
        return self.line is not None and self.by == self.on

    @property
    def as_areas(self) -> bool:
        """Tell whether the role's areas say what is allowed."""
        return self.line is None or self.line.allow is None

    @property
    def by_rows(self) -> bool:
        """Tell whether some records are left out."""
        return self.line is not None and bool(self.line.rows.strip() or self.line.deny_rows.strip())

    @property
    def by_fields(self) -> int:
        """Return of how many fields something is said; the others count as one."""
        return 0 if self.line is None else len(self.line.fields) + (self.line.other_fields != WRITE)


def rows(policy: Policy, areas: Rooms, known: Iterable[Named]) -> list[Row]:
    """Return the rows of a matrix: the wide ones, those that are known, and those that only a line names."""
    titles = {**dict.fromkeys(WIDE, ""), **{one.on: one.title for one in known}}
    for line in policy.data:
        titles.setdefault(line.on, "")
    return [row(policy, areas, Named(on, title)) for on, title in titles.items()]


def row(policy: Policy, areas: Rooms, named: Named) -> Row:
    """Return the row of a data object."""
    line = counting(policy, named.on)
    return Row(named.on, named.title, line.on if line else "", states(line, areas, named.on), line)


def counting(policy: Policy, on: str) -> Line | None:
    """Return the line that counts for a data object, or for all that `on` means."""
    lines = {line.on: line for line in policy.data}
    patterns = (on,) if on == EVERYTHING else DataObject.of(on).patterns
    return next((lines[pattern] for pattern in patterns if pattern in lines), None)


def states(line: Line | None, areas: Rooms, on: str) -> dict[str, str]:
    """Return what counts, by action."""
    allowed = line.allow if line is not None and line.allow is not None else permitted(areas, on)
    denied = line.deny if line is not None else frozenset()
    return {a: DENY if a in denied else ALLOW if a in allowed else SILENT for a in ACTIONS}


def permitted(areas: Rooms, on: str) -> frozenset[str]:
    """Return what a role's areas permit to do with the records that `on` means; of everything, what both kinds have."""
    if on != EVERYTHING:
        return of_rooms(areas, DataObject.of(on))
    return of_rooms(areas, DataObject(ENTITY, EVERYTHING)) & of_rooms(areas, DataObject(CONNECTION, EVERYTHING))


def changed(policy: Policy, areas: Rooms, on: str, wanted: States) -> Policy:
    """Return the policy with other cells for a data object, the same one where they are as they were.

    What is said of its fields and rows stays. As long as exactly what the areas permit is allowed, a line that left it
    to them goes on doing so.
    """
    line = counting(policy, on)
    if dict(wanted) == states(line, areas, on):
        return policy
    base = own_line(policy, on)
    allow = frozenset(action for action, state in wanted.items() if state == ALLOW)
    deny = frozenset(action for action, state in wanted.items() if state == DENY)
    follows = base.allow is None and allow == permitted(areas, on) - deny
    return with_line(policy, replace(base, allow=None if follows else allow, deny=deny))


def own_line(policy: Policy, on: str) -> Line:
    """Return the line of a data object, or one that says of it what counts now."""
    line = counting(policy, on)
    return replace(line, on=on) if line is not None else Line(on)


def with_line(policy: Policy, line: Line) -> Policy:
    """Return the policy with a line, in the place of the one that named the same."""
    kept = [one for one in policy.data if one.on != line.on]
    at = next((number for number, one in enumerate(policy.data) if one.on == line.on), len(kept))
    return replace(policy, data=(*kept[:at], line, *kept[at:]))


def without_line(policy: Policy, on: str) -> Policy:
    """Return the policy without the line that names just this."""
    return replace(policy, data=tuple(line for line in policy.data if line.on != on))


def chosen(found: Sequence[Row], search: str, *, lines_only: bool) -> list[Row]:
    """Return the rows that are asked for: by a part of their names, and those with a line of their own."""
    word = search.strip().lower()
    wanted = [one for one in found if not word or word in one.title.lower() or word in one.on.lower()]
    return [one for one in wanted if one.own] if lines_only else wanted
