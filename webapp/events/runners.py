"""Event rules at work in this process: loaded from their versions, brought back to where they were by replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.documents.event_rule import KIND
from rules.events.interface import Event, Heard, Step, Timer
from rules.events.rule import Ready
from rules.language.library import Library
from webapp.events.models import event, event_kept, event_rule_clock
from webapp.rulebook.models import rule, rule_version
from webapp.rulebook.reading import ACTIVE

Signature = tuple[tuple[int, str, str, int | None], ...]
"""Id, name, state and version of every event rule, and what was stopped; while it stays the same, nothing is loaded."""


@dataclass(frozen=True)
class Identity:
    """A version of a rule that is at work; `current` is the published one, others finish what they began."""

    rule_id: int
    name: str
    version: int
    current: bool


@dataclass
class Runner:
    """A version at work, with what the database holds of it: events to keep and timers, by key.

    `heard` are events that were taken since, `moved` the last steps of processes since.
    """

    who: Identity
    ready: Ready
    clock: datetime | None
    kept: dict[str, dict[int, tuple[str, ...]]] = field(default_factory=dict)
    timers: dict[str, tuple[Timer, ...]] = field(default_factory=dict)
    heard: dict[str, dict[int, tuple[str, ...]]] = field(default_factory=dict)
    moved: dict[str, Step] = field(default_factory=dict)

    def feed(self, heard: Heard, at: datetime) -> list[Step]:
        """Take an event."""
        self.heard.setdefault(heard.key, {})[heard.number] = heard.names
        return self._noted(self.ready.engine.feed(heard, at))

    def advance(self, now: datetime) -> list[Step]:
        """Fire the timers up to `now`."""
        return self._noted(self.ready.engine.advance(now))

    def holds(self, key: str) -> bool:
        """Tell whether something is open for a key."""
        return self.ready.engine.state(key) is not None

    def _noted(self, steps: list[Step]) -> list[Step]:
        self.moved |= {step.key: step for step in steps if step.after is not None}
        return steps


def signature(tx: sa.Connection) -> Signature:
    """Return what tells whether rules have changed."""
    query = sa.select(rule.c.id, rule.c.name, rule.c.state, rule.c.published_version).where(rule.c.kind == KIND)
    rows = [(row.id, row.name, row.state, row.published_version) for row in tx.execute(query.order_by(rule.c.id))]
    return (*rows, *((rule_id, "", "stopped", version) for rule_id, version in sorted(_stopped(tx))))


def _stopped(tx: sa.Connection) -> set[tuple[int, int]]:
    clocks = event_rule_clock
    query = sa.select(clocks.c.rule_id, clocks.c.version).where(clocks.c.problem.is_not(None))
    return {(row.rule_id, row.version) for row in tx.execute(query)}


def identities(tx: sa.Connection, rules: Signature) -> list[Identity]:
    """Return the versions that are at work: those published, and older ones with something open; none that stand still.

    Older versions come before the newer ones of their rule.
    """
    active = {row[0]: row for row in rules if row[2] == ACTIVE and row[3] is not None}
    query = sa.select(event_kept.c.rule_id, event_kept.c.version).distinct()
    found = {(row.rule_id, row.version) for row in tx.execute(query) if row.rule_id in active}
    found |= {(rule_id, int(row[3] or 0)) for rule_id, row in active.items()}
    found -= _stopped(tx)
    return [Identity(rule_id, active[rule_id][1], v, v == active[rule_id][3]) for rule_id, v in sorted(found)]


def documents(tx: sa.Connection, who: list[Identity]) -> dict[tuple[int, int], Mapping[str, Any]]:
    """Return the documents of versions."""
    table = rule_version
    query = sa.select(table.c.rule_id, table.c.version, table.c.document)
    query = query.where(table.c.rule_id.in_({one.rule_id for one in who}))
    wanted = {(one.rule_id, one.version) for one in who}
    return {(r.rule_id, r.version): r.document for r in tx.execute(query) if (r.rule_id, r.version) in wanted}


def load(tx: sa.Connection, who: Identity, document: Mapping[str, Any], library: Library) -> Runner:
    """Return a version at work, after the events that what is open needs were taken once more.

    What follows from them has been stored before, so it is left aside here.
    """
    ready = Ready.of(document, library)
    mine = (event_rule_clock.c.rule_id == who.rule_id, event_rule_clock.c.version == who.version)
    clock = tx.scalar(sa.select(event_rule_clock.c.clock).where(*mine))
    runner = Runner(who, ready, clock)
    for row in tx.execute(_kept(who)):
        names = tuple(row.names)
        heard = Heard(row.position, Event(row.uid, row.type, row.at, row.data), row.key, names)
        ready.engine.feed(heard, row.taken_at)
        runner.kept.setdefault(row.key, {})[row.position] = names
    if clock is not None:
        ready.engine.advance(clock)
    for key in ready.engine.open_keys():
        live = ready.engine.state(key)
        runner.timers[key] = live.timers if live else ()
    ready.engine.notes.clear()
    ready.engine.changed.clear()
    return runner


def _kept(who: Identity) -> sa.Select[Any]:
    columns = (event_kept.c.position, event_kept.c.key, event_kept.c.names)
    more = (event.c.uid, event.c.type, event.c.at, event.c.data, event.c.taken_at)
    query = sa.select(*columns, *more).join(event, event.c.position == event_kept.c.position)
    mine = (event_kept.c.rule_id == who.rule_id, event_kept.c.version == who.version)
    return query.where(*mine).order_by(event_kept.c.position, event_kept.c.key)
