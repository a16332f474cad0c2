"""What a turn of work on events gave, and how it is stored: all of it in one transaction, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.events.interface import Live, Step
from rules.events.work import Work
from rules.text import Message
from webapp.audit.services import Event as AuditEvent
from webapp.audit.services import Subject, record
from webapp.audit.tags import Tag
from webapp.connections.catalogue import HUB
from webapp.events.models import (
    event,
    event_action,
    event_kept,
    event_match,
    event_process,
    event_rule_clock,
    event_timer,
)
from webapp.events.runners import Runner
from webapp.extensions import SYSTEM


@dataclass(frozen=True)
class Taken:
    """An event that was taken: its row, its place in the order, when, and what kept it from being heard."""

    row: int
    position: int
    at: datetime
    notes: tuple[Message, ...]


@dataclass(frozen=True)
class Done:
    """A step of a rule with its actions."""

    runner: Runner
    step: Step
    works: tuple[Work, ...]
    depth: int


@dataclass
class Turn:
    """What a turn gave."""

    position: int
    clock: datetime
    taken: list[Taken] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    changed: dict[tuple[int, int], Runner] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing to be stored."""
        return not self.taken and not self.changed


def store(tx: sa.Connection, turn: Turn, now: datetime) -> None:
    """Store a turn in the caller's transaction."""
    for one in turn.taken:
        notes = [note.to_json() for note in one.notes] or None
        values = {"position": one.position, "taken_at": one.at, "notes": notes}
        tx.execute(sa.update(event).where(event.c.id == one.row).values(values))
    for done in turn.done:
        _match(tx, done, now)
    for runner in turn.changed.values():
        for key in sorted(runner.ready.engine.changed):
            _key(tx, runner, key, turn.clock)
        runner.ready.engine.changed.clear()
        _clock(tx, runner, turn.clock)


def _match(tx: sa.Connection, done: Done, now: datetime) -> None:
    who, step = done.runner.who, done.step
    head = {"rule_id": who.rule_id, "rule_name": who.name, "key": step.key, "depth": done.depth}
    values = {
        **head,
        "version": who.version,
        "cause": step.cause,
        "kind": step.kind,
        "before": step.before,
        "after": step.after,
        "events": {name: [one.id for one in seen] for name, seen in step.seen.items()},
        "at": step.at,
        "recorded_at": now,
    }
    row = tx.execute(sa.insert(event_match).values(**values))
    match_id = int(row.inserted_primary_key[0])  # type: ignore[index]
    for number, work in enumerate(done.works):
        action = {
            **head,
            "match_id": match_id,
            "number": number,
            "lane": _lane(who.rule_id, work),
            **_action(work, now),
        }
        tx.execute(sa.insert(event_action).values(**action))
    if done.works:
        after = {"version": who.version, "at": step.at, "actions": [work.kind for work in done.works]}
        record(tx, SYSTEM, now, AuditEvent(Tag.EVENT_RULE_ACTED, Subject("rule", who.name, step.key), None, after))


def _action(work: Work, now: datetime) -> dict[str, Any]:
    failed = work.problem is not None
    return {
        "path": work.path,
        "kind": work.kind,
        "args": dict(work.values),
        "retry": dict(work.retry),
        "state": "failed" if failed else "pending",
        "attempts": 0,
        "due_at": now,
        "problem": work.problem.to_json() if work.problem else None,
        "created_at": now,
        "ended_at": now if failed else None,
    }


def _lane(rule_id: int, work: Work) -> str | None:
    """Writes of a rule to one system go one after the other, so that it can be asked what became of the last."""
    if work.kind not in ("create_record", "update_record") or work.values.get("connection", HUB) == HUB:
        return None
    return f"{rule_id}/{work.values['connection']}"[:200]


def _key(tx: sa.Connection, runner: Runner, key: str, clock: datetime) -> None:
    live = runner.ready.engine.state(key)
    _keep(tx, runner, key, live)
    _set_timers(tx, runner, key, live, clock)
    _process(tx, runner, key, live, clock)


def _keep(tx: sa.Connection, runner: Runner, key: str, live: Live | None) -> None:
    old = runner.kept.pop(key, {})
    names = runner.heard.get(key, {}) | old
    new = {number: names[number] for number in (live.numbers if live else ())}
    table, mine = event_kept, _mine(event_kept, runner, key)
    gone = [number for number in old if number not in new]
    if gone:
        tx.execute(sa.delete(table).where(*mine, table.c.position.in_(gone)))
    head = {"rule_id": runner.who.rule_id, "version": runner.who.version, "key": key}
    added = [{**head, "position": n, "names": list(held)} for n, held in new.items() if n not in old]
    if added:
        tx.execute(sa.insert(table), added)
    runner.heard.pop(key, None)
    if new:
        runner.kept[key] = new


def _set_timers(tx: sa.Connection, runner: Runner, key: str, live: Live | None, clock: datetime) -> None:
    old = set(runner.timers.pop(key, ()))
    new = set(live.timers if live else ())
    table, mine = event_timer, _mine(event_timer, runner, key)
    for timer in old - new:
        this = (*mine, table.c.name == timer.name, table.c.due_at == timer.due, table.c.fired_at.is_(None))
        if timer.due <= clock:
            tx.execute(sa.update(table).where(*this).values(fired_at=timer.due))
        else:
            tx.execute(sa.delete(table).where(*this))
    head = {"rule_id": runner.who.rule_id, "version": runner.who.version, "key": key}
    added = [{**head, "name": timer.name, "due_at": timer.due} for timer in sorted(new - old, key=lambda t: t.due)]
    if added:
        tx.execute(sa.insert(table), added)
    if live:
        runner.timers[key] = live.timers


def _process(tx: sa.Connection, runner: Runner, key: str, live: Live | None, clock: datetime) -> None:
    table = event_process
    mine = (*_mine(table, runner, key), table.c.ended_at.is_(None))
    chart = runner.ready.rule.when is None
    last = runner.moved.pop(key, None)
    if live is None:
        values: dict[str, Any] = {"ended_at": clock, "changed_at": clock, **({"state": last.after} if last else {})}
        if tx.execute(sa.update(table).where(*mine).values(**values)).rowcount == 0 and last:
            seen = {name: [one.id for one in events] for name, events in last.seen.items()}
            tx.execute(sa.insert(table).values(**_head(runner, key), **values, since=last.at, events=seen))
        return
    values = {"state": live.state, "events": {n: list(ids) for n, ids in live.events.items()}, "changed_at": clock}
    same = (*mine, table.c.since == live.since) if chart else mine
    if tx.execute(sa.update(table).where(*same).values(**values, since=live.since)).rowcount == 0:
        tx.execute(sa.update(table).where(*mine).values(ended_at=clock, changed_at=clock))
        tx.execute(sa.insert(table).values(**_head(runner, key), **values, since=live.since))


def _head(runner: Runner, key: str) -> dict[str, Any]:
    who = runner.who
    return {"rule_id": who.rule_id, "rule_name": who.name, "version": who.version, "key": key}


def _clock(tx: sa.Connection, runner: Runner, clock: datetime) -> None:
    table = event_rule_clock
    mine = (table.c.rule_id == runner.who.rule_id, table.c.version == runner.who.version)
    if tx.execute(sa.update(table).where(*mine).values(clock=clock)).rowcount == 0:
        tx.execute(sa.insert(table).values(rule_id=runner.who.rule_id, version=runner.who.version, clock=clock))
    runner.clock = clock


def _mine(table: sa.Table, runner: Runner, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.rule_id == runner.who.rule_id, table.c.version == runner.who.version, table.c.key == key)
