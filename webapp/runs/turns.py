"""Whose turn it is when workers are few: a run's priority, how long it waits, and what its rule has had. Pure.

Every waiting run stands in one line, by the instant from which its rule has waited for a turn: when the run was asked
for, or when a run of the rule last got its turn, whichever is later. So a rule with a thousand runs gets one turn, then
stands behind all others. To that instant is added for how long the run lets others go first (`BEHIND`, `ORIGIN`), and
`SHARE` for each piece of work that is under way on the busier one of its connections.

All that is added is limited, and an instant stays while one waits. Whoever comes later than that limit stands behind,
so nobody starves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.documents.policies import Priority

BEHIND: Mapping[str, timedelta] = {
    Priority.URGENT: timedelta(),
    Priority.NORMAL: timedelta(minutes=30),
    Priority.BACKGROUND: timedelta(hours=2),
}
"""For how long a run of a priority lets others go first."""
PERSON, MACHINE, BACKFILL = "person", "machine", "backfill"
ORIGIN: Mapping[str, timedelta] = {
    PERSON: timedelta(),
    MACHINE: timedelta(minutes=15),
    BACKFILL: timedelta(minutes=25),
}
"""For how long, in addition, by who has asked for it: a click goes before a schedule, a backfill behind both."""
SHARE = timedelta(minutes=1)
BACKFILLS = frozenset({"part", "verify", "rebaseline"})
"""Kinds of runs that go over records which nobody waits for."""
PEOPLE = frozenset({"user", "cli"})
"""Kinds of actors behind which a person sits and waits."""


@dataclass(frozen=True)
class Waiting:
    """A run that could begin: `turn_at` is when it was asked for, and for how long it lets others go first."""

    run_id: int
    rule_id: int
    requested_at: datetime
    turn_at: datetime
    last_turn: datetime | None = None
    """When a run of its rule last got its turn."""
    connections: tuple[str, ...] = ()
    announced_at: datetime | None = None


def turn_at(requested_at: datetime, priority: str, kind: str, actor_kind: str) -> datetime:
    """Return as of when a run counts as asked for."""
    return requested_at + BEHIND[priority] + ORIGIN[origin(kind, actor_kind)]


def origin(kind: str, actor_kind: str) -> str:
    """Return who waits for a run: a person, nobody in a hurry (a backfill), or a machine."""
    if kind in BACKFILLS:
        return BACKFILL
    return PERSON if actor_kind in PEOPLE else MACHINE


def in_turn(waiting: Iterable[Waiting], busy: Mapping[str, int]) -> list[Waiting]:
    """Return runs in the order in which they get a worker.

    Args:
        waiting: At most one run of each rule, since a rule has one at a time.
        busy: Connection -> how many pieces of work are under way on it.
    """
    return sorted(waiting, key=lambda one: (_place(one, busy), one.run_id))


def _place(one: Waiting, busy: Mapping[str, int]) -> datetime:
    lets_go_first = one.turn_at - one.requested_at
    since = max(filter(None, (one.requested_at, one.last_turn)))
    return since + lets_go_first + SHARE * max((busy.get(name, 0) for name in one.connections), default=0)
